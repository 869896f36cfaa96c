"""Walks over the platform's tree."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import asyncpg
from pydantic import TypeAdapter

from consumer.operation import Plan
from consumer.store.pool import Connection
from consumer.store.statements import load
from schemas.events import Action, Ancestor, Descendant, NotRestored

_SQL = load("tree")
_DESCENDANTS = TypeAdapter(tuple[Descendant, ...])
_NOT_RESTORED = TypeAdapter(tuple[NotRestored, ...])


async def lineage(
    connection: Connection, workspace_ids: Sequence[UUID]
) -> Mapping[UUID, frozenset[UUID]]:
    """Give for each workspace that exists the ids of itself and of all above it."""
    rows = await connection.fetch(_SQL["lineage"], workspace_ids)
    return {row["workspace_id"]: frozenset(row["path"]) for row in rows}


async def lock_tree(connection: Connection, workspace_id: UUID) -> None:
    """Wait until no other command on an overlapping tree is under way, and keep others waiting."""
    await connection.execute(_SQL["lock_tree"], workspace_id)


async def plan_cascade(
    connection: Connection, workspace_id: UUID, action: Action, max_listed: int
) -> Plan:
    """Tell what a pause or resume would meet."""
    row = await connection.fetchrow(_SQL["plan_cascade"], workspace_id, action, max_listed)
    return Plan(exists=False) if row is None else _plan(row)


async def plan_undo(
    connection: Connection, workspace_id: UUID, undo: UUID, max_listed: int
) -> Plan:
    """Tell what undoing the pause `undo` would meet."""
    row = await connection.fetchrow(_SQL["plan_undo"], workspace_id, undo, max_listed)
    if row is None:
        return Plan(exists=False)
    left_alone = _NOT_RESTORED.validate_json(row["not_restored"])
    return _plan(row, undo_known=row["undo_known"], not_restored=left_alone)


def _plan(
    row: asyncpg.Record,
    *,
    undo_known: bool = True,
    not_restored: tuple[NotRestored, ...] | None = None,
) -> Plan:
    above = row["paused_ancestor"]
    return Plan(
        exists=True,
        name=row["name"],
        status=row["status"],
        named_changes=row["named_changes"],
        descendants=_DESCENDANTS.validate_json(row["descendants"]),
        descendant_count=row["descendant_count"],
        tree_etag=row["tree_etag"],
        paused_ancestor=Ancestor.model_validate_json(above) if above else None,
        cycle_at=row["cycle_at"],
        undo_known=undo_known,
        not_restored=not_restored,
    )
