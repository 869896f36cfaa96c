"""Targets: one workspace in an operation, from the change to its outcome."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from pydantic import TypeAdapter

from consumer.operation import Generation, Recorded, Result
from consumer.store.pool import Connection
from consumer.store.statements import load
from schemas.events import Changed, Failure

_SQL = load("targets")
_CHANGED = TypeAdapter(tuple[Changed, ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a batch of results meant for one operation."""

    operation_id: UUID
    outcome_count: int
    open_count: int
    compensated_count: int


async def pause_targets(
    connection: Connection, workspace_id: UUID, operation_id: UUID, max_listed: int
) -> Recorded:
    """Pause everything below and including the workspace that is not paused or removed."""
    return _recorded(
        await connection.fetchrow(_SQL["pause_targets"], workspace_id, operation_id, max_listed)
    )


async def resume_targets(
    connection: Connection, workspace_id: UUID, operation_id: UUID, max_listed: int
) -> Recorded:
    """Resume everything below and including the workspace that is paused."""
    return _recorded(
        await connection.fetchrow(_SQL["resume_targets"], workspace_id, operation_id, max_listed)
    )


async def undo_targets(
    connection: Connection, workspace_id: UUID, operation_id: UUID, max_listed: int, undo: UUID
) -> Recorded:
    """Put back what the pause `undo` changed and is still as that pause left it."""
    return _recorded(
        await connection.fetchrow(
            _SQL["undo_targets"], workspace_id, operation_id, max_listed, undo
        )
    )


async def is_newest(connection: Connection, workspace_id: UUID, generation: int) -> bool:
    """Tell whether no later command has touched the workspace."""
    row = await connection.fetchrow(_SQL["is_newest"], workspace_id, generation)
    assert row is not None
    return bool(row["newest"])


async def settle_targets(connection: Connection, results: Sequence[Result]) -> list[Progress]:
    """Take results in; give the progress of each operation that one of them was news for."""
    failed = [result.workspace_id for result in results if result.outcome == "failed"]
    if failed:
        await connection.execute(_SQL["lock_failed"], failed)
    rows = await connection.fetch(
        _SQL["settle_targets"],
        [result.operation_id for result in results],
        [result.workspace_id for result in results],
        [result.generation for result in results],
        [result.outcome for result in results],
        [result.code for result in results],
        [result.detail for result in results],
    )
    return [_progress(row) for row in rows]


async def expire_targets(connection: Connection) -> list[Progress]:
    """Time out what is open past its deadline; give the operations this settled."""
    return [_progress(row) for row in await connection.fetch(_SQL["expire_targets"])]


async def failures(
    connection: Connection, operation_id: UUID, max_listed: int
) -> tuple[Failure, ...]:
    """List the failed targets of an operation."""
    rows = await connection.fetch(_SQL["failures"], operation_id, max_listed)
    return tuple(Failure(**dict(row)) for row in rows)


def _recorded(row: asyncpg.Record | None) -> Recorded:
    assert row is not None
    return Recorded(
        generation=Generation(row["generation"]),
        count=row["count"],
        target_count=row["target_count"],
        tree_etag=row["tree_etag"],
        changed=_CHANGED.validate_json(row["changed"]),
    )


def _progress(row: asyncpg.Record) -> Progress:
    return Progress(
        operation_id=row["operation_id"],
        outcome_count=row["n"],
        open_count=row["open_count"],
        compensated_count=row["compensated"],
    )
