"""Where the stream goes on from what was archived, also where it is no longer the same stream."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

import pytest

from consumer.audit.archive import Archiver
from consumer.audit.bucket import Bucket
from consumer.audit.joint import go_on
from consumer.audit.manifest import Manifest
from consumer.audit.trail import manifests
from consumer.broker.stream import Start, Stream
from consumer.record import Record
from tests.audit.filling import Filler
from tests.broker.tools import Facts

Archiving = Callable[..., Archiver]


async def pieces(bucket: Bucket) -> list[Manifest]:
    """List the archive."""
    return [manifest async for manifest in manifests(bucket)]


async def test_nothing_archived_begins_at_the_beginning(bucket: Bucket, stream: Stream) -> None:
    """In the first epoch."""
    assert await go_on(stream, bucket, []) == (1, "first")


async def test_the_same_stream_goes_on_right_behind(
    bucket: Bucket, stream: Stream, filler: Filler, archiver: Archiving
) -> None:
    """In the same epoch, be there more by now or not."""
    await filler.number(0, 25)
    assert await archiver().once() == 25
    assert await go_on(stream, bucket, await pieces(bucket)) == (1, 25)
    await filler.number(25, 3)
    assert await go_on(stream, bucket, await pieces(bucket)) == (1, 25)


@pytest.mark.parametrize("count", [0, 3, 25, 40], ids=lambda count: f"{count} new")
async def test_a_stream_begun_anew_is_told_by_its_messages(
    bucket: Bucket, stream: Stream, filler: Filler, archiver: Archiving, facts: Facts, count: int
) -> None:
    """Not by its length: it may have grown beyond the archive's end by then."""
    await filler.number(0, 25)
    await archiver().once()
    await filler.begin_anew()
    await filler.number(100, count)
    assert await go_on(stream, bucket, await pieces(bucket)) in [(2, "first"), (2, 0)]
    assert len(facts.of("archive.restarted")) == 1


class Cut(Stream):
    """The stream as a power cut leaves it: without its tail, and with new messages in its place."""

    def __init__(self, before: list[Record], stream: Stream, kept: int, new: int) -> None:
        super().__init__("", stream.name)
        fresh = [replace(one, offset=kept + place, body=b"new") for place, one in enumerate(before)]
        self.records = before[:kept] + fresh[:new]

    async def end(self) -> int | None:
        """Tell the offset of the last message."""
        return self.records[-1].offset if self.records else None

    async def read(
        self, start: Start, *, until: int | None = None
    ) -> AsyncGenerator[list[Record], None]:
        """Give what is there of a span."""
        assert until is not None
        assert isinstance(start, int)
        yield [one for one in self.records if start <= one.offset <= until]


@pytest.mark.parametrize("new", [0, 1, 30], ids=lambda new: f"{new} new")
@pytest.mark.parametrize("kept", [0, 4, 9, 10, 11, 20, 24])
async def test_a_stream_that_lost_its_tail_goes_on_where_it_was_cut(
    bucket: Bucket, stream: Stream, filler: Filler, archiver: Archiving, kept: int, new: int
) -> None:
    """At the very message: none is archived twice, none is left out.

    Only a power cut makes such a stream, so that its reader stands in for it here.
    """
    await filler.number(0, 25)
    await archiver().once()
    await filler.number(25, 40)
    before = [one async for batch in stream.read("first", until=64) for one in batch]
    joint = await go_on(Cut(before, stream, kept, new), bucket, await pieces(bucket))
    assert joint in ([(2, kept), (2, "first")] if kept == 0 else [(2, kept)])
