"""The pruner: what is settled and older than is kept leaves the database, once archived."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from consumer.broker.stream import Stream
from consumer.message import UnavailableError
from consumer.observe import say
from consumer.store.archive import newest_marks
from consumer.store.pool import Connection, Database
from consumer.store.prune import begin_pruning, prunable, prune

_BATCH = 500
_EVERY = 600.0
_SOON = 10.0


@dataclass(frozen=True, slots=True)
class Due:
    """What may go once the archive has passed a place in the stream.

    Attributes:
        before: everything recorded before this time.
        epoch, offset: where the stream ended when all of that had been published.

    """

    before: datetime
    epoch: int
    offset: int


class Pruner:
    """Forgets operations with their targets and ids, never before the archive has them."""

    def __init__(
        self, database: Database, stream: Stream, keep: timedelta, *, every: float = _EVERY
    ) -> None:
        self._database, self._stream, self._keep = database, stream, keep
        self._every = every

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Prune now and then, until `stop`."""
        ready()
        stopping = asyncio.create_task(stop.wait())
        due: Due | None = None
        while not stop.is_set():
            try:
                due = due or await self.look()
                if due is not None and await self.prune(due):
                    due = None
            except UnavailableError as error:
                say("pruning.paused", why=str(error), again_in=self._every)
            wait = min(_SOON, self._every) if due else self._every
            await asyncio.wait([stopping], timeout=wait)

    async def look(self) -> Due | None:
        """Find what is old enough, and where the archive has to be before that goes.

        Raises:
            UnavailableError: broker or database is away.

        """
        async with self._database.connection() as connection:
            before = await prunable(connection, self._keep)
            if before is None:
                return None
            # Asked after `before` was found: all that was said of it stands before this end.
            end = await self._stream.end()
            marks = await newest_marks(connection, 1)
        return Due(before, marks[0].epoch if marks else 1, -1 if end is None else end)

    async def prune(self, due: Due) -> bool:
        """Forget it in batches; False where the archive is not there yet.

        Raises:
            UnavailableError: the database is away.

        """
        async with self._database.connection() as connection:
            marks = [one for one in await newest_marks(connection, 2) if one.manifest is not None]
            if not marks:
                return False
            if marks[0].epoch != due.epoch:
                return True  # the stream was begun anew: look again, its places count from there
            if marks[0].last_offset < due.offset:
                return False
            await begin_pruning(connection, due.before)
        count = 0
        while gone := await self._database.run(lambda one: _batch(one, due.before)):
            count += gone
        say("operations.pruned", count=count, recorded_before=due.before.isoformat())
        return True


async def _batch(connection: Connection, before: datetime) -> int:
    return await prune(connection, before, _BATCH)
