"""Lines on standard error: JSON each, from the level that was asked for on."""

import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from consumer.telemetry.logs import configure, log


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Give the root logger back what it had."""
    root = logging.getLogger()
    level, kept = root.level, root.handlers[:]
    root.handlers.clear()  # configure closes those that it replaces
    yield
    root.handlers[:] = kept
    root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Read what was written."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["delivery.taken", "operation.recorded", "consumer.lost", "delivery.parked"]),
        ("info", ["operation.recorded", "consumer.lost", "delivery.parked"]),
        ("warning", ["consumer.lost", "delivery.parked"]),
        ("error", ["delivery.parked"]),
    ],
)
def test_only_what_is_asked_for_is_written(
    capsys: pytest.CaptureFixture[str], level: str, expected: list[str]
) -> None:
    """By the verb of the fact; what has no level of its own is info."""
    configure(level)
    for fact in ("delivery.taken", "operation.recorded", "consumer.lost", "delivery.parked"):
        log(fact, {})
    assert [line["event"] for line in lines(capsys)] == expected


def test_a_line_says_when_how_grave_and_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    """What is not known is left out, and no line ends in what somebody sent."""
    configure("info")
    log("consumer.lost", {"why": "line\nline\x1b[0m", "queue": None, "seen": UUID(int=1)})
    (line,) = lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "warning",
        "event": "consumer.lost",
        "why": "line\nline\x1b[0m",
        "seen": "UUID('00000000-0000-0000-0000-000000000001')",
    }


def test_what_libraries_log_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    """Warnings and worse; what they think of as information is theirs."""
    configure("info")
    chatty = logging.getLogger("a.library")
    chatty.info("%s", "nothing")
    chatty.warning("it is %s", "late")
    chatty.critical("it is over")
    told = [(one["level"], one["logger"], one["text"]) for one in lines(capsys)]
    assert told == [("warning", "a.library", "it is late"), ("error", "a.library", "it is over")]
