"""Calls that come together are done together; and overlapping work keeps the order it came in."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from uuid import UUID

from consumer.message import UnavailableError

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class Gather(Generic[_In, _Out]):
    """Hand what many callers bring to one `work` in batches, oldest first, one batch at a time.

    A batch is whatever came while the one before was at work, so an idle caller never waits and a
    crowd shares a round trip. Callers go on in the order in which they came. A batch that fails
    is tried again one by one, so that a bad item fails its own caller alone.
    """

    def __init__(
        self, work: Callable[[Sequence[_In]], Awaitable[Sequence[_Out]]], most: int
    ) -> None:
        self._work = work
        self._most = most
        self._waiting: deque[tuple[_In, asyncio.Future[_Out]]] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def __call__(self, item: _In) -> _Out:
        """Give this item's result, or raise what `work` raised for it."""
        future: asyncio.Future[_Out] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._worker is None:
            # In a context of its own: what one caller has bound is not said of the others.
            self._worker = asyncio.create_task(self._run(), name="gather", context=Context())
        return await future

    async def _run(self) -> None:
        batch: list[tuple[_In, asyncio.Future[_Out]]] = []
        try:
            while self._waiting:
                batch = [
                    self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))
                ]
                await self._do(batch)
        finally:
            self._worker = None
            # Where `work` was cancelled, so are its callers: nobody waits for what will not come.
            for _, future in (*batch, *self._waiting):
                future.cancel()
            self._waiting.clear()

    async def _do(self, batch: Sequence[tuple[_In, asyncio.Future[_Out]]]) -> None:
        try:
            results = await self._work([item for item, _ in batch])
            answers = list(zip(batch, results, strict=True))
        except Exception as error:  # noqa: BLE001 (it is raised in the callers)
            if len(batch) > 1 and not isinstance(error, UnavailableError):
                for one in batch:
                    await self._do([one])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in answers:
            if not future.done():
                future.set_result(result)


@dataclass(slots=True)
class _Turn:
    root: UUID
    path: frozenset[UUID]
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def overlaps(self, other: "_Turn") -> bool:
        return self.root in other.path or other.root in self.path


class Turns:
    """Within this process, commands on overlapping trees take their turns in the order they came.

    The database's locks keep them apart; only their order is decided here. Commands on disjoint
    trees do not wait for each other.
    """

    def __init__(self) -> None:
        self._turns: list[_Turn] = []

    @asynccontextmanager
    async def take(self, root: UUID, path: frozenset[UUID]) -> AsyncIterator[None]:
        """Wait for the earlier ones whose named workspace is above, below or the same.

        `path` holds the ids of `root` and of all above it.
        """
        mine = _Turn(root, path | {root})
        earlier = [turn for turn in self._turns if turn.overlaps(mine)]
        self._turns.append(mine)
        try:
            for turn in earlier:
                await turn.over.wait()
            yield
        finally:
            mine.over.set()
            self._turns.remove(mine)
