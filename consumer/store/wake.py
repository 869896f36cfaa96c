"""LISTEN: the database wakes the relay; nobody asks it in a loop."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg

from consumer.observe import say
from consumer.store.keepalive import keep_alive
from consumer.store.pool import AWAY, text_of

_CHANNEL = "lifecycle_outbox"
_LONGEST_PAUSE = 15.0


class Wake:
    """A connection that listens, as a service. It sets `event` whenever the outbox grew.

    It sets it as well each time it has connected, because what was notified meanwhile is lost.
    (PostgreSQL documentation, NOTIFY.)
    """

    def __init__(self, url: str, event: asyncio.Event) -> None:
        self._url = url
        self._event = event

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Listen until `stop`, connecting again as often as it takes."""
        pause = 0.1
        while not stop.is_set():
            try:
                await self._listen(ready, stop)
                pause = 0.1
            except (*AWAY, asyncpg.PostgresError) as error:
                say("wake.lost", why=text_of(error), again_in=pause)
                await _wait(stop, pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def _listen(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        connection = await asyncpg.connect(self._url, timeout=10)
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        try:
            await keep_alive(connection)
            await connection.add_listener(_CHANNEL, self._notified)
            self._event.set()
            say("wake.started")
            ready()
            await _first(stop, lost)
        finally:
            connection.terminate()
        if lost.is_set() and not stop.is_set():
            say("wake.lost", why="the connection was closed", again_in=0)

    def _notified(self, *_: Any) -> None:
        self._event.set()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return


async def _first(*events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
