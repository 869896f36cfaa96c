"""What the database knows of that the trail ought to tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from consumer.operation import Outcome, Target
from consumer.store.pool import Connection
from consumer.store.statements import load

_SQL = load("trail")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One operation as the database holds it.

    Attributes:
        pending: whether something of it has not left the outbox.
        ordered_count: how many stop or start commands it takes.

    """

    operation_id: UUID
    outcome: Literal["rejected", "previewed", "carried"]
    answer_type: str
    recorded_at: datetime
    deadline: datetime
    settled_at: datetime | None
    pending: bool
    ordered_count: int
    target_count: int
    succeeded_count: int
    failed_count: int
    superseded_count: int
    timed_out_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A workspace, with the newest operation that had it as a target."""

    workspace_id: UUID
    status: str
    generation: int
    outcome: Outcome | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """An operation as its command put it, with the bytes of its answer."""

    operation_id: UUID
    action: Literal["pause", "resume"]
    outcome: Literal["rejected", "previewed", "carried"]
    workspace_id: UUID | None
    source: str
    app_id: str
    message_id: str | None
    correlation_id: str | None
    traceparent: str | None
    cascade: bool | None
    undo: UUID | None
    requested_by: str | None
    reason: str | None
    answer_type: str
    answer: bytes
    recorded_at: datetime
    settled_at: datetime | None


async def now(connection: Connection) -> datetime:
    """Give the database's time; in a transaction that of its beginning."""
    row = await connection.fetchrow(_SQL["now"])
    assert row is not None
    found: datetime = row["now"]
    return found


async def held_operations(
    connection: Connection, after: tuple[datetime, UUID] | None, most: int
) -> list[Held]:
    """List operations, the oldest first, those after a time and id alone."""
    since, last = after or (None, None)
    rows = await connection.fetch(_SQL["held_operations"], since, last, most)
    return [Held(**dict(row)) for row in rows]


async def kept_workspaces(
    connection: Connection, workspace_ids: Sequence[UUID]
) -> Mapping[UUID, Kept]:
    """Read workspaces that are there and not removed."""
    rows = await connection.fetch(_SQL["kept_workspaces"], workspace_ids)
    return {row["workspace_id"]: Kept(**dict(row)) for row in rows}


async def known_commands(
    connection: Connection, sources: Sequence[str], keys: Sequence[str]
) -> list[UUID | None]:
    """Give the operation of each command that the inbox remembers, in their order."""
    rows = await connection.fetch(_SQL["known_commands"], sources, keys)
    return [row["operation_id"] for row in rows]


async def asking(connection: Connection, operation_id: UUID) -> Asking | None:
    """Read an operation; None where it is unknown."""
    row = await connection.fetchrow(_SQL["asking"], operation_id)
    return Asking(**dict(row)) if row else None


async def ordered_targets(
    connection: Connection, operation_id: UUID, after: UUID | None, most: int
) -> list[Target]:
    """List the targets that a command was sent for, by workspace id."""
    rows = await connection.fetch(_SQL["ordered_targets"], operation_id, after, most)
    return [Target(**dict(row)) for row in rows]
