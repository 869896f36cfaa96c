"""Operations: what was decided, what was answered, and how it ended."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from uuid import UUID

from consumer.operation import Operation, Standing
from consumer.store.pool import Connection
from consumer.store.statements import load

_SQL = load("operations")
_VALUES = attrgetter(*(field.name for field in fields(Operation)))


async def record_operations(connection: Connection, operations: Sequence[Operation]) -> None:
    """Write operations; one with nothing open is settled at once."""
    columns = zip(*map(_VALUES, operations), strict=True)
    await connection.execute(_SQL["record_operations"], *columns)


async def standing(
    connection: Connection, operation_ids: Sequence[UUID]
) -> Mapping[UUID, Standing]:
    """Read how each of these operations stands."""
    rows = await connection.fetch(_SQL["standing"], operation_ids)
    return {row["operation_id"]: Standing(**dict(row)) for row in rows}


async def next_deadline(connection: Connection) -> float | None:
    """Tell in how many seconds the next open operation times out; None where none is open."""
    row = await connection.fetchrow(_SQL["next_deadline"])
    assert row is not None
    seconds: float | None = row["seconds"]
    return seconds
