"""Where the stream goes on from the archive.

A stream is not fsynced: a power cut on every replica can take its tail, and whoever deletes it
begins it anew. New messages then stand at offsets that were archived with others. So the stream is
first asked for the last record that was archived. Where that is another one now, the place is
sought from which on the stream is new, and a new epoch begins there.
"""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Protocol

from consumer.audit.bucket import Bucket, NoSuchObjectError
from consumer.audit.lines import encode
from consumer.audit.manifest import digest, unpack
from consumer.broker.stream import Start, Stream
from consumer.observe import say


class Piece(Protocol):
    """One object of the archive, be it known by its mark or by its manifest."""

    @property
    def epoch(self) -> int:
        """The epoch."""

    @property
    def first_offset(self) -> int:
        """The offset of its first record."""

    @property
    def last_offset(self) -> int:
        """The offset of its last record."""

    @property
    def tail(self) -> str | None:
        """SHA-256 of its last record's line, in hex."""

    @property
    def object(self) -> str:
        """Its name below the prefix."""


async def go_on(stream: Stream, bucket: Bucket, pieces: Sequence[Piece]) -> tuple[int, Start]:
    """Tell epoch and place where a stream goes on from these pieces, the oldest of them first.

    Raises:
        UnavailableError: broker or S3 is away.

    """
    if not pieces:
        return 1, "first"
    newest, end = pieces[-1], await stream.end()
    if await _holds(stream, newest, end):
        return newest.epoch, newest.last_offset + 1
    say("archive.restarted", archived_to=newest.last_offset, stream_ends_at=end)
    if end is None:
        return newest.epoch + 1, "first"
    return newest.epoch + 1, await _first_new(stream, bucket, pieces, end)


async def _holds(stream: Stream, piece: Piece, end: int | None) -> bool:
    """Tell whether the stream has the last record of a piece where it was, or has forgotten it."""
    if end is None or end < piece.last_offset:
        return False
    async with aclosing(stream.read(piece.last_offset, until=end)) as reader:
        (first, *_) = await anext(reader)
    forgotten = first.offset > piece.last_offset
    return forgotten or piece.tail in {None, digest(encode(first))}


async def _first_new(stream: Stream, bucket: Bucket, pieces: Sequence[Piece], end: int) -> Start:
    """Find the first offset at which the stream does not hold what was archived.

    All before it is as it was and all after it is new, so that halving finds the piece.
    """
    low, high = 0, len(pieces) - 1
    while low < high:
        middle = (low + high) // 2
        if await _holds(stream, pieces[middle], end):
            low = middle + 1
        else:
            high = middle
    start, until = pieces[low].first_offset, min(pieces[low].last_offset, end)
    archived = await _lines(bucket, pieces[low])
    async with aclosing(stream.read(start, until=until)) as reader:
        async for records in reader:
            for record in records:
                if archived.get(record.offset) != encode(record):
                    return record.offset
    return max(start, until + 1)


async def _lines(bucket: Bucket, piece: Piece) -> dict[int, bytes]:
    """Read a piece; where it is gone or damaged, all of it counts as new."""
    try:
        return {record.offset: encode(record) for record in unpack(await bucket.get(piece.object))}
    except (NoSuchObjectError, ValueError):
        return {}
