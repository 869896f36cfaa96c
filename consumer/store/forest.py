"""The forest as people look at it."""

from dataclasses import dataclass
from uuid import UUID

from consumer.store.pool import Connection
from consumer.store.statements import load

_SQL = load("forest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One workspace in the forest. `depth` is 0 for `root` itself."""

    workspace_id: UUID
    parent_id: UUID | None
    depth: int
    name: str
    status: str
    active_tasks: int | None
    root: UUID


async def forest(connection: Connection, root: UUID | None, most: int) -> list[Node]:
    """List one tree, or all where `root` is None: parents before children, at most `most`."""
    return [Node(**dict(row)) for row in await connection.fetch(_SQL["forest"], root, most)]
