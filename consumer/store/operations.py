"""Operations: what was decided, what was answered, and how it ended."""

from dataclasses import astuple
from uuid import UUID

from consumer.operation import Operation, Standing
from consumer.store.pool import Connection
from consumer.store.statements import load

_SQL = load("operations")


async def record_operation(connection: Connection, operation: Operation) -> None:
    """Write an operation; one with nothing open is settled at once."""
    await connection.execute(_SQL["record_operation"], *astuple(operation))


async def standing(connection: Connection, operation_id: UUID) -> Standing:
    """Read how an operation stands."""
    row = await connection.fetchrow(_SQL["standing"], operation_id)
    assert row is not None
    return Standing(**dict(row))


async def next_deadline(connection: Connection) -> float | None:
    """Tell in how many seconds the next open operation times out; None where none is open."""
    row = await connection.fetchrow(_SQL["next_deadline"])
    assert row is not None
    seconds: float | None = row["seconds"]
    return seconds
