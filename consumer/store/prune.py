"""Pruning: what is settled, older than is kept, and archived."""

from datetime import datetime, timedelta

from consumer.store.pool import Connection
from consumer.store.statements import load

_SQL = load("prune")


async def pruned_before(connection: Connection) -> datetime | None:
    """Give the time before which everything recorded was pruned; None: nothing ever was."""
    row = await connection.fetchrow(_SQL["pruned_before"])
    return row["recorded_before"] if row else None


async def prunable(connection: Connection, keep: timedelta) -> datetime | None:
    """Give the time before which everything recorded may go; None where there is nothing older.

    All of that was settled as long ago as is kept, and everything about it has left the outbox.
    """
    row = await connection.fetchrow(_SQL["prunable"], keep)
    return row["before"] if row else None


async def begin_pruning(connection: Connection, before: datetime) -> None:
    """Note, before anything goes, that what was recorded before a time may be gone."""
    await connection.execute(_SQL["begin_pruning"], before)


async def prune(connection: Connection, before: datetime, most: int) -> int:
    """Forget at most so many operations recorded before a time, whole; tell how many that were."""
    row = await connection.fetchrow(_SQL["prune"], before, most)
    return int(row["count"]) if row else 0
