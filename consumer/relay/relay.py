"""The way out: outbox rows become messages, are published, confirmed, and forgotten."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from consumer.message import UnavailableError
from consumer.observe import say
from consumer.relay.backlog import Backlog, Publish
from consumer.store.outbox import leave_relay, try_relay
from consumer.store.pool import Database

_SWEEP = 300.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 15.0


class Relay:
    """Empties the outbox, one relay at a time, in the order in which things were decided.

    `wake` is set by the database when the outbox grew. Where another process is at it, this one
    looks again soon, for that one may die; else only a slow sweep stands behind the wakes.
    """

    def __init__(
        self, database: Database, publish: Publish, wake: asyncio.Event, sweep: float = _SWEEP
    ) -> None:
        self._database = database
        self._publish = publish
        self._wake = wake
        self._sweep = sweep

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Publish until `stop`, then once more what is there by then."""
        ready()
        stopping = asyncio.create_task(stop.wait())
        pause = _SHORTEST_PAUSE
        while not stop.is_set():
            self._wake.clear()
            emptied = False
            try:
                emptied = await self._drain()
                await self._sleep(stopping, self._sweep if emptied else pause)
            except UnavailableError as error:
                say("relay.paused", why=str(error), again_in=pause)
                await asyncio.wait([stopping], timeout=pause)
            pause = _SHORTEST_PAUSE if emptied else min(pause * 2, _LONGEST_PAUSE)
        with suppress(UnavailableError):
            await self._drain()

    async def _sleep(self, stopping: asyncio.Task[bool], seconds: float) -> None:
        woken = asyncio.create_task(self._wake.wait())
        await asyncio.wait([woken, stopping], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        woken.cancel()

    async def _drain(self) -> bool:
        """Publish until nothing is left; False where another process is at it."""
        async with self._database.connection() as connection:
            if not await try_relay(connection):
                return False
            await Backlog(connection, self._publish).drain()
            await leave_relay(connection)
        return True
