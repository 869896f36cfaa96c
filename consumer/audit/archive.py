"""The archive: the audit stream becomes objects in S3, each offset in exactly one of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing

from consumer.audit.basket import Basket, Sizes
from consumer.audit.bucket import Bucket, NoSuchObjectError
from consumer.audit.joint import go_on
from consumer.audit.lag import Lag, Limit
from consumer.audit.manifest import JSON, NDJSON, digest, pack, unpack
from consumer.broker.stream import Start, Stream
from consumer.message import UnavailableError
from consumer.observe import say
from consumer.record import Record
from consumer.store.archive import (
    Mark,
    claim_mark,
    finish_mark,
    newest_marks,
    previous_manifest,
    try_archive,
)
from consumer.store.clock import Clock
from consumer.store.pool import Connection, Database

_LONGEST_PAUSE = 60.0
_OTHERS_TURN = 15.0
_SEARCHED = 10_000


class Archiver:
    """Writes the stream into a bucket, from where the archive ends; one archiver at a time.

    A cut is decided in the database before it is written. Whoever finds one that was decided and
    not finished writes it again, the same bytes under the same name: nothing is lost or doubled.
    """

    def __init__(
        self,
        database: Database,
        bucket: Bucket,
        stream: Stream,
        *,
        sizes: Sizes | None = None,
        limit: Limit | None = None,
    ) -> None:
        self._database = database
        self._bucket = bucket
        self._stream = stream
        self._sizes = sizes or Sizes()
        self._clock = Clock()
        self._lag = Lag(limit or Limit(), self._clock.now)

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Archive until `stop`. What is away delays the archive, and nothing else."""
        ready()
        stopping = asyncio.create_task(stop.wait())
        pause = 1.0
        while not stop.is_set():
            try:
                async with self._database.connection() as connection:
                    if await try_archive(connection):
                        await self._archive(connection, stopping=stopping)
                wait, pause = _OTHERS_TURN, 1.0
            except UnavailableError as error:
                say("archive.paused", why=str(error), again_in=pause)
                await self._lag.warn_of(self._stream)
                wait, pause = pause, min(pause * 2, _LONGEST_PAUSE)
            await asyncio.wait([stopping], timeout=wait)

    async def once(self) -> int:
        """Archive what is there now; give the count of records.

        Raises:
            UnavailableError: broker, database or S3 is away, or another process archives.

        """
        async with self._database.connection() as connection:
            if not await try_archive(connection):
                raise UnavailableError("another process archives: wait for it, or stop it")
            end = await self._stream.end()
            return 0 if end is None else await self._archive(connection, end=end)

    async def _archive(
        self,
        connection: Connection,
        *,
        end: int | None = None,
        stopping: asyncio.Task[bool] | None = None,
    ) -> int:
        """Go on from where the archive ends, until `end` or until stopped; count the records."""
        await self._clock.set(connection)
        mark = await self._finished(connection)
        epoch, start = await go_on(
            self._stream, self._bucket, (await newest_marks(connection, _SEARCHED))[::-1]
        )
        count, basket = 0, Basket(self._sizes, mark.hour if mark else None, self._clock.now)
        async for record in self._read(start, end, basket, stopping):
            if basket.due(record):
                count += len(basket.records)
                await self._cut(connection, epoch, basket)
            if record is not None:
                basket.add(record)
        if basket.records and not stopping:
            count += len(basket.records)
            await self._cut(connection, epoch, basket)
        return count

    async def _read(
        self,
        start: Start,
        end: int | None,
        basket: Basket,
        stopping: asyncio.Task[bool] | None,
    ) -> AsyncIterator[Record | None]:
        """Give records as they come, and None when the basket is due though none came."""
        stops = [stopping] if stopping else []
        async with aclosing(self._stream.read(start, until=end)) as reader:
            coming = asyncio.ensure_future(anext(reader, None))
            try:
                while True:
                    await asyncio.wait(
                        [coming, *stops],
                        timeout=basket.left,
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                    if stopping and stopping.done():
                        return
                    if not coming.done():
                        yield None
                        continue
                    if (records := coming.result()) is None:
                        return
                    for record in records:
                        yield record
                    coming = asyncio.ensure_future(anext(reader, None))
            finally:
                coming.cancel()
                await asyncio.wait([coming])

    async def _finished(self, connection: Connection) -> Mark | None:
        """Give the last cut, after writing it where its writer did not come to that."""
        for mark in await newest_marks(connection, 1):
            if mark.manifest is None:
                say("archive.resumed", first_offset=mark.first_offset, last_offset=mark.last_offset)
                await self._write(connection, mark, await self._records_of(mark))
            return mark
        return None

    async def _records_of(self, mark: Mark) -> list[Record]:
        """Give the records of a cut from its object, where that was written, or the stream."""
        try:
            return unpack(await self._bucket.get(mark.object))
        except NoSuchObjectError:
            end = await self._stream.end()
        records: list[Record] = []
        if end is not None:
            span = self._stream.read(mark.first_offset, until=min(mark.last_offset, end))
            async with aclosing(span) as reader:
                async for batch in reader:
                    records += batch
        return records

    async def _cut(self, connection: Connection, epoch: int, basket: Basket) -> None:
        records, hour = basket.emptied()
        first, last = records[0].offset, records[-1].offset
        self._lag.waits(records)
        mark = await claim_mark(connection, epoch, first, last, hour)
        if mark.last_offset != last:
            raise UnavailableError(f"another process has cut the archive at {mark.last_offset}")
        say("archive.claimed", first_offset=first, last_offset=last)
        await self._write(connection, mark, records)
        self._lag.is_written()

    async def _write(self, connection: Connection, mark: Mark, records: Sequence[Record]) -> None:
        """Write the object, then its manifest, then that both are there."""
        previous = await previous_manifest(connection, mark.epoch, mark.first_offset)
        cut = await asyncio.to_thread(pack, mark, records, previous)
        await self._bucket.put(cut.manifest.object, cut.body, NDJSON)
        say("archive.written", name=cut.manifest.object, count=len(records))
        manifest = cut.manifest.written()
        await self._bucket.put(cut.manifest.name, manifest, JSON)
        say("archive.chained", name=cut.manifest.name)
        await finish_mark(
            connection, mark.epoch, mark.first_offset, digest(manifest), cut.manifest.tail
        )
        say("archive.finished", last_offset=mark.last_offset)
