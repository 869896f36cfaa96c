"""The way out: outbox rows become messages, are published, confirmed, and forgotten."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from consumer.message import Outbound, UnavailableError
from consumer.observe import say
from consumer.relay.compose import Composer
from consumer.relay.verdict import judge
from consumer.store.outbox import (
    Flying,
    Taken,
    confirm_outbox,
    leave_relay,
    take_outbox,
    try_relay,
)
from consumer.store.pool import Connection, Database

Publish = Callable[
    [Sequence[Outbound]], Awaitable[Sequence[Literal["confirmed", "returned", "failed"]]]
]

_CHUNK = 1000
_CHUNK_BYTES = 4_000_000
_AT_ONCE = 3
"""Chunks under way: the broker is at one while the next is taken and composed."""
_SWEEP = 30.0
_LONGEST_PAUSE = 15.0


@dataclass(frozen=True, slots=True)
class _Flight:
    """A chunk under way. `receipts` are by place: a row without a message has none."""

    taken: Sequence[Taken]
    receipts: asyncio.Task[Mapping[int, str]]

    @property
    def full(self) -> bool:
        return len(self.taken) == _CHUNK


class Relay:
    """Empties the outbox, one relay at a time, in the order in which things were decided.

    `wake` is set by the database when the outbox grew; a slow sweep stands behind it for a wake
    that was lost with the process that got it.
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
        pause = 0.1
        while not stop.is_set():
            self._wake.clear()
            try:
                await self._drain()
                pause = 0.1
                await self._sleep(stopping)
            except UnavailableError as error:
                say("relay.paused", why=str(error), again_in=pause)
                await asyncio.wait([stopping], timeout=pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
        with suppress(UnavailableError):
            await self._drain()

    async def _sleep(self, stopping: asyncio.Task[bool]) -> None:
        woken = asyncio.create_task(self._wake.wait())
        await asyncio.wait(
            [woken, stopping], timeout=self._sweep, return_when=asyncio.FIRST_COMPLETED
        )
        woken.cancel()

    async def _drain(self) -> None:
        """Publish until nothing is left, unless another process is at it."""
        async with self._database.connection() as connection:
            if not await try_relay(connection):
                return
            flights: deque[_Flight] = deque()
            try:
                while await self._fill(connection, flights):
                    await self._land(connection, flights.popleft())
            finally:
                if flights:
                    await asyncio.wait([flight.receipts for flight in flights])
            await leave_relay(connection)

    async def _fill(self, connection: Connection, flights: deque[_Flight]) -> bool:
        """Start chunks as long as there is a backlog. False: nothing is left, nor under way."""
        while not flights or (flights[-1].full and len(flights) < _AT_ONCE):
            taken = await take_outbox(connection, _CHUNK, _CHUNK_BYTES, _flying(flights))
            if not taken:
                break
            flights.append(_Flight(taken, asyncio.create_task(self._sent(taken))))
        return bool(flights)

    async def _sent(self, taken: Sequence[Taken]) -> Mapping[int, str]:
        """Publish a chunk; give the receipt of each row that had something to send."""
        compose = Composer().outbound
        messages = {
            place: message
            for place, one in enumerate(taken)
            if (message := compose(one)) is not None
        }
        say("outbox.taken", count=len(messages))
        receipts = await self._publish([*messages.values()]) if messages else []
        say("outbox.published", count=len(messages))
        return dict(zip(messages, receipts, strict=True))

    async def _land(self, connection: Connection, flight: _Flight) -> None:
        """Wait for a chunk's receipts, and note what was confirmed."""
        verdict = judge(flight.taken, await flight.receipts, full=flight.full)
        await confirm_outbox(connection, verdict.done, verdict.partly, verdict.failed)
        say("outbox.confirmed", count=len(verdict.done), broken=verdict.broken)
        if verdict.broken:
            raise UnavailableError(verdict.broken)


def _flying(flights: Sequence[_Flight]) -> Flying:
    """Tell what is under way, so that it is not taken again: rows, and part of a fan-out."""
    if not flights:
        return Flying()
    seqs = {one.seq for flight in flights for one in flight.taken}
    last = flights[-1].taken[-1]
    if last.target is None or not flights[-1].full:
        return Flying(seqs)
    return Flying(seqs - {last.seq}, last.seq, last.target.workspace_id)
