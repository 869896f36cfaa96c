"""The marks of the archive: a cut is decided once, whoever decides it."""

import asyncio

import asyncpg

from consumer.store.archive import (
    claim_mark,
    finish_mark,
    newest_marks,
    previous_manifest,
    try_archive,
)
from consumer.store.pool import Database
from tests.audit.filling import NOON
from tests.support.forest import Forest


async def test_a_cut_is_decided_once(pool: Database) -> None:
    """Whoever comes second is given what holds."""

    async def claim(last: int) -> int:
        async with pool.connection() as connection:
            return (await claim_mark(connection, 1, 0, last, NOON)).last_offset

    decided = await asyncio.gather(*map(claim, range(5, 9)))
    assert len(set(decided)) == 1


async def test_who_waited_for_a_decision_is_given_it(pool: Database, forest: Forest) -> None:
    """It was committed after the question was asked, and holds all the same."""
    async with pool.connection() as first, pool.connection() as second:
        async with first.transaction():
            await claim_mark(first, 1, 0, 5, NOON)
            waiting = asyncio.create_task(claim_mark(second, 1, 0, 6, NOON))
            await forest.waited_for()
        assert (await waiting).last_offset == 5


async def test_marks_are_chained_in_order(pool: Database) -> None:
    """Newest first; the manifest before one is that of the cut before, over epochs too."""
    async with pool.connection() as connection:
        assert await newest_marks(connection, 9) == []
        assert await previous_manifest(connection, 1, 0) is None
        for epoch, first in ((1, 0), (1, 10), (2, 3)):
            await claim_mark(connection, epoch, first, first + 5, NOON)
            await finish_mark(connection, epoch, first, f"m{epoch}{first}", f"t{first}")
        assert await previous_manifest(connection, 1, 0) is None
        assert await previous_manifest(connection, 1, 10) == "m10"
        assert await previous_manifest(connection, 2, 3) == "m110"
        marks = await newest_marks(connection, 2)
    assert [(mark.epoch, mark.first_offset, mark.tail) for mark in marks] == [
        (2, 3, "t3"), (1, 10, "t10"),
    ]  # fmt: skip


async def test_one_archives_at_a_time(
    pool: Database, second: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """And another when that one's session has ended."""
    async with pool.connection() as connection:
        assert await try_archive(connection)
        assert not await try_archive(second)
    assert await try_archive(second)
