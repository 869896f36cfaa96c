"""Walks over the platform's tree."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg
from pydantic import TypeAdapter

from consumer.operation import NO_PLAN, Plan
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


async def try_lock_trees(connection: Connection, workspace_ids: Sequence[UUID]) -> list[bool]:
    """Take the same locks for each of many, if they are to be had at once. Tells which were."""
    rows = await connection.fetch(_SQL["try_lock_trees"], workspace_ids)
    return [row["locked"] for row in rows]


class Look(NamedTuple):
    """What is to be planned; of the descendants the first `listed` are told."""

    workspace_id: UUID
    action: Action
    listed: int


async def plan_cascades(
    connection: Connection, looks: Sequence[Look], too_large: int | None = None
) -> list[Plan | None]:
    """Tell of each pause or resume what it would meet; None: its tree is `too_large` or larger."""
    roots, actions, listed = zip(*looks, strict=True)
    rows = await connection.fetch(_SQL["plan_cascades"], roots, actions, listed, too_large)
    return [_cascade(row) for row in rows]


def _cascade(row: asyncpg.Record) -> Plan | None:
    if row["name"] is None:
        return NO_PLAN
    return None if row["too_large"] else _plan(row)


async def plan_undo(
    connection: Connection, workspace_id: UUID, undo: UUID, max_listed: int
) -> Plan:
    """Tell what undoing the pause `undo` would meet."""
    row = await connection.fetchrow(_SQL["plan_undo"], workspace_id, undo, max_listed)
    if row is None:
        return NO_PLAN
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
