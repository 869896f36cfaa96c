"""Suspects: messages that came before, more than once, and that nobody lived to end.

What kills a process raises the broker's count of every delivery in hand, of the guilty one and of
the innocent. So that count only tells whom to watch. Who is guilty is told by notes that outlive
the process: suspects are begun one at a time, each is noted then, and cleared when it was lived
through.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol, TypeVar

from consumer.message import Inbound, UnavailableError, UnreadableError
from consumer.observe import say

T = TypeVar("T")

SUSPECT = 2
"""Earlier deliveries from which on a message is a suspect."""


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
    """The process died each time a message was handled alone: nobody will be answered."""


class OverError(Exception):
    """The session ended while a delivery waited."""


class Suspects:
    """The suspects in hand of one process, from whatever queue, begun one after the other.

    One with a note waits until all without have ended, and nothing is begun beside it before its
    end. So a process that dies leaves a note of one message alone, and the innocent are done first.
    """

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._fresh: deque[asyncio.Future[None]] = deque()
        self._noted: deque[asyncio.Future[None]] = deque()
        self._unnoted = 0  # in hand, waiting or at work
        self._busy = False
        self._owed: set[bytes] = set()  # lived through, and not cleared

    async def watch(
        self,
        message: Inbound,
        work: Callable[[], Awaitable[T]],
        most: int,
        seconds: float | None,
        over: asyncio.Event,
    ) -> T:
        """Do `work`, alone: to its end or, without a note, for `seconds`; give its result.

        Raises:
            UnendedError: `most` notes tell that it kills whoever does it.
            UnavailableError: it was not begun, since no note can be kept now.
            OverError: `over` came before its turn.

        """
        key = _key(message)
        with ExitStack() as stack:
            stack.enter_context(self._counted())
            notes = await self._read(key)
            if notes >= most:
                raise UnendedError(
                    f"delivered {message.deliveries} times without anyone ending it: the process "
                    f"died each of the {notes} times that it was handled alone"
                )
            if notes:
                stack.close()
            async with self._turn(self._noted if notes else self._fresh, over):
                task = await self._begin(key, work)
                await self._live_through(key, task, None if notes else seconds)
            return await task

    async def forget(self, message: Inbound) -> None:
        """Forget a message that is no longer in its queue."""
        await self._clear(_key(message))

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Count a message among those that may have no note, which have to end first."""
        self._unnoted += 1
        try:
            yield
        finally:
            self._unnoted -= 1
            self._pass_on()

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
    async def _turn(
        self, queue: deque[asyncio.Future[None]], over: asyncio.Event
    ) -> AsyncIterator[None]:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
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
            self._busy = self._busy and not turn.done()
            turn.cancel()
            self._pass_on()

    def _pass_on(self) -> None:
        """Give the turn to whom it is due."""
        while not self._busy and (queue := self._fresh if self._unnoted else self._noted):
            turn = queue.popleft()
            if not turn.done():
                self._busy = True
                turn.set_result(None)


@dataclass(frozen=True, slots=True)
class Watch:
    """How the suspects of one queue are watched: alone to their end, or for so many seconds."""

    suspects: Suspects
    seconds: float | None = None


def _key(message: Inbound) -> bytes:
    """Tell a message from others, also where it has no id."""
    named = message.queue, message.routing_key, message.message_id, message.user_id, message.body
    return sha256(repr(named).encode()).digest()
