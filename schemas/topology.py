"""What the program declares at the broker: exchanges, queues, stream and bindings, as data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.catalog import (
    AUDIT_STREAM,
    COMMANDS,
    COMMANDS_QUEUE,
    DEAD_LETTER,
    EVENTS,
    EXECUTOR_QUEUE,
    RESULTS_QUEUE,
    TRIGGERS_QUEUE,
    routed_to,
)

EXCHANGES = (COMMANDS, EVENTS, DEAD_LETTER)
DELIVERY_LIMIT = 1000
"""Stands behind the program's own count, for executors that are somebody else's. Each death of a
process counts for everything that it had in hand, the innocent too: of twenty in a row, RabbitMQ's
default, commands that nobody ever began would become dead letters."""
NO_LIMIT = 1_000_000_000
"""RabbitMQ 4 limits every quorum queue to 20 and then drops what has nowhere to go. 3.10 does not
know -1 for 'no limit'; this number is one that nobody reaches by looking at a dead letter."""


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue or stream: its arguments and what is bound to it, as (exchange, key)."""

    name: str
    arguments: dict[str, Any]
    bindings: tuple[tuple[str, str], ...]


def dead(queue: str) -> str:
    """Name the queue that holds what could not be handled from `queue`."""
    return f"{queue}.dead"


def with_dead(queues: Sequence[str]) -> list[str]:
    """Name queues, and behind them those that hold what could not be handled from them."""
    return [*queues, *map(dead, queues)]


def _work(name: str, bindings: tuple[tuple[str, str], ...]) -> Queue:
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": DEAD_LETTER,
        "x-dead-letter-routing-key": name,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    return Queue(name, arguments, bindings)


def _typed(name: str) -> Queue:
    """Give a work queue that takes the message types of the catalog."""
    return _work(name, tuple((one.exchange, one.name) for one in routed_to(name)))


def _dead(name: str) -> Queue:
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": NO_LIMIT}
    return Queue(dead(name), arguments, ((DEAD_LETTER, name),))


def _audit(retention: Mapping[str, Any]) -> Queue:
    arguments = {"x-queue-type": "stream", **retention}
    return Queue(AUDIT_STREAM, arguments, ((COMMANDS, "#"), (EVENTS, "#")))


def retention(max_age: str | None, max_bytes: int | None) -> dict[str, Any]:
    """Give the stream's arguments for how long and how much it keeps; without them, everything."""
    said = {"x-max-age": max_age, "x-max-length-bytes": max_bytes}
    return {name: value for name, value in said.items() if value is not None}


def topology(kept: Mapping[str, Any]) -> tuple[Queue, ...]:
    """List every queue, with the stream's `retention`.

    Dead queues come first: a work queue that dead-letters at least once waits for its target.
    """
    return (*map(_dead, WORK_QUEUES), _audit(kept), *map(_typed, WORK_QUEUES))


def trigger_queues(bindings: tuple[tuple[str, str], ...] = ()) -> tuple[Queue, ...]:
    """List the queues that are there only where triggers are configured.

    The `bindings` are to exchanges of others.
    """
    return (_dead(TRIGGERS_QUEUE), _work(TRIGGERS_QUEUE, bindings))


WORK_QUEUES = (COMMANDS_QUEUE, EXECUTOR_QUEUE, RESULTS_QUEUE)
QUEUES = topology({})
