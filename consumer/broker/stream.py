"""Reading a stream from an offset on, in batches, over AMQP 0-9-1.

There a stream keeps no offsets for its readers, has no word for its end, and begins at the chunk
that an offset stands in. (RabbitMQ documentation, Streams.) So the reader gives what it wants to go
on from, drops what comes before that, and takes a look at the last chunk to know when it is there.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from typing import Any, Literal

from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelAccessRefused

from consumer.broker.connection import TIMEOUT, Link, RefusedError, connected, translating
from consumer.broker.consuming import ConsumingChannel
from consumer.broker.transport import has_readable_properties
from consumer.message import UnavailableError
from consumer.record import Record

Start = int | datetime | Literal["first", "next"]
"""An offset; or a time, from before which a chunk's worth may be given too."""
OFFSET = "x-stream-offset"
_PREFETCH = 2000
_BATCH = 500
_FIRST = 1.0
"""Seconds in which the first message of a stream that has any is delivered."""
_SETTLED = 0.2
"""Seconds without a delivery after which it is worth asking whether more is on its way."""
_PROPERTIES = (
    "content_type", "content_encoding", "delivery_mode", "priority", "correlation_id", "reply_to",
    "expiration", "message_id", "timestamp", "user_id", "app_id",
)  # fmt: skip


class Stream:
    """One stream at one broker."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self.name = name

    async def end(self) -> int | None:
        """Tell the offset of the last message; None where there is none.

        Where more keep coming, of the last one before those that came while we looked: a second
        reader, of what is new, tells where that begins.

        Raises:
            UnavailableError: the broker is away, or there is no such stream.

        """
        async with connected(self._url, f"workspace-lifecycle end of {self.name}") as link:
            heard = await _consume(link, self.name, "last")
            fresh = await _consume(link, self.name, "next")
            found: int | None = None
            new: int | None = None
            while (
                delivered := await _next(heard, _FIRST if found is None else _SETTLED)
            ) is not None:
                (found,) = _offsets([delivered], found)
                heard.ack([delivered])
                new = _first(fresh) if new is None else new
                if new is not None and found >= new - 1:
                    break
            return found

    async def read(
        self, start: Start, *, until: int | None = None
    ) -> AsyncGenerator[list[Record], None]:
        """Read from an offset on; give what came, in order, never an empty list.

        It goes on for ever, or ends after the offset `until`, which has to be there. Memory is
        bounded: what was given is acknowledged when the next is asked for, and the broker sends
        only so much before that.

        Raises:
            UnavailableError: the connection or the stream was lost. Go on after the last offset.
            RefusedError: our user may not read it.

        """
        if until is not None and isinstance(start, int) and start > until:
            return
        async with connected(self._url, f"workspace-lifecycle reader of {self.name}") as link:
            heard = await _consume(link, self.name, start)
            known: int | None = None
            while True:
                batch = await _batch(heard, link)
                offsets = _offsets(batch, known)
                records = [
                    _record(one, offset)
                    for one, offset in zip(batch, offsets, strict=True)
                    if _wanted(offset, start, until)
                ]
                if records:
                    yield records
                heard.ack(batch)
                known = offsets[-1]
                if until is not None and known >= until:
                    return


class _Heard:
    """A channel and what it has delivered so far; None in the queue is its end."""

    def __init__(self, channel: ConsumingChannel) -> None:
        self.channel = channel
        self.queue: asyncio.Queue[DeliveredMessage | None] = asyncio.Queue()

    def ack(self, batch: Sequence[DeliveredMessage]) -> None:
        with translating("acknowledge what was read of a stream"):
            for delivered in batch:
                self.channel.ack(delivered.delivery_tag or 0)

    def end(self, *_: object) -> None:
        self.queue.put_nowait(None)


async def _consume(link: Link, queue: str, start: Start | Literal["last"]) -> _Heard:
    channel = await link.own(ConsumingChannel, f"reading {queue}")
    heard = _Heard(channel)
    end: Callable[..., Any] = heard.end
    channel.on_consumer_cancel_callbacks.add(end)
    link.lost.add_done_callback(end)
    with translating(f"read {queue}"):
        try:
            async with asyncio.timeout(TIMEOUT):
                await channel.consume(queue, heard.queue.put_nowait, _PREFETCH, {OFFSET: start})
        except ChannelAccessRefused as error:
            raise RefusedError(f"could not read {queue}: {error}") from None
    return heard


async def _batch(heard: _Heard, link: Link) -> list[DeliveredMessage]:
    """Wait for one delivery, and take what else is there."""
    batch = [await heard.queue.get()]
    while len(batch) < _BATCH and not heard.queue.empty():
        batch.append(heard.queue.get_nowait())
    whole = [one for one in batch if one is not None]
    if not whole:
        why = link.lost.result() if link.lost.done() else "the stream was deleted"
        raise UnavailableError(f"the stream can no longer be read: {why}")
    if len(whole) < len(batch):
        heard.end()
    return whole


async def _next(heard: _Heard, seconds: float) -> DeliveredMessage | None:
    try:
        return await asyncio.wait_for(heard.queue.get(), seconds)
    except TimeoutError:
        # The answer comes behind every delivery that was sent before: a busy machine hides none.
        with translating("ask for what is left of the last chunk"):
            await heard.channel.basic_qos(prefetch_count=_PREFETCH, timeout=TIMEOUT)
        return None if heard.queue.empty() else heard.queue.get_nowait()


def _first(fresh: _Heard) -> int | None:
    """Give the offset of the first message that came, once it has."""
    if fresh.queue.empty() or (delivered := fresh.queue.get_nowait()) is None:
        return None
    return _said(delivered)


def _offsets(batch: Sequence[DeliveredMessage], before: int | None) -> list[int]:
    """Read the offset of each delivery; one whose headers cannot be read stands between others."""
    said = [_said(one) for one in batch]
    after = next((offset - place for place, offset in enumerate(said) if offset is not None), 0)
    offset = after - 1 if before is None else before
    offsets = []
    for one in said:
        offset = offset + 1 if one is None else one
        offsets.append(offset)
    return offsets


def _said(delivered: DeliveredMessage) -> int | None:
    offset = (delivered.header.properties.headers or {}).get(OFFSET)
    return offset if isinstance(offset, int) else None


def _wanted(offset: int, start: Start, until: int | None) -> bool:
    after = not isinstance(start, int) or offset >= start
    return after and (until is None or offset <= until)


def _record(delivered: DeliveredMessage, offset: int) -> Record:
    given = delivered.header.properties
    found = {name: getattr(given, name) for name in _PROPERTIES}
    found["type"] = given.message_type
    headers: dict[str, Any] = dict(given.headers or {})
    headers.pop(OFFSET, None)
    return Record(
        offset=offset,
        exchange=delivered.exchange or "",
        routing_key=delivered.routing_key or "",
        body=delivered.body,
        properties={name: value for name, value in found.items() if value is not None},
        headers=headers,
        readable=has_readable_properties(delivered),
    )
