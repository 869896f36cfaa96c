"""Facts as JSON lines on standard error."""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from schemas.strict import rfc3339

_LEVELS = {
    "retried": logging.INFO,
    **dict.fromkeys(
        ("failed", "lost", "late", "paused", "restarted", "refused", "dropped"), logging.WARNING
    ),
    "parked": logging.ERROR,
    **dict.fromkeys(
        (
            *("taken", "claimed", "planned", "changed", "written", "acknowledged"),
            *("admitted", "ended", "published", "confirmed"),
        ),
        logging.DEBUG,
    ),
}
"""The level of a fact by its verb; info where none is given. Steps of a way are for debugging."""
_SPOKEN = logging.getLogger("workspace-lifecycle")
"""Knows from which level on lines are written; nothing is logged by it."""


def configure(level: str) -> None:
    """Write JSON lines of at least this level to standard error, libraries' lines among them."""
    number = logging.getLevelNamesMapping()[level.upper()]
    _SPOKEN.setLevel(number)
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[_Bridge()], force=True)


def log(fact: str, fields: Mapping[str, Any]) -> None:
    """Write one fact. A listener of `consumer.observe`."""
    level = _LEVELS.get(fact.rpartition(".")[2], logging.INFO)
    if _SPOKEN.isEnabledFor(level):
        _write(level, fact, {name: one for name, one in fields.items() if one is not None})


def _write(level: int, event: str, fields: Mapping[str, Any]) -> None:
    """Write a line in one piece: libraries log from threads of their own."""
    head = {"timestamp": rfc3339(datetime.now(UTC)), "level": logging.getLevelName(level).lower()}
    line = json.dumps({**head, "event": event, **fields}, default=repr)
    sys.stderr.write(f"{line}\n")


class _Bridge(logging.Handler):
    """Turn the lines of libraries into ours, so that no line on standard error is not JSON."""

    def emit(self, record: logging.LogRecord) -> None:
        level = logging.ERROR if record.levelno >= logging.ERROR else logging.WARNING
        _write(level, "library.logged", {"logger": record.name, "text": record.getMessage()})
