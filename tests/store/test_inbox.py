"""The inbox: a command is remembered once, also when it comes twice at the same time."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import asyncpg

from consumer.operation import Origin
from tests.store.carried import blocked, operation
from tests.support.one import claim, stored_answer

ORIGIN = Origin(
    action="pause", source="tests", message_id="1", key="1", digest=b"digest", app_id="tests"
)


async def test_a_command_is_fresh_once(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """The same id is known the second time; another id, or another sender's, is not."""
    assert (await claim(connection, ORIGIN, uuid4())).fresh
    assert not (await claim(connection, ORIGIN, uuid4())).fresh
    assert (await claim(connection, replace(ORIGIN, key="2"), uuid4())).fresh
    assert (await claim(connection, replace(ORIGIN, source="others"), uuid4())).fresh


async def test_the_stored_answer_is_the_first_ones(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """A second delivery finds the operation, the digest and the answer of the first."""
    first = await operation(connection)
    await claim(connection, ORIGIN, first)
    await claim(connection, replace(ORIGIN, digest=b"another"), uuid4())
    stored = await stored_answer(connection, replace(ORIGIN, digest=b"another"))
    assert (stored.operation_id, stored.digest) == (first, b"digest")
    assert stored.answer_type == "workspace.pause.summary"


async def test_a_claim_waits_for_a_concurrent_one_and_finds_its_answer(
    connection: "asyncpg.Connection[asyncpg.Record]",
    second: "asyncpg.Connection[asyncpg.Record]",
    third: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """While one transaction remembers an id, another waits, is not fresh, and can answer."""
    transaction = connection.transaction()
    await transaction.start()
    first = await operation(connection)
    assert (await claim(connection, ORIGIN, first)).fresh
    async with second.transaction():
        waiting = asyncio.create_task(claim(second, ORIGIN, uuid4()))
        await blocked(third, connection.get_server_pid())
        assert not waiting.done()
        await transaction.commit()
        assert not (await waiting).fresh
        assert (await stored_answer(second, ORIGIN)).operation_id == first


async def test_a_claim_that_was_rolled_back_was_never_made(
    connection: "asyncpg.Connection[asyncpg.Record]",
    second: "asyncpg.Connection[asyncpg.Record]",
    third: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """Where the first transaction fails, the one that waited for it carries the command."""
    transaction = connection.transaction()
    await transaction.start()
    await claim(connection, ORIGIN, uuid4())
    waiting = asyncio.create_task(claim(second, ORIGIN, uuid4()))
    await blocked(third, connection.get_server_pid())
    await transaction.rollback()
    assert (await waiting).fresh


async def test_the_time_of_a_claim_is_the_databases(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """All processes read one clock, and one transaction reads one time on it."""
    async with connection.transaction():
        told = (await claim(connection, ORIGIN, uuid4())).at
        assert told == await connection.fetchval("select now()")
