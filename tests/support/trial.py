"""What every trial by fault does: a load, the faults, a full drain, and the account."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import asdict
from random import Random
from typing import TypeAlias

import asyncpg

from tests.support.checker import Account, account, drained
from tests.support.load import REPLIES, Load
from tests.support.program import process
from tests.support.report import PROPERTY, Row
from tests.support.siege import Urls

SEED = int(os.environ.setdefault("FAULTS_SEED", str(int(time.time()))))
SECONDS = float(os.environ.setdefault("FAULTS_SECONDS", "20"))
"""How long each configuration goes on. Both are left in the environment for other processes."""
SETTINGS = {"LIFECYCLE_REPLY_TO_ALLOW": REPLIES, "LIFECYCLE_LOG_LEVEL": "error"}
A_ROUND = 12
"""Commands that are sent around each fault."""
_A_LOOK = 0.05


class Trial:
    """One configuration under way.

    Attributes:
        random: drawn from the seed and the fault.
        times, kills: how many faults were injected, and SIGKILLs of the program among them.

    """

    def __init__(self, fault: str) -> None:
        self.fault, self.random = fault, Random(f"{SEED} {fault}")
        self.times = self.kills = 0
        self._end = time.monotonic() + SECONDS

    def again(self, times: int = 1, *, kills: int = 0) -> Iterator[int]:
        """Go on for FAULTS_SECONDS, once at least; each turn injects so many faults."""
        while self.times == 0 or time.monotonic() < self._end:
            self.times += times
            self.kills += kills
            yield self.times


Trying: TypeAlias = Callable[[str, Urls, Load], AbstractAsyncContextManager[Trial]]
"""Begins a trial by a fault, whose block does the harm, and whose end settles the account."""


@asynccontextmanager
async def trial(
    put: Callable[[str, object], None], fault: str, urls: Urls, sent: Load
) -> AsyncIterator[Trial]:
    """Hold a trial; `put` takes its row of the report."""
    going = Trial(fault)
    async with stalls(urls, sent) as stall:
        yield going
    found = await settled(urls, sent)
    row = Row(
        fault,
        going.times,
        going.kills,
        found.sent,
        found.outcomes,
        len(found.lost),
        len(found.unexpected),
        len(found.doubled),
        found.repeated,
        stall.longest,
    )
    put(PROPERTY, asdict(row))
    assert found.valid(), found


class Stall:
    """How long nothing was decided although something waited; `longest` is in seconds."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._decided, self._since = 0, time.monotonic()

    def look(self, wanted: int, decided: int) -> None:
        """Note how many commands there are, sent or not, and how many are decided by now."""
        now = time.monotonic()
        if decided > self._decided or decided >= wanted:
            self._decided, self._since = decided, now
        self.longest = max(self.longest, now - self._since)


@asynccontextmanager
async def stalls(urls: Urls, sent: Load) -> AsyncIterator[Stall]:
    """Watch, for the time of a block, for how long no outcome came."""
    stall = Stall()

    async def watch() -> None:
        while True:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                async with connected(urls.database) as connection:
                    while True:
                        query = "select count(*) from lifecycle.operation"
                        stall.look(len(sent.wanted), await connection.fetchval(query))
                        await asyncio.sleep(_A_LOOK)
            await asyncio.sleep(_A_LOOK)

    watching = asyncio.create_task(watch())
    try:
        yield stall
    finally:
        watching.cancel()
        await asyncio.wait([watching])


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Open a connection of the trial's own, to a database that may go at any moment."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        connection.terminate()


async def settled(urls: Urls, sent: Load) -> Account:
    """Let an unharmed program finish everything, and settle the account."""
    settings = SETTINGS | {"LIFECYCLE_LOG_LEVEL": "info"}
    async with (
        connected(urls.database) as connection,
        process(urls.amqp, urls.database, **settings) as program,
    ):
        await program.until("program.started")  # a SIGTERM before that is nobody's order to drain
        assert program.process.stderr is not None
        reading = asyncio.create_task(program.process.stderr.read())
        await sent.open()
        try:
            await drained(sent, connection)
        except AssertionError:
            reading.cancel()  # or the program's end would find somebody at its log
            raise
        program.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            await reading
            assert await program.process.wait() == 0
        return await account(sent, sent.channel, connection)
