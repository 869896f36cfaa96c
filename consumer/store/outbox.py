"""The outbox: what leaves, in the order in which it was decided."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

import asyncpg

from consumer.operation import Target
from consumer.store.pool import Connection
from consumer.store.statements import load

_SQL = load("outbox")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message to be put into the outbox; without a body it is its operation's answer.

    `derived_from` is what its id is derived from beside the operation; its type where it is None.
    """

    operation_id: UUID
    kind: Literal["event", "reply", "fanout"]
    type: str
    reply_to: str | None = None
    correlation_id: str | None = None
    body: bytes | None = None
    derived_from: str | None = None


class Taken(NamedTuple):
    """One message taken from the outbox.

    Attributes:
        origin_id: the command's correlation id, or its id.
        target: of a fan-out, one that is not confirmed yet; None where none is left.

    """

    seq: int
    kind: Literal["event", "reply", "fanout"]
    type: str
    operation_id: UUID
    reply_to: str | None
    correlation_id: str | None
    attempts: int
    body: bytes | None
    derived_from: str | None
    deprecated: bool
    recorded_at: datetime
    traceparent: str | None
    causation_id: str | None
    origin_id: str | None
    target: Target | None


_OWN = len(Taken._fields) - 1


async def put_outbox(connection: Connection, messages: Sequence[Outgoing]) -> None:
    """Put messages into the outbox, in this order."""
    await connection.execute(
        _SQL["put_outbox"],
        [message.operation_id for message in messages],
        [message.kind for message in messages],
        [message.type for message in messages],
        [message.reply_to for message in messages],
        [message.correlation_id for message in messages],
        [message.body for message in messages],
        [message.derived_from for message in messages],
    )


async def try_relay(connection: Connection) -> bool:
    """Take the right to empty the outbox for this connection; False where another has it."""
    row = await connection.fetchrow(_SQL["try_relay"])
    return row is not None and bool(row["mine"])


async def leave_relay(connection: Connection) -> None:
    """Give the right to empty the outbox back."""
    await connection.execute(_SQL["leave_relay"])


@dataclass(frozen=True, slots=True)
class Flying:
    """What was taken and is not confirmed yet.

    Attributes:
        seqs: rows of which all is under way.
        seq, progress: a fan-out that is under way up to this workspace.

    """

    seqs: Collection[int] = ()
    seq: int | None = None
    progress: UUID | None = None


_NONE = Flying()


async def take_outbox(
    connection: Connection, most: int, most_bytes: int, flying: Flying = _NONE, behind: int = 0
) -> list[Taken]:
    """Take the next messages: at most `most`, with about `most_bytes` of bodies.

    Only those whose seq is greater than `behind`.
    """
    rows = await connection.fetch(
        _SQL["take_outbox"], most, most_bytes, flying.seqs, flying.seq, flying.progress, behind
    )
    return [_taken(row) for row in rows]


async def take_replies(
    connection: Connection, most: int, most_bytes: int, flying: Collection[int], behind: int = 0
) -> list[Taken]:
    """Take the newest replies, whatever waits before them; `flying` is what is under way."""
    rows = await connection.fetch(_SQL["take_replies"], most, most_bytes, flying, behind)
    return [_taken(row) for row in rows]


class Horizon(NamedTuple):
    """Which transactions may be under way: none before `oldest`, none from `next` on."""

    oldest: int
    next: int


async def horizon(connection: Connection) -> Horizon:
    """Tell what may still become visible."""
    row = await connection.fetchrow(_SQL["horizon"])
    assert row is not None
    return Horizon(*row)


async def confirm_outbox(
    connection: Connection,
    done: Sequence[int],
    partly: tuple[int, UUID] | None,
    failed: Sequence[int],
) -> None:
    """Forget what was confirmed, whole or up to a workspace; count attempts that failed."""
    seq, progress = partly or (None, None)
    await connection.execute(_SQL["confirm_outbox"], done, seq, progress, failed)


def _taken(row: asyncpg.Record) -> Taken:
    """Read a row, whose columns are those of `Taken` and behind them those of `Target`."""
    values = tuple(row)
    of_target = values[_OWN:]
    target = None if of_target[0] is None else Target(row["operation_id"], *of_target)
    return Taken._make((*values[:_OWN], target))
