"""LISTEN: the outbox wakes the relay, also after the listening connection was lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from consumer.observe import listening
from consumer.store.wake import Wake
from tests.store.carried import operation
from tests.support.one import outgoing, put_outbox

_LET_IN_AND_ENDED = {
    b"R": bytes(4),  # AuthenticationOk
    b"S": b"server_version\x0018\x00",  # ParameterStatus
    b"Z": b"I",  # ReadyForQuery
    b"E": b"SFATAL\x00C57P01\x00Mended\x00\x00",  # ErrorResponse
}
"""What a session is told that is ended as soon as it was let in."""
LISTENERS = """
select pid from pg_stat_activity
where datname = current_database() and query ilike 'listen%' and pid <> pg_backend_pid()
"""


@asynccontextmanager
async def awake(url: str, event: asyncio.Event) -> AsyncIterator[None]:
    """Run the service until the block ends; it is ready when the block begins."""
    ready, stop = asyncio.Event(), asyncio.Event()
    service = asyncio.create_task(Wake(url, event).run(ready.set, stop))
    await asyncio.wait_for(ready.wait(), 10)
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(service, 10)


async def woken(event: asyncio.Event) -> None:
    """Wait for the event and take it."""
    await asyncio.wait_for(event.wait(), 10)
    event.clear()


async def put(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Put a message into the outbox."""
    message = outgoing("event", "t", body=b"")
    await put_outbox(connection, await operation(connection), [message])


async def test_a_message_in_the_outbox_wakes(
    database_url: str, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """The event is set when it begins to listen, and again for each commit that adds a message."""
    event = asyncio.Event()
    async with awake(database_url, event):
        await woken(event)
        for _ in range(2):
            await put(connection)
            await woken(event)


async def test_only_what_was_committed_wakes(
    database_url: str, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """A transaction wakes nobody before it commits: there would be nothing to see."""
    event, heard = asyncio.Event(), asyncio.Event()

    def hear(*_: Any) -> None:
        heard.set()

    await connection.add_listener("lifecycle_outbox", hear)
    async with awake(database_url, event):
        await woken(event)
        async with connection.transaction():
            await put(connection)
            await connection.fetchval("select 1")
            assert not heard.is_set()
            assert not event.is_set()
        await woken(event)
    await connection.remove_listener("lifecycle_outbox", hear)


async def test_it_listens_again_after_its_backend_was_terminated(
    database_url: str, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """A lost connection is said, and what was notified meanwhile is made up for by one wake."""
    event = asyncio.Event()
    facts: list[str] = []

    def notice(fact: str, _: Any) -> None:
        facts.append(fact)

    with listening(notice):
        async with awake(database_url, event):
            await woken(event)
            for _ in range(2):
                pids = [row["pid"] for row in await connection.fetch(LISTENERS)]
                assert len(pids) == 1
                await connection.fetchval("select pg_terminate_backend($1, 5000)", pids[0])
                await woken(event)
                await put(connection)
                await woken(event)
    assert facts == ["wake.started", *["wake.lost", "wake.started"] * 2]


async def test_a_session_that_is_ended_before_it_listens_is_no_end_of_the_program() -> None:
    """Between being let in and listening, asyncpg has an error of its own for it."""
    stop, said = asyncio.Event(), list[str]()

    async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        for kind, told in _LET_IN_AND_ENDED.items():
            writer.write(kind + (4 + len(told)).to_bytes(4) + told)
        await reader.read()
        writer.close()

    def notice(fact: str, fields: Any) -> None:
        said.append(f"{fact} {fields['why']}")
        if len(said) == 2:
            stop.set()

    async with await asyncio.start_server(end, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"postgresql://nobody@127.0.0.1:{port}/none?sslmode=disable"
        with listening(notice):
            await asyncio.wait_for(Wake(url, asyncio.Event()).run(stop.clear, stop), 10)
    assert said[0].startswith("wake.lost InternalClientError")


async def test_it_waits_for_a_database_that_is_not_there_and_can_be_stopped() -> None:
    """No server is no error of the program: it is said, tried again, and ends when told."""
    stop, said = asyncio.Event(), asyncio.Event()
    with listening(lambda fact, _: said.set() if fact == "wake.lost" else None):
        wake = Wake("postgresql://nobody@127.0.0.1:1/none", asyncio.Event())
        service = asyncio.create_task(wake.run(stop.clear, stop))
        await asyncio.wait_for(said.wait(), 10)
        assert not service.done()
        stop.set()
        await asyncio.wait_for(service, 10)
