"""Operations as people look back at them: what was asked, by whom, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg

from consumer.operation import Outcome
from consumer.store.pool import Connection
from consumer.store.statements import load
from schemas.events import Action

_SQL = load("history")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One operation as it is now. `name` is the named workspace's, where it is still known."""

    operation_id: UUID
    action: Action
    workspace_id: UUID | None
    name: str | None
    source: str
    app_id: str
    message_id: str | None
    correlation_id: str | None
    cascade: bool | None
    undo: UUID | None
    requested_by: str | None
    reason: str | None
    outcome: Literal["rejected", "previewed", "carried"]
    status: int
    code: str | None
    deprecated: bool
    target_count: int
    succeeded_count: int
    failed_count: int
    superseded_count: int
    timed_out_count: int
    open_count: int
    recorded_at: datetime
    deadline: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryTarget:
    """One workspace of an operation; `outcome` is None while it is open."""

    workspace_id: UUID
    name: str
    instance_id: str | None
    generation: int
    previous_status: str
    commanded: bool
    outcome: Outcome | None
    code: str | None
    detail: str | None
    settled_at: datetime | None


async def recent_operations(connection: Connection, most: int) -> list[Entry]:
    """List the newest operations, newest first."""
    rows = await connection.fetch(_SQL["recent_operations"], most)
    return await _entries(connection, rows, most)


async def workspace_operations(
    connection: Connection, most: int, workspace_id: UUID
) -> list[Entry]:
    """List those that named a workspace or had it as a target, newest first."""
    rows = await connection.fetch(_SQL["workspace_operations"], most, workspace_id)
    return await _entries(connection, rows, most)


async def open_operations(
    connection: Connection, most: int, workspace_id: UUID | None
) -> list[Entry]:
    """List those that are not settled, of one workspace or of all, newest first."""
    rows = await connection.fetch(_SQL["open_operations"], most, workspace_id)
    return await _entries(connection, rows, most)


async def entry(connection: Connection, operation_id: UUID) -> Entry | None:
    """Read one operation; None where it is unknown."""
    rows = await connection.fetch(_SQL["entries"], [operation_id], 1)
    return Entry(**dict(rows[0])) if rows else None


async def entry_targets(
    connection: Connection, operation_id: UUID, most: int | None, *, every: bool = False
) -> list[EntryTarget]:
    """List the targets that failed, timed out or are open; `every` one where that is asked."""
    rows = await connection.fetch(_SQL["entry_targets"], operation_id, every, most)
    return [EntryTarget(**dict(row)) for row in rows]


async def rejections(connection: Connection, most: int) -> list[tuple[str, bytes]]:
    """List the newest rejections: who was refused, and the event as it was published."""
    rows = await connection.fetch(_SQL["rejections"], most)
    return [(row["app_id"], row["answer"]) for row in rows]


async def _entries(
    connection: Connection, found: Sequence[asyncpg.Record], most: int
) -> list[Entry]:
    ids = [row["operation_id"] for row in found]
    return [Entry(**dict(row)) for row in await connection.fetch(_SQL["entries"], ids, most)]
