"""Reading the trail: from the archive, from the stream, or from both without gap or overlap."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from consumer.audit.bucket import Bucket
from consumer.audit.joint import go_on
from consumer.audit.lines import decode
from consumer.audit.manifest import MANIFESTS, Manifest, lines_of, read_manifest
from consumer.broker.stream import Start, Stream
from consumer.record import Record

Source = Literal["stream", "s3", "auto"]
Place = tuple[int, int]
"""Epoch and offset of a record. The stream alone does not know its epoch: it is 0 there."""

_AT_ONCE = 16
_DECODED = 500
_SEARCHED = 10_000
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What part of the trail is wanted.

    Attributes:
        after: the place after which to begin; None: at the first record there is.
        since, until: times, by the senders' own clocks. Only whole objects are left out by them:
            whoever reads looks at each record.

    """

    after: Place | None = None
    since: datetime | None = None
    until: datetime | None = None

    def may_hold(self, manifest: Manifest) -> bool:
        """Tell whether an object may hold something of it. Records without a time may always."""
        if self.after and (manifest.epoch, manifest.last_offset) <= self.after:
            return False
        if manifest.first_time is None or manifest.last_time is None:
            return True
        first = datetime.fromisoformat(manifest.first_time)
        last = datetime.fromisoformat(manifest.last_time)
        return not (self.since and last < self.since) and not (self.until and first > self.until)

    @property
    def first_day(self) -> str:
        """Where in the list of manifests to begin: a day early, since clocks differ."""
        return f"{MANIFESTS}{self.since - _DAY:dt=%Y-%m-%d}" if self.since else ""


class Trail:
    """The trail of one stream and, where there is one, its archive."""

    def __init__(self, stream: Stream, bucket: Bucket | None) -> None:
        self._stream = stream
        self._bucket = bucket

    async def read(
        self, source: Source, span: Span
    ) -> AsyncGenerator[tuple[int, list[Record]], None]:
        """Give epoch and records, in order, up to what is there now.

        `auto` reads the archive and goes on in the stream where that ends.

        Raises:
            UnavailableError: broker or S3 is away.
            NoSuchObjectError, ValueError: an object is gone, or not what it was.

        """
        pieces: deque[Manifest] = deque(maxlen=_SEARCHED)
        if source != "stream" and self._bucket is not None:
            async for manifest in manifests(self._bucket, first=span.first_day):
                pieces.append(manifest)
                if span.may_hold(manifest):
                    async for records in records_of(self._bucket, manifest):
                        yield manifest.epoch, _after(records, manifest.epoch, span.after)
        if source != "s3":
            joint: tuple[int, Start] = (0, "first")
            if source == "auto" and self._bucket is not None:
                joint = await go_on(self._stream, self._bucket, pieces)
            async with aclosing(self.rest(joint, span.after)) as rest:
                async for batch in rest:
                    yield batch

    async def count(self, source: Source, span: Span) -> int:
        """Count what may be in a span, by the manifests and the stream's end; nothing is read.

        Raises:
            UnavailableError: broker or S3 is away.

        """
        pieces: deque[Manifest] = deque(maxlen=_SEARCHED)
        found = 0
        if source != "stream" and self._bucket is not None:
            async for manifest in manifests(self._bucket, first=span.first_day):
                pieces.append(manifest)
                found += manifest.record_count if span.may_hold(manifest) else 0
        if source == "s3" or (end := await self._stream.end()) is None:
            return found
        joint: tuple[int, Start] = (0, "first")
        if self._bucket is not None and source == "auto":
            joint = await go_on(self._stream, self._bucket, pieces)
        return found + end + 1 - (joint[1] if isinstance(joint[1], int) else 0)

    async def rest(
        self, joint: tuple[int, Start], after: Place | None
    ) -> AsyncGenerator[tuple[int, list[Record]], None]:
        """Read the stream from a joint on, or after a place in it, up to where it ends now.

        Raises:
            UnavailableError: the broker is away.

        """
        end = await self._stream.end()
        if end is None:
            return
        epoch, start = joint
        if after and after[0] == epoch:
            start = max(after[1] + 1, start if isinstance(start, int) else 0)
        async with aclosing(self._stream.read(start, until=end)) as reader:
            async for records in reader:
                yield epoch, records


def _after(records: list[Record], epoch: int, after: Place | None) -> list[Record]:
    if after is None or epoch > after[0]:
        return records
    return [record for record in records if (epoch, record.offset) > after]


async def manifests(bucket: Bucket, *, first: str = "") -> AsyncGenerator[Manifest, None]:
    """Give the manifests of an archive in the order of the chain.

    With `first` only those whose names are not before it, and the one before them.

    Raises:
        UnavailableError: S3 is away.
        ValueError: one of them is none.

    """
    async for body in read_ahead(bucket, _from(bucket.names(MANIFESTS), first)):
        yield read_manifest(body)


async def _from(names: AsyncIterator[str], first: str) -> AsyncIterator[str]:
    before = None
    async for name in names:
        if name < first:
            before = name
            continue
        if before is not None:
            yield before
            before = None
        yield name
    if before is not None:
        yield before


async def read_ahead(bucket: Bucket, names: AsyncIterator[str]) -> AsyncGenerator[bytes, None]:
    """Read small objects in the order of their names, several at once."""
    coming: deque[asyncio.Task[bytes]] = deque()
    try:
        async for name in names:
            coming.append(asyncio.create_task(bucket.get(name)))
            if len(coming) == _AT_ONCE:
                yield await coming.popleft()
        while coming:
            yield await coming.popleft()
    finally:
        for task in coming:
            task.cancel()


async def records_of(bucket: Bucket, manifest: Manifest) -> AsyncGenerator[list[Record], None]:
    """Read the records of one object, so many at a time: as objects they are ten times as large.

    Raises:
        UnavailableError: S3 is away.
        NoSuchObjectError: it is gone.
        ValueError: it cannot be read.

    """
    lines = await asyncio.to_thread(lines_of, await bucket.get(manifest.object))
    for start in range(0, len(lines), _DECODED):
        yield [decode(line) for line in lines[start : start + _DECODED]]
