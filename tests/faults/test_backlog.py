"""A million rows wait in the outbox: they drain with flat memory, and callers are answered."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import aio_pika
import asyncpg
import psutil
import pytest

from tests.support.backlog import LEFT, fill
from tests.support.caller import WireCaller
from tests.support.program import Process, process
from tests.support.siege import Urls

ROWS = int(os.environ.get("FAULTS_ROWS", "1000000"))
MOST_BYTES = 150_000_000


@dataclass
class Seen:
    """What was seen while it drained.

    Attributes:
        waits: seconds that each caller waited, while events that were decided before still did.
        resident: the most bytes that the process had in memory.

    """

    waits: list[float] = field(default_factory=list)
    resident: int = 0


async def look(program: Process, seen: Seen) -> None:
    """Look at the process's memory."""
    while True:
        seen.resident = max(seen.resident, psutil.Process(program.process.pid).memory_info().rss)
        await asyncio.sleep(0.1)


async def ask(url: str, connection: "asyncpg.Connection[asyncpg.Record]", seen: Seen) -> None:
    """Ask again and again, until nothing is left."""
    async with await aio_pika.connect(url) as line:
        caller = await WireCaller.on(line, listen=False)
        while True:
            began = time.monotonic()
            await caller.pause(uuid4())
            if await connection.fetchval(LEFT) < 2000:
                return
            seen.waits.append(time.monotonic() - began)


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("snapshot", [False, True], ids=["clean", "under an old snapshot"])
async def test_a_million_rows_drain_with_flat_memory(
    urls: Urls, connection: "asyncpg.Connection[asyncpg.Record]", *, snapshot: bool
) -> None:
    """Whoever asks meanwhile has the answer long before; a dump of the database slows nothing."""
    await fill(connection, ROWS)
    seen = Seen()
    bounded = {"LIFECYCLE_AUDIT_MAX_BYTES": "50000000"}
    async with (
        looking_back(urls.database, snapshot),
        process(urls.amqp, urls.database, **bounded) as program,
    ):
        await program.until("program.started")
        assert program.process.stderr is not None
        reading = asyncio.create_task(program.process.stderr.read())
        began = time.monotonic()
        looking = asyncio.create_task(look(program, seen))
        await ask(urls.amqp, connection, seen)
        took = time.monotonic() - began
        looking.cancel()
        program.process.terminate()
        await reading
    print(f"\n{ROWS:,} rows in {took:.0f} s, {ROWS / took:,.0f} a second, ", end="")
    print(
        f"{seen.resident / 1e6:.0f} MB; {len(seen.waits)} callers, {max(seen.waits):.1f} s at most"
    )
    assert len(seen.waits) > 5
    assert seen.resident < MOST_BYTES


@asynccontextmanager
async def looking_back(url: str, wanted: bool) -> AsyncIterator[None]:
    """Hold a snapshot from before for the time of a block, as a dump does."""
    connection = await asyncpg.connect(url)
    if wanted:
        await connection.execute("begin isolation level repeatable read")
        await connection.fetchval(LEFT)
    try:
        yield
    finally:
        await connection.close()
