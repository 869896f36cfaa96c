"""What is wanted of a trail, and nothing else."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from consumer.audit.wanted import Sieve, Wanted
from consumer.record import Record
from tests.audit.filling import NOON

ONE, OTHER = UUID(int=0xABC), UUID(int=2)
HOUR = timedelta(hours=1)
PLAIN = Record(
    offset=0,
    exchange="workspace.commands",
    routing_key="workspace.pause",
    body=b'{"workspace_id":"%s"}' % str(ONE).encode(),
    properties={"message_id": "m-1", "timestamp": NOON},
)


@pytest.mark.parametrize(
    ("wanted", "held"),
    [
        (Wanted(), True),
        (Wanted(since=NOON), True),
        (Wanted(since=NOON + HOUR), False),
        (Wanted(until=NOON), False),
        (Wanted(until=NOON + HOUR), True),
        (Wanted(workspace=ONE), True),
        (Wanted(workspace=OTHER), False),
        (Wanted(operation=ONE), True),
        (Wanted(operation=OTHER), False),
        (Wanted(operation=OTHER, command="m-1"), True),
        (Wanted(operation=OTHER, command="m-2"), False),
        (Wanted(types=frozenset({"workspace.pause"})), True),
        (Wanted(types=frozenset({"workspace.resume"})), False),
        (Wanted(types=frozenset({"workspace.pause"}), workspace=OTHER), False),
    ],
)
def test_a_record_is_held_where_all_holds(wanted: Wanted, held: bool) -> None:
    """From a time on, before another; whatever it names."""
    assert list(Sieve(wanted).through([PLAIN])) == ([PLAIN] if held else [])


@pytest.mark.parametrize("body", [str(ONE).upper().encode(), b"\xff" + str(ONE).encode()])
def test_an_id_is_found_in_any_spelling(body: bytes) -> None:
    """Also where the body is no JSON."""
    assert Wanted(workspace=ONE).holds(replace(PLAIN, body=body), NOON)


def test_the_header_names_the_operation() -> None:
    """Where the body does not."""
    headed = replace(PLAIN, body=b"", headers={"x-operation-id": str(OTHER)})
    assert Wanted(operation=OTHER).holds(headed, NOON)


def test_one_without_a_time_was_sent_when_the_one_before_was() -> None:
    """And may always be wanted where there was none before."""
    untimed = replace(PLAIN, properties={})
    sieve = Sieve(Wanted(since=NOON + HOUR))
    assert list(sieve.through([untimed])) == [untimed]
    assert list(sieve.through([PLAIN, untimed])) == []


@pytest.mark.parametrize(
    ("change", "executable"),
    [
        ({}, True),
        ({"exchange": "workspace.events"}, False),
        ({"routing_key": "workspace.stop"}, False),
        ({"properties": {"message_id": "m", "type": "workspace.stop"}}, False),
        ({"properties": {}}, False),
        ({"properties": {"content_type": "application/cloudevents+json"}}, True),
    ],
)
def test_only_what_the_inbox_knows_again_can_be_executed(
    change: dict[str, Any], executable: bool
) -> None:
    """A stop by itself never is, nor a command that had no id: it would be given one now."""
    assert Wanted(executable=True).holds(replace(PLAIN, **change), NOON) is executable
