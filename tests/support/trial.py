"""What every trial by fault does: a load, the faults, a full drain, and the account."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from tests.support.checker import Account, account, drained
from tests.support.load import REPLIES, Load
from tests.support.program import process
from tests.support.siege import Urls

SEED = int(os.environ.get("FAULTS_SEED", "0")) or int(time.time())
SETTINGS = {"LIFECYCLE_REPLY_TO_ALLOW": REPLIES, "LIFECYCLE_LOG_LEVEL": "error"}
A_ROUND = 12
"""Commands that are sent around each fault."""
_A_LOOK = 0.05


class Stall:
    """How long nothing was decided although something waited; `longest` is in seconds."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._decided, self._since = 0, time.monotonic()

    def look(self, sent: int, decided: int) -> None:
        """Note how many commands were sent and how many are decided by now."""
        now = time.monotonic()
        if decided > self._decided or decided >= sent:
            self._decided, self._since = decided, now
        self.longest = max(self.longest, now - self._since)


@asynccontextmanager
async def stalls(urls: Urls, sent: Load) -> AsyncIterator[Stall]:
    """Watch, for the time of a block, for how long no outcome came."""
    stall = Stall()

    async def watch() -> None:
        while True:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                connection = await asyncpg.connect(urls.database)
                while True:
                    query = "select count(*) from lifecycle.operation"
                    stall.look(len(sent.sent), await connection.fetchval(query))
                    await asyncio.sleep(_A_LOOK)
            await asyncio.sleep(_A_LOOK)

    watching = asyncio.create_task(watch())
    try:
        yield stall
    finally:
        watching.cancel()
        await asyncio.wait([watching])


async def settled(
    urls: Urls, sent: Load, connection: "asyncpg.Connection[asyncpg.Record]"
) -> Account:
    """Let an unharmed program finish everything, and settle the account."""
    settings = SETTINGS | {"LIFECYCLE_LOG_LEVEL": "info"}
    async with process(urls.amqp, urls.database, **settings) as program:
        await program.until("program.started")  # a SIGTERM before that is nobody's order to drain
        assert program.process.stderr is not None
        reading = asyncio.create_task(program.process.stderr.read())
        await sent.open()
        await drained(sent.channel, connection)
        program.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            await reading
            assert await program.process.wait() == 0
    return await account(sent, sent.channel, connection)


def report(fault: str, times: int, found: Account, stall: Stall) -> None:
    """Print a line of the report's table, and what replays it."""
    counts = (found.sent, found.outcomes, len(found.lost), len(found.unexpected))
    more = (len(found.doubled), found.repeated, f"{stall.longest:.1f} s")
    print(f"\nFAULTS_SEED={SEED}")
    print("| " + " | ".join(map(str, (fault, times, *counts, *more))) + " |")
