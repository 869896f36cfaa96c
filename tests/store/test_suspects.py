"""Notes of suspects outlive whoever wrote them."""

import asyncio

import asyncpg
import pytest

from consumer.message import UnavailableError
from consumer.store.pool import Database, opened
from consumer.store.suspects import SuspectNotes

KEY, OTHER = b"a" * 32, b"b" * 32


async def test_a_note_counts_until_it_is_cleared(pool: Database, database_url: str) -> None:
    """Another process reads what this one wrote; each message has its own count."""
    notes = SuspectNotes(pool)
    assert await notes.begun(KEY) == 0
    for _ in range(3):
        await notes.begin(KEY)
    await notes.begin(OTHER)
    async with opened(database_url, 2) as later:
        assert await SuspectNotes(later).begun(KEY) == 3
        await SuspectNotes(later).clear(KEY)
    assert (await notes.begun(KEY), await notes.begun(OTHER)) == (0, 1)


async def test_those_that_come_together_are_noted_together(pool: Database) -> None:
    """Each gets its own count back, also where one is there twice."""
    notes = SuspectNotes(pool)
    await notes.begin(KEY)
    await asyncio.gather(*(notes.begin(key) for key in (OTHER, KEY, KEY, b"c")))
    assert await asyncio.gather(*map(notes.begun, (KEY, b"d", OTHER, KEY))) == [2, 0, 1, 2]
    await asyncio.gather(*map(notes.clear, (KEY, OTHER)))
    assert await asyncio.gather(*map(notes.begun, (KEY, OTHER, b"c"))) == [0, 0, 1]


async def test_what_nobody_asks_for_any_more_is_forgotten(
    pool: Database, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """A message that was purged leaves no row for ever; one that comes late keeps its own."""
    notes = SuspectNotes(pool)
    await notes.begin(KEY)
    await notes.begin(OTHER)
    await connection.execute("update lifecycle.suspect set begun_at = now() - interval '8 days'")
    await notes.begin(KEY)
    assert (await notes.begun(KEY), await notes.begun(OTHER)) == (2, 0)


async def test_a_note_that_cannot_be_kept_is_not_the_messages_fault(
    pool: Database, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Whatever the database says, the message is tried again later."""
    await connection.execute("drop table lifecycle.suspect")
    notes = SuspectNotes(pool)
    for asked in (notes.begun, notes.begin, notes.clear):
        with pytest.raises(UnavailableError, match="suspect"):
            await asked(KEY)
