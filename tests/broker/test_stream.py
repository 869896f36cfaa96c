"""Reading a stream from an offset on: in order, from the very offset, to the very end."""

import asyncio
import itertools
import struct
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import aio_pika
import pytest

from consumer.broker.stream import Start, Stream
from consumer.broker.topology import declare
from consumer.message import UnavailableError
from schemas.catalog import AUDIT_STREAM
from tests.audit.filling import Filler
from tests.support.byhand import Hand, Raw, long


@pytest.fixture
async def filler(amqp_url: str) -> AsyncIterator[Filler]:
    """Open a connection over which messages are put into the stream."""
    await declare(amqp_url)
    async with await aio_pika.connect(amqp_url) as connection:
        yield Filler(await connection.channel(), Stream(amqp_url, AUDIT_STREAM))


async def read(stream: Stream, start: Start, until: int) -> list[int]:
    """Read a span; give the offsets, each beside the number that was published there."""
    found = [one async for batch in stream.read(start, until=until) for one in batch]
    assert [int(one.body) for one in found] == [one.offset for one in found]
    return [one.offset for one in found]


async def test_an_empty_stream_has_no_end(filler: Filler) -> None:
    """And reading it up to its end is nobody's business."""
    assert await filler.stream.end() is None


async def test_it_is_read_from_the_very_offset_to_the_very_end(filler: Filler) -> None:
    """Though the broker begins at the chunk an offset stands in: these come in one or two."""
    await asyncio.gather(*(filler.number(number, 1) for number in range(300)))
    stream = filler.stream
    assert await stream.end() == 299
    assert await read(stream, "first", 299) == list(range(300))
    assert await read(stream, 137, 299) == list(range(137, 300))
    assert await read(stream, 137, 140) == [137, 138, 139, 140]
    assert await read(stream, 299, 299) == [299]
    assert await read(stream, 300, 299) == []


async def test_a_stream_into_which_more_keeps_coming_has_an_end(filler: Filler) -> None:
    """No earlier than when it was asked for; whoever waited for a lull would wait for ever."""
    await filler.number(0, 50)

    async def go_on() -> None:
        for number in itertools.count(50):
            await filler.number(number, 1)

    filling = asyncio.create_task(go_on())
    try:
        async with asyncio.timeout(30):
            end = await filler.stream.end()
    finally:
        filling.cancel()
        await asyncio.wait([filling])
    assert end is not None
    assert end >= 49


async def test_it_is_read_from_a_time_on(filler: Filler) -> None:
    """From the chunk that holds it, with all that comes after."""
    await filler.number(0, 3)
    await asyncio.sleep(1.5)
    between = datetime.now(UTC)
    await asyncio.sleep(1.5)
    await filler.number(3, 3)
    assert await read(filler.stream, between, 5) == [3, 4, 5]
    assert await read(filler.stream, between - timedelta(hours=1), 5) == list(range(6))


async def test_an_offset_that_a_sender_made_up_is_not_believed(
    filler: Filler, amqp_url: str
) -> None:
    """Else who may publish could have the archive go on behind messages that it never saw."""
    offset = b"\x0fx-stream-offsetl" + struct.pack(">q", 2**60)
    by_hand = Hand(amqp_url)
    await filler.number(0, 2)
    for count in (1, 2):
        headers = b"\x20\x00" + long(offset * count)
        message = Raw("workspace.events", b"noise", headers, b"%d" % (1 + count))
        assert await by_hand.send(message)
    await by_hand.close()
    await filler.number(4, 2)
    assert await filler.stream.end() == 5
    assert await read(filler.stream, "first", 5) == list(range(6))


async def test_it_gives_what_comes_as_long_as_it_is_asked(filler: Filler) -> None:
    """Without an end it waits for more."""
    async with aclosing(filler.stream.read("next")) as reader:
        coming = asyncio.ensure_future(anext(reader))
        await asyncio.sleep(0.5)
        await filler.number(0, 1)
        (one,) = await asyncio.wait_for(coming, 20)
    assert one.offset == 0


async def test_more_than_it_holds_at_once_is_read_whole(filler: Filler) -> None:
    """Acknowledging as it goes."""
    channel = filler.channel
    exchange = await channel.get_exchange("workspace.events", ensure=False)
    for first in range(0, 6000, 1000):
        messages = [aio_pika.Message(b"%d" % n) for n in range(first, first + 1000)]
        await asyncio.gather(*(exchange.publish(one, "noise") for one in messages))
    found = [one async for batch in filler.stream.read("first", until=5999) for one in batch]
    assert [one.offset for one in found] == list(range(6000))
    assert sorted(int(one.body) for one in found) == list(range(6000))


async def test_a_deleted_stream_ends_the_reading(filler: Filler) -> None:
    """With the reason, so that one can go on after the last offset."""
    await filler.number(0, 3)
    async with aclosing(filler.stream.read("first")) as reader:
        await anext(reader)
        await filler.channel.queue_delete(AUDIT_STREAM)
        with pytest.raises(UnavailableError, match="the stream"):
            await asyncio.wait_for(anext(reader), 20)


async def test_a_stream_that_is_not_there_is_unavailable(amqp_url: str) -> None:
    """The name is said."""
    with pytest.raises(UnavailableError, match="nothing-here"):
        await Stream(amqp_url, "nothing-here").end()
