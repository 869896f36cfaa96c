"""Suspects: messages that came before, more than once, and that nobody lived to end.

What kills a process raises the broker's count of every delivery in hand, of the guilty one and of
the innocent. So that count only tells whom to watch. Who is guilty is told by notes that outlive
the process: a suspect is noted when it is begun, and cleared when it was lived through.
"""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol, TypeVar

from consumer.message import Inbound, UnavailableError, UnreadableError
from consumer.observe import say

T = TypeVar("T")

SUSPECT = 2
"""Earlier deliveries from which on a message is a suspect."""
_TOGETHER: Mapping[int, int] = {0: 65_535, 1: 8}
"""How many suspects may be in their first moments at once, by the notes that each has; else one."""
_GROWTH = 4


class Notes(Protocol):
    """Keeps, beyond the life of a process, how often each suspect was begun and not lived through.

    Each raises UnavailableError where that cannot be done now.
    """

    async def begun(self, key: bytes) -> int:
        """Tell how often."""

    async def begin(self, key: bytes) -> None:
        """Note that it is begun once more."""

    async def clear(self, key: bytes) -> None:
        """Forget it."""


class UnendedError(UnreadableError):
    """The process died each time a message was handled, in the end alone: nobody is answered."""


class OverError(Exception):
    """The session ended while a delivery waited."""


class Suspects:
    """The suspects in hand of one process, from whatever queue.

    Those without a note are begun together: mostly a process died for a reason of its own. Each
    that was begun when it dies again has a note. Then few are begun at once, and at last one. Who
    has more notes waits until all with fewer have ended: the innocent are done first.
    """

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._in_hand: Counter[int] = Counter()  # by their notes, waiting or at work
        self._waiting: Mapping[int, deque[asyncio.Future[None]]] = defaultdict(deque)
        self._watched = 0
        self._level = 0  # the notes of those that are watched now
        self._owed: set[bytes] = set()  # lived through, and not cleared

    async def watch(
        self,
        message: Inbound,
        work: Callable[[], Awaitable[T]],
        most: int,
        seconds: float | None,
        over: asyncio.Event,
    ) -> T:
        """Do `work` in its turn and give its result; it is watched to its end, or for `seconds`.

        Each note makes that four times as long.

        Raises:
            UnendedError: `most` notes tell that it kills whoever does it.
            UnavailableError: it was not begun, since no note can be kept now.
            OverError: `over` came before its turn.

        """
        key, level = _key(message), 0
        self._in_hand[level] += 1  # as long as it is not known
        try:
            notes = await self._read(key)
            if notes >= most:
                raise UnendedError(
                    f"delivered {message.deliveries} times without anyone ending it: the process "
                    f"died each of the {notes} times that it was watched, in the end alone"
                )
            self._in_hand[level] -= 1
            level = notes
            self._in_hand[level] += 1
            async with self._turn(level, over):
                task = await self._begin(key, work)
                await self._live_through(key, task, seconds and seconds * _GROWTH**notes)
            return await task
        finally:
            self._in_hand[level] -= 1
            self._pass_on()

    async def forget(self, message: Inbound) -> None:
        """Forget a message that is no longer in its queue."""
        await self._clear(_key(message))

    async def _read(self, key: bytes) -> int:
        if key in self._owed:
            await self._notes.clear(key)
            self._owed.discard(key)
        return await self._notes.begun(key)

    async def _begin(self, key: bytes, work: Callable[[], Awaitable[T]]) -> asyncio.Future[T]:
        try:
            await self._notes.begin(key)
        except UnavailableError:
            self._owed.add(key)  # it may be there all the same
            raise
        say("suspect.begun")
        return asyncio.ensure_future(work())

    async def _live_through(
        self, key: bytes, task: asyncio.Future[T], seconds: float | None
    ) -> None:
        try:
            await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            await self._clear(key)

    async def _clear(self, key: bytes) -> None:
        try:
            await self._notes.clear(key)
        except UnavailableError as error:
            self._owed.add(key)
            say("suspect.uncleared", why=str(error))

    @asynccontextmanager
    async def _turn(self, level: int, over: asyncio.Event) -> AsyncIterator[None]:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[level].append(turn)
        self._pass_on()
        told = asyncio.ensure_future(over.wait())
        either: list[asyncio.Future[Any]] = [turn, told]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not turn.done():
                raise OverError
            yield
        finally:
            told.cancel()
            self._watched -= turn.done()
            turn.cancel()
            self._pass_on()

    def _pass_on(self) -> None:
        """Give turns to whom they are due."""
        while self._watched < _TOGETHER.get(level := self._lowest(), 1):
            if not self._waiting[level] or (self._watched and level != self._level):
                return
            turn = self._waiting[level].popleft()
            if not turn.done():
                self._watched, self._level = self._watched + 1, level
                turn.set_result(None)

    def _lowest(self) -> int:
        return min((level for level, count in self._in_hand.items() if count), default=0)


@dataclass(frozen=True, slots=True)
class Watch:
    """How the suspects of one queue are watched: to their end, or for so many seconds."""

    suspects: Suspects
    seconds: float | None = None


def _key(message: Inbound) -> bytes:
    """Tell a message from others, also where it has no id."""
    named = message.queue, message.routing_key, message.message_id, message.user_id, message.body
    return sha256(repr(named).encode()).digest()
