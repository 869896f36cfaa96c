"""Targets: one workspace in an operation, from the change to its outcome."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

import asyncpg
from pydantic import TypeAdapter

from consumer.operation import Generation, Recorded, Result
from consumer.store.pool import Connection, StaleError
from consumer.store.statements import load
from schemas.events import Action, Correction, Failure

_SQL = load("targets")
_CORRECTIONS = TypeAdapter(tuple[Correction, ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What a batch of results, or a deadline, meant for one operation.

    Attributes:
        outcome_count: how many targets got an outcome by it; open_count: how many have none yet.
        seconds: since the command was carried into the database, by the database's clock.
        settled: this was the last of them. It is said of an operation once.
        progressed: it is large, and nobody was told of its progress for a second.
        last_result: the message that gave the last of them; None where it was the deadline.
        corrections: targets that had timed out and have an outcome after all.

    """

    operation_id: UUID
    action: Action
    seconds: float
    outcome_count: int
    open_count: int
    compensated_count: int
    settled: bool
    progressed: bool
    last_result: str | None
    corrections: tuple[Correction, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What an order says was decided."""

    operation_id: UUID
    workspace_id: UUID
    generation: int
    action: Action
    instance_id: str | None
    runtime: str | None
    deadline: datetime


class Stands(NamedTuple):
    """How an order stands, and in how many seconds its deadline passes, negative where it has."""

    kind: Literal["newest", "overtaken", "unknown"]
    left: float


class Change(NamedTuple):
    """A tree that is to be changed by an operation."""

    workspace_id: UUID
    operation_id: UUID


async def pause_targets(
    connection: Connection, changes: Sequence[Change], max_listed: int
) -> list[Recorded]:
    """Pause everything below and including each workspace that is not paused or removed.

    Raises:
        StaleError: a workspace stands in two of the trees.

    """
    roots, operation_ids = zip(*changes, strict=True)
    rows = await connection.fetch(_SQL["pause_targets"], roots, operation_ids, max_listed)
    return [_recorded(row) for row in rows]


async def resume_targets(
    connection: Connection, changes: Sequence[Change], max_listed: int
) -> list[Recorded]:
    """Resume everything below and including each workspace that is paused.

    Raises:
        StaleError: a workspace stands in two of the trees.

    """
    roots, operation_ids = zip(*changes, strict=True)
    rows = await connection.fetch(_SQL["resume_targets"], roots, operation_ids, max_listed)
    return [_recorded(row) for row in rows]


async def undo_targets(
    connection: Connection, workspace_id: UUID, operation_id: UUID, max_listed: int, undo: UUID
) -> Recorded:
    """Put back what the pause `undo` changed and is still as that pause left it."""
    return _recorded(
        await connection.fetchrow(
            _SQL["undo_targets"], workspace_id, operation_id, max_listed, undo
        )
    )


async def standings(connection: Connection, claims: Sequence[Claim]) -> list[Stands]:
    """Tell how each order stands: as decided and the newest, overtaken, or not decided so."""
    rows = await connection.fetch(
        _SQL["standings"],
        [claim.operation_id for claim in claims],
        [claim.workspace_id for claim in claims],
        [claim.generation for claim in claims],
        [claim.action for claim in claims],
        [claim.instance_id for claim in claims],
        [claim.runtime for claim in claims],
        [claim.deadline for claim in claims],
    )
    return [Stands(*row) for row in rows]


async def newest(
    connection: Connection, workspace_ids: Sequence[UUID], generations: Sequence[int]
) -> list[bool]:
    """Tell of each workspace whether no command later than its generation has touched it."""
    rows = await connection.fetch(_SQL["newest"], workspace_ids, generations)
    return [row["newest"] for row in rows]


@asynccontextmanager
async def holding(
    connection: Connection, workspace_ids: Sequence[UUID], generations: Sequence[int]
) -> AsyncIterator[list[bool]]:
    """Keep other executors off these workspaces for the time of a block; tell as `newest`."""
    async with connection.transaction():
        await connection.execute(_SQL["hold_workspaces"], workspace_ids)
        yield await newest(connection, workspace_ids, generations)


async def settle_targets(connection: Connection, results: Sequence[Result]) -> list[News]:
    """Take results in; tell each operation that one of them was news for."""
    failed = [result.workspace_id for result in results if result.outcome == "failed"]
    if failed:
        await connection.execute(_SQL["lock_failed"], failed)
    rows = await connection.fetch(
        _SQL["settle_targets"],
        [result.operation_id for result in results],
        [result.workspace_id for result in results],
        [result.generation for result in results],
        [result.action for result in results],
        [result.outcome for result in results],
        [result.code for result in results],
        [result.detail for result in results],
        [result.message_id for result in results],
    )
    return [_news(row) for row in rows]


async def expire_targets(connection: Connection) -> list[News]:
    """Time out what is open past its deadline; give the operations this settled."""
    return [_news(row) for row in await connection.fetch(_SQL["expire_targets"])]


async def failures(
    connection: Connection, operation_id: UUID, max_listed: int
) -> tuple[Failure, ...]:
    """List the failed targets of an operation."""
    rows = await connection.fetch(_SQL["failures"], operation_id, max_listed)
    return tuple(Failure(**dict(row)) for row in rows)


def _recorded(row: asyncpg.Record | None) -> Recorded:
    assert row is not None
    if row["overlap"]:
        raise StaleError("a workspace was moved into a tree that is changed beside its own")
    return Recorded(
        generation=Generation(row["generation"]),
        count=row["count"],
        target_count=row["target_count"],
        tree_etag=row["tree_etag"],
        changed=row["changed"],
    )


def _news(row: asyncpg.Record) -> News:
    corrections = row["corrections"]
    return News(
        operation_id=row["operation_id"],
        action=row["action"],
        seconds=row["seconds"],
        outcome_count=row["outcome_count"],
        open_count=row["open_count"],
        compensated_count=row["compensated_count"],
        settled=row["settled"],
        progressed=row["progressed"],
        last_result=row["last_result"],
        corrections=_CORRECTIONS.validate_json(corrections) if corrections else (),
    )
