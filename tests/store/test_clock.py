"""The database's time, whatever this machine's clock says."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from consumer.store.clock import Clock, clock
from consumer.store.pool import opened
from tests.support.clocks import skew


@pytest.mark.parametrize("minutes", [-30, 30])
async def test_the_clock_goes_on_from_the_databases_time(database_url: str, minutes: int) -> None:
    """It is the database's own to the second, and goes on without asking again."""
    off = timedelta(minutes=minutes)
    await skew(database_url, off)
    kept = Clock()
    assert abs(kept.now() - datetime.now(UTC)) < timedelta(minutes=1)
    async with opened(database_url, 1) as database, database.connection() as connection:
        await kept.set(connection)
        told = kept.now()
        assert abs(told - datetime.now(UTC) - off) < timedelta(minutes=1)
        assert kept.now() > told
        assert abs(await clock(connection) - kept.now()) < timedelta(minutes=1)


async def test_a_skewed_database_is_skewed_wherever_the_program_asks(database_url: str) -> None:
    """What these tests stand on: now() and clock_timestamp() both lie there."""
    await skew(database_url, timedelta(hours=3))
    connection = await asyncpg.connect(database_url)
    for told in ("now()", "clock_timestamp()"):
        apart = await connection.fetchval(f"select {told} - pg_catalog.clock_timestamp()")
        assert abs(apart - timedelta(hours=3)) < timedelta(minutes=1)
    await connection.close()
