"""One emptying of the outbox: chunks in their order, and replies ahead where much waits."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

from consumer.message import Outbound, UnavailableError
from consumer.observe import say
from consumer.relay.compose import Composer
from consumer.relay.floor import Floor
from consumer.relay.verdict import judge
from consumer.store.outbox import (
    Flying,
    Taken,
    confirm_outbox,
    horizon,
    take_outbox,
    take_replies,
)
from consumer.store.pool import Connection

Receipt = Literal["confirmed", "returned", "failed"]
Publish = Callable[[Sequence[Outbound]], Awaitable[Sequence[Receipt]]]

_CHUNK = 1000
_CHUNK_BYTES = 4_000_000
_REPLIES = 500
_AT_ONCE = 3
"""Chunks under way: the broker is at one while the next is taken and composed."""


@dataclass(frozen=True, slots=True)
class _Flight:
    """A chunk under way. `receipts` are by place: a row without a message has none.

    Attributes:
        ahead: it is replies that went ahead.

    """

    taken: Sequence[Taken]
    receipts: asyncio.Task[Mapping[int, str]]
    ahead: bool

    @property
    def full(self) -> bool:
        return not self.ahead and len(self.taken) == _CHUNK


class Backlog:
    """Empties the outbox over a connection that has the right to, and is done then.

    What was decided first leaves first, save that replies do not wait behind more than a chunk:
    somebody waits for each, most likely for the newest, and they promise no order.
    """

    def __init__(self, connection: Connection, publish: Publish) -> None:
        self._connection, self._publish = connection, publish
        self._flights: deque[_Flight] = deque()
        self._long = False
        self._highest = 0
        self._floor, self._replies_floor = Floor(), Floor()

    async def drain(self) -> None:
        """Publish until nothing is left.

        Raises:
            UnavailableError: something was not confirmed; it stays, with all behind it.

        """
        try:
            while await self._fill():
                await self._land(self._flights.popleft())
        finally:
            if self._flights:
                await asyncio.wait([flight.receipts for flight in self._flights])

    async def _fill(self) -> bool:
        """Start chunks as long as much waits. False: nothing is left, nor under way."""
        while self._has_room():
            if self._long:
                await self._look_ahead()
            taken = await take_outbox(
                self._connection, _CHUNK, _CHUNK_BYTES, _flying(self._flights), self._floor.seq
            )
            if not taken:
                break
            self._long = self._long or _is_cut(taken)
            self._start(taken)
        return bool(self._flights)

    def _has_room(self) -> bool:
        chunks = [flight for flight in self._flights if not flight.ahead]
        return not chunks or (chunks[-1].full and len(chunks) < _AT_ONCE)

    async def _look_ahead(self) -> None:
        """Send replies ahead, and learn where taking may begin."""
        seen = await horizon(self._connection)
        for floor in (self._floor, self._replies_floor):
            floor.ask(seen, self._highest)
        flying = {one.seq for flight in self._flights for one in flight.taken}
        replies = await take_replies(
            self._connection, _REPLIES, _CHUNK_BYTES, flying, self._replies_floor.seq
        )
        if replies:
            self._start(replies, ahead=True)
        if not _is_cut(replies, _REPLIES):
            self._replies_floor.rise(_lowest(self._flights, ahead=True))

    def _start(self, taken: Sequence[Taken], *, ahead: bool = False) -> None:
        self._highest = max(self._highest, taken[-1].seq)
        flight = _Flight(taken, asyncio.create_task(self._sent(taken)), ahead)
        self._flights.append(flight)
        if not ahead:
            self._floor.rise(_lowest(self._flights))

    async def _sent(self, taken: Sequence[Taken]) -> Mapping[int, str]:
        """Publish a chunk; give the receipt of each row that had something to send."""
        compose = Composer().outbound
        messages = {
            place: message
            for place, one in enumerate(taken)
            if (message := compose(one)) is not None
        }
        say("outbox.taken", count=len(messages))
        began = perf_counter()
        receipts = await self._publish([*messages.values()]) if messages else []
        say("outbox.published", count=len(messages), seconds=perf_counter() - began)
        return dict(zip(messages, receipts, strict=True))

    async def _land(self, flight: _Flight) -> None:
        """Wait for a chunk's receipts, and note what was confirmed."""
        verdict = judge(flight.taken, await flight.receipts, full=flight.full)
        await confirm_outbox(self._connection, verdict.done, verdict.partly, verdict.failed)
        say("outbox.confirmed", count=len(verdict.done), broken=verdict.broken)
        if verdict.broken:
            raise UnavailableError(verdict.broken)


def _is_cut(taken: Sequence[Taken], most: int | None = None) -> bool:
    """Tell whether more may wait than was taken: by its number, or by its bytes."""
    size = sum(len(one.body or b"") for one in taken)
    return len(taken) == (most or _CHUNK) or 2 * size > _CHUNK_BYTES


def _lowest(flights: Iterable[_Flight], *, ahead: bool = False) -> int | None:
    return min((f.taken[0].seq for f in flights if f.ahead or not ahead), default=None)


def _flying(flights: Sequence[_Flight]) -> Flying:
    """Tell what is under way, so that it is not taken again: rows, and part of a fan-out."""
    chunks = [flight for flight in flights if not flight.ahead]
    seqs = {one.seq for flight in flights for one in flight.taken}
    if not chunks:
        return Flying(seqs)
    last = chunks[-1].taken[-1]
    if last.target is None or not chunks[-1].full:
        return Flying(seqs)
    return Flying(seqs - {last.seq}, last.seq, last.target.workspace_id)
