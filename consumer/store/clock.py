"""The database's clock: the one by which every process goes, whatever its own says."""

import time
from datetime import UTC, datetime, timedelta

from consumer.store.pool import Connection
from consumer.store.statements import load

_SQL = load("clock")


async def clock(connection: Connection) -> datetime:
    """Ask the database for the time."""
    row = await connection.fetchrow(_SQL["clock"])
    assert row is not None
    at: datetime = row["at"]
    return at


class Clock:
    """Goes on from the database's time by this process's steady clock.

    Before it was set it can but tell the process's own time.
    """

    def __init__(self) -> None:
        self._at, self._since = datetime.now(UTC), time.monotonic()

    async def set(self, connection: Connection) -> None:
        """Set it by the database."""
        self._at, self._since = await clock(connection), time.monotonic()

    def now(self) -> datetime:
        """Tell the time."""
        return self._at + timedelta(seconds=time.monotonic() - self._since)
