"""Figures of one cascade: statements, memory, time. Ratios of what was measured in one run."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import aio_pika
import asyncpg
import psutil
import pytest

from consumer.broker.topology import declare
from tests.support.caller import WireCaller
from tests.support.program import process

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]


@asynccontextmanager
async def started(amqp_url: str, database_url: str) -> AsyncIterator[psutil.Process]:
    """Run the real program as a process of its own; nobody carries the stops out."""
    async with process(amqp_url, database_url, LIFECYCLE_EXECUTOR="none") as program:
        await program.until("program.started")
        assert program.process.stderr is not None
        reading = asyncio.create_task(program.process.stderr.read())
        yield psutil.Process(program.process.pid)
        program.process.terminate()
        await reading


async def plant(connection: "asyncpg.Connection[asyncpg.Record]", count: int) -> UUID:
    """Plant one workspace with `count` - 1 below it, ten to a parent."""
    ids = [uuid4() for _ in range(count)]
    rows = [(one, f"w{i}", ids[(i - 1) // 10] if i else None) for i, one in enumerate(ids)]
    await connection.execute("truncate workspaces, lifecycle.target, lifecycle.outbox")
    await connection.copy_records_to_table(
        "workspaces", records=[(*row, "online") for row in rows],
        columns=["id", "name", "parent_id", "status"],
    )  # fmt: skip
    await connection.execute("analyze workspaces")
    return ids[0]


async def drained(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Wait until everything decided was confirmed by the broker: only asking can tell."""
    while await connection.fetchval(  # noqa: ASYNC110 (the table is another program's)
        "select exists (select from lifecycle.outbox)"
    ):
        await asyncio.sleep(0.005)


async def cascade(
    caller: WireCaller, connection: "asyncpg.Connection[asyncpg.Record]", count: int
) -> float:
    """Pause a tree; give the seconds from the command to the last confirmed stop."""
    top = await plant(connection, count)
    began = time.perf_counter()
    answer = await caller.pause(top, cascade=True)
    assert answer.data["paused_count"] == count
    await drained(connection)
    return time.perf_counter() - began


async def one_by_one(amqp_url: str, body: bytes, count: int) -> float:
    """Publish as many messages with a confirm awaited for each; give the seconds."""
    connection = await aio_pika.connect(amqp_url)
    channel = await connection.channel()
    exchange = await channel.get_exchange("workspace.commands")
    began = time.perf_counter()
    for _ in range(count):
        message = aio_pika.Message(body, delivery_mode=2, message_id=str(uuid4()))
        await exchange.publish(message, "workspace.stop")
    seconds = time.perf_counter() - began
    await connection.close()
    return seconds


async def test_a_cascade_of_ten_thousand_beside_a_loop_of_awaited_publishes(
    amqp_url: str, database_url: str, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """A cascade, database and all, takes less time than publishing its stops one by one."""
    await declare(amqp_url)
    async with started(amqp_url, database_url), await aio_pika.connect(amqp_url) as broker:
        caller = await WireCaller.on(broker, listen=False)
        await cascade(caller, connection, 100)
        ours = sorted([await cascade(caller, connection, 10_000) for _ in range(3)])[1]
        body = json.dumps({"data": "x" * 700}).encode()
        plain = sorted([await one_by_one(amqp_url, body, 10_000) for _ in range(3)])[1]
    print(f"\n10,000 stops: ours {ours:.2f} s, one by one {plain:.2f} s, {plain / ours:.1f} x")
    assert ours < plain


async def test_memory_stays_flat_during_a_cascade_of_a_hundred_thousand(
    amqp_url: str, database_url: str, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """The fan-out is streamed: ten times the tree is not ten times the memory."""
    await declare(amqp_url)
    peaks = {}
    async with (
        started(amqp_url, database_url) as program,
        await aio_pika.connect(amqp_url) as broker,
    ):
        caller = await WireCaller.on(broker, listen=False)
        for count in (10_000, 100_000):
            watching = asyncio.create_task(peak(program))
            seconds = await cascade(caller, connection, count)
            watching.cancel()
            peaks[count] = await watching
            print(f"\n{count:,}: {seconds:.1f} s, peak RSS {peaks[count] / 1e6:.0f} MB")
    assert peaks[100_000] < 1.5 * peaks[10_000]


async def peak(process: psutil.Process) -> int:
    """Give the highest resident size, in bytes, until cancelled."""
    highest = 0
    try:
        while True:
            highest = max(highest, process.memory_info().rss)
            await asyncio.sleep(0.02)
    except asyncio.CancelledError:
        return highest
