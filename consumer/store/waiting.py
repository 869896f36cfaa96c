"""What waits: to leave, and to be settled."""

from dataclasses import dataclass

from consumer.store.pool import Connection
from consumer.store.statements import load

_SQL = load("waiting")


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Counts of what waits.

    Attributes:
        outbox: rows that were not published; 10,001 where there are more.
        oldest: the age of the oldest of them, in seconds; None where there is none.
        open: operations that are not settled.

    """

    outbox: int
    oldest: float | None
    open: int


async def waiting(connection: Connection) -> Waiting:
    """Count what waits."""
    row = await connection.fetchrow(_SQL["waiting"])
    assert row is not None
    return Waiting(**dict(row))
