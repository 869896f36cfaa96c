"""Replaying into a queue, an exchange and a file, and going on after an end in between."""

import asyncio
import io
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from aio_pika.abc import AbstractIncomingMessage

from consumer.audit.archive import Archiver
from consumer.audit.bucket import Bucket
from consumer.audit.journal import Journal
from consumer.audit.lines import encode
from consumer.audit.replay import Broker, Lines, Pace, Target, replay
from consumer.audit.trail import Source, Trail
from consumer.audit.wanted import Wanted
from consumer.broker.identity import user_of
from consumer.broker.publish import Publisher
from consumer.broker.stream import Stream
from consumer.message import Outbound, UnavailableError
from consumer.record import Record
from tests.audit.filling import NOON, Filler, everything
from tests.support.byhand import Hand, Raw, long
from tests.support.hostile import table

ALL = Wanted()


@pytest.fixture
async def publisher(amqp_url: str) -> AsyncIterator[Publisher]:
    """Run a publisher."""
    stop = asyncio.Event()
    running = Publisher(amqp_url, queues=())
    task = asyncio.create_task(running.run(lambda: None, stop))
    yield running
    stop.set()
    await task


async def replayed(
    trail: Trail, target: Target, journal: Journal | None = None, **chosen: Any
) -> int:
    """Replay."""
    return await replay(
        trail,
        chosen.get("source", "auto"),
        chosen.get("wanted", ALL),
        target,
        journal=journal or Journal(None, ""),
        pace=Pace(chosen.get("rate")),
        told=lambda *_: None,
    )


async def taken(filler: Filler, queue: str) -> list[AbstractIncomingMessage]:
    """Take all that is in a queue."""
    declared = await filler.channel.declare_queue(queue, passive=True)
    found = []
    while (message := await declared.get(no_ack=True, fail=False)) is not None:
        found.append(message)
    return found


async def test_a_message_keeps_its_id_and_says_where_it_came_from(
    stream: Stream, filler: Filler, publisher: Publisher, amqp_url: str
) -> None:
    """What would act by itself is left out: an answer, an expiry, a copy to another queue."""
    await filler.channel.declare_queue("copies")
    await filler.channel.declare_queue("mine")
    await filler.fill(
        b"\xff",
        key="workspace.any",
        message_id="m-1",
        correlation_id="c-1",
        app_id="billing",
        type="odd",
        content_type="text/plain",
        content_encoding="identity",
        priority=3,
        reply_to="copies",
        expiration=timedelta(hours=1),
        headers={"CC": ["copies"], "BCC": ["copies"], "kept": bytearray(b"\x00"), "n": 1},
    )
    await taken(filler, "copies")
    target = Broker(publisher.publish, "queue", "mine", NOON)
    assert await replayed(Trail(stream, None), target, source="stream") == 1
    (first,) = await taken(filler, "mine")
    assert (first.body, first.message_id, first.correlation_id) == (b"\xff", "m-1", "c-1")
    assert (first.app_id, first.type, first.content_type) == ("billing", "odd", "text/plain")
    assert (first.content_encoding, first.priority, first.timestamp) == ("identity", 3, NOON)
    assert (first.reply_to, first.expiration) == (None, None)
    assert first.user_id == user_of(amqp_url)  # who replays answers for it
    assert first.headers == {
        "kept": bytearray(b"\x00"),
        "n": 1,
        "x-replayed-at": "2026-05-28T12:00:00.000Z",
        "x-original-exchange": "workspace.events",
        "x-original-routing-key": "workspace.any",
    }
    without = Record(offset=1, exchange="workspace.events", routing_key="k", body=b"")
    assert target.replayed(without).message_id == "lifecycle.audit:1"
    assert await taken(filler, "copies") == []


async def test_headers_that_nobody_could_have_written_hold_nothing_up(
    stream: Stream, filler: Filler, publisher: Publisher, amqp_url: str
) -> None:
    """Text that is not UTF-8 and large numbers as near as can be; what fills a frame not at all."""
    by_hand = Hand(amqp_url)
    headers = table([(b"text", b"S" + long(b"\xff")), (b"n", b"d" + struct.pack(">d", 1e300))])
    assert await by_hand.send(Raw("workspace.events", b"noise", b"\x20\x00" + headers, b"1"))
    await by_hand.close()
    await filler.fill(b"2", headers={"h": "h" * 131_000})
    await filler.channel.declare_queue("mine")
    target = Broker(publisher.publish, "queue", "mine", NOON)
    assert await replayed(Trail(stream, None), target, source="stream") == 2
    found, large = await taken(filler, "mine")
    assert (found.headers["text"], found.headers["n"]) == (bytearray(b"\xff"), "1e+300")
    assert (large.body, large.headers.get("h")) == (b"2", None)
    assert large.headers["x-headers-left-out"] == 131_011


async def test_an_exchange_gets_the_original_keys(
    stream: Stream, filler: Filler, publisher: Publisher
) -> None:
    """What no queue takes is counted."""
    exchange = await filler.channel.declare_exchange("mine", "topic")
    queue = await filler.channel.declare_queue("heard")
    await queue.bind(exchange, "a.*")
    await filler.fill(b"1", b"1", key="a.b", message_id="twice")
    await filler.fill(b"2", key="b.a")
    target = Broker(publisher.publish, "exchange", "mine", NOON)
    assert await replayed(Trail(stream, None), target) == 3
    assert target.unrouted == 1
    assert [one.routing_key for one in await taken(filler, "heard")] == ["a.b", "a.b"]


async def test_a_queue_that_is_gone_ends_it(
    stream: Stream, filler: Filler, publisher: Publisher
) -> None:
    """Nothing is counted as replayed that nobody has."""
    await filler.number(0, 3)
    target = Broker(publisher.publish, "queue", "nobody", NOON)
    with pytest.raises(UnavailableError, match="'nobody'"):
        await replayed(Trail(stream, None), target)


@pytest.mark.parametrize("source", ["s3", "stream", "auto"])
async def test_all_sources_give_the_same_file(
    stream: Stream,
    bucket: Bucket,
    filler: Filler,
    archiver: Callable[..., Archiver],
    source: Source,
) -> None:
    """Byte for byte the lines of the archive."""
    await filler.fill(b'{"a":1}', b"\xff", b"", headers={"raw": bytearray(b"\xff")})
    await filler.number(0, 30, message_id="one")
    await archiver().once()
    file = io.BytesIO()
    trail = Trail(stream, bucket)
    assert await replayed(trail, Lines(file, is_file=True), source=source) == 33
    assert file.getvalue() == b"".join(map(encode, await everything(stream)))


class Dies:
    """A target that ends the replay before its n-th batch is noted."""

    def __init__(self, target: Target, batches: int, *, written: bool) -> None:
        self._target, self._batches, self._written = target, batches, written

    async def put(self, records: Sequence[Record]) -> None:
        """Put, until it dies."""
        self._batches -= 1
        if self._batches >= 0 or self._written:
            await self._target.put(records)
        if self._batches < 0:
            raise UnavailableError("died")

    def size(self) -> int:
        """As the target."""
        return self._target.size()


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("batches", [0, 1, 3])
async def test_it_goes_on_where_it_ended(  # each fixture is a part of it
    stream: Stream,
    bucket: Bucket,
    filler: Filler,
    archiver: Callable[..., Archiver],
    tmp_path: Path,
    batches: int,
    written: bool,
) -> None:
    """Each line once in the file, whether the last batch was written before the end or not."""
    await filler.number(0, 25)
    await archiver(records=5).once()
    await filler.number(25, 10)
    trail, path, state = Trail(stream, bucket), tmp_path / "file", tmp_path / "state"
    with path.open("wb") as file, pytest.raises(UnavailableError, match="died"):
        journal = Journal(state, "x")
        await replayed(
            trail, Dies(Lines(file, is_file=True), batches, written=written), journal, rate=40
        )
    journal = Journal(state, "x")
    journal.open()
    with path.open("r+b") as file:
        file.truncate(journal.reached.size)
        file.seek(0, 2)
        assert await replayed(trail, Lines(file, is_file=True), journal) == 35
    assert path.read_bytes() == b"".join(map(encode, await everything(stream)))


@pytest.mark.parametrize("receipt", ["failed", "returned"])
async def test_what_is_not_confirmed_is_not_noted(
    stream: Stream, filler: Filler, receipt: Literal["failed", "returned"]
) -> None:
    """The journal stays before it."""

    async def publish(messages: Sequence[Outbound]) -> Sequence[Any]:
        return [receipt if one.body == b"7" else "confirmed" for one in messages]

    await filler.number(0, 10)
    journal = Journal(None, "x")
    target = Broker(publish, "queue", "mine", NOON)
    with pytest.raises(UnavailableError):
        await replayed(Trail(stream, None), target, journal, rate=20)
    assert journal.reached.after in {(0, 5), (0, 6)}  # the stream may give them in two parts
    assert journal.reached.count == journal.reached.after[1] + 1


async def test_the_rate_is_held() -> None:
    """Ten at a hundred a second are sent over a tenth of a second, by the loop's clock."""
    loop = asyncio.get_running_loop()
    pace, since = Pace(100), loop.time()
    for _ in range(11):
        await pace.hold(1)
    assert loop.time() - since >= 0.1
    assert (Pace(None).at_once, Pace(100).at_once, Pace(0.5).at_once) == (500, 10, 1)
