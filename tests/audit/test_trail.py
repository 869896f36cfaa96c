"""Reading the trail from either source, or both: the same bytes, no gap, no overlap."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from consumer.audit.archive import Archiver
from consumer.audit.bucket import Bucket
from consumer.audit.lines import encode
from consumer.audit.trail import Place, Source, Span, Trail
from consumer.broker.stream import Stream
from tests.audit.filling import NOON, Filler, everything

Archiving = Callable[..., Archiver]
WHOLE = Span()


async def read(trail: Trail, source: Source, span: Span = WHOLE) -> list[tuple[Place, bytes]]:
    """Read a trail; give places and lines."""
    return [
        ((epoch, record.offset), encode(record))
        async for epoch, records in trail.read(source, span)
        for record in records
    ]


async def test_both_sources_give_the_same_bytes(
    bucket: Bucket, stream: Stream, filler: Filler, archiver: Archiving
) -> None:
    """Whatever was published."""
    await filler.fill(
        b'{"a":1}', b"\xff", b"", headers={"raw": bytearray(b"\xff"), "list": [1, None, NOON]}
    )
    await filler.number(0, 30, message_id="one", priority=3, expiration=timedelta(days=1))
    await archiver().once()
    trail = Trail(stream, bucket)
    from_stream = [line for _, line in await read(trail, "stream")]
    assert [line for _, line in await read(trail, "s3")] == from_stream
    assert [line for _, line in await read(trail, "auto")] == from_stream
    assert len(from_stream) == 33


@pytest.mark.parametrize("archived", [0, 1, 9, 10, 11, 29, 30])
async def test_auto_joins_both_without_gap_or_overlap(
    bucket: Bucket, stream: Stream, filler: Filler, archiver: Archiving, archived: int
) -> None:
    """Wherever the archive ends."""
    await filler.number(0, archived)
    await archiver().once()
    await filler.number(archived, 30 - archived)
    places = [place for place, _ in await read(Trail(stream, bucket), "auto")]
    assert places == [(1, offset) for offset in range(30)]


@pytest.mark.parametrize("after", [(1, 0), (1, 8), (1, 9), (1, 15), (1, 24), (1, 29)])
async def test_it_goes_on_after_any_place(
    bucket: Bucket, stream: Stream, filler: Filler, archiver: Archiving, after: Place
) -> None:
    """In the archive, in the stream, or at the very joint."""
    await filler.number(0, 20)
    await archiver().once()
    await filler.number(20, 10)
    trail = Trail(stream, bucket)
    rest = await read(trail, "auto", Span(after=after))
    assert [place[1] for place, _ in rest] == list(range(after[1] + 1, 30))
    rest = await read(trail, "stream", Span(after=(0, after[1])))
    assert [place[1] for place, _ in rest] == list(range(after[1] + 1, 30))


async def test_what_was_before_a_stream_was_begun_anew_is_read_from_the_archive(
    bucket: Bucket, stream: Stream, filler: Filler, archiver: Archiving
) -> None:
    """In an epoch of its own, be the new stream archived yet or not."""
    await filler.number(0, 12)
    await archiver().once()
    before = [encode(record) for record in await everything(stream)]
    await filler.begin_anew()
    await filler.number(50, 14)
    after = [encode(record) for record in await everything(stream)]
    for _ in range(2):
        found = await read(Trail(stream, bucket), "auto")
        assert [line for _, line in found] == before + after
        assert [place[0] for place, _ in found] == [1] * 12 + [2] * 14
        await archiver().once()


async def test_objects_outside_a_span_of_time_are_not_fetched(
    bucket: Bucket, stream: Stream, filler: Filler, archiver: Archiving
) -> None:
    """Records are not left out by it: who reads looks at each."""
    for days in range(6):
        await filler.number(days, 2, timestamp=NOON + timedelta(days=days))
    await archiver().once()
    trail = Trail(stream, bucket)
    since, until = NOON + timedelta(days=2), NOON + timedelta(days=3)
    found = await read(trail, "s3", Span(since=since, until=until))
    assert [place[1] for place, _ in found] == [4, 5, 6, 7]
    later = Span(since=NOON + timedelta(days=400))
    assert await read(trail, "s3", later) == []
    await filler.number(6, 1)
    assert [place for place, _ in await read(trail, "auto", later)] == [(1, 12)]


async def test_without_a_bucket_there_is_the_stream(stream: Stream, filler: Filler) -> None:
    """Also for `auto`."""
    assert await read(Trail(stream, None), "auto") == []
    await filler.number(0, 3)
    assert len(await read(Trail(stream, None), "auto")) == 3
    assert await read(Trail(stream, None), "s3") == []
