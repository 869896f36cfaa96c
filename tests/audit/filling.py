"""What tests of the archive put into a stream and read back from a bucket."""

import asyncio
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel

from consumer.audit.bucket import Bucket
from consumer.audit.lines import encode
from consumer.broker.stream import Stream
from consumer.record import Record

NOON = datetime(2026, 5, 28, 12, tzinfo=UTC)


class Filler:
    """Publishes to the events exchange what no queue but the audit stream takes."""

    def __init__(self, channel: AbstractChannel, stream: Stream) -> None:
        self.channel = channel
        self.stream = stream

    async def fill(self, *bodies: bytes, key: str = "noise", **properties: Any) -> None:
        """Publish one message a body, confirmed, in order."""
        exchange = await self.channel.get_exchange("workspace.events", ensure=False)
        chosen: dict[str, Any] = {"delivery_mode": 2, "timestamp": NOON} | properties
        for body in bodies:
            await exchange.publish(aio_pika.Message(body, **chosen), key)

    async def number(self, first: int, count: int, **properties: Any) -> None:
        """Publish numbered bodies."""
        await self.fill(*(b"%d" % number for number in range(first, first + count)), **properties)

    async def begin_anew(self) -> None:
        """Delete the stream, and declare it again, as an operator might."""
        await self.channel.queue_delete(self.stream.name)
        fresh = await self.channel.declare_queue(
            self.stream.name, durable=True, arguments={"x-queue-type": "stream"}
        )
        for exchange in ("workspace.commands", "workspace.events"):
            await fresh.bind(exchange, "#")


async def everything(stream: Stream) -> list[Record]:
    """Read the whole of a stream."""
    end = await stream.end()
    return [] if end is None else await upto(stream, end)


async def upto(stream: Stream, end: int) -> list[Record]:
    """Read a stream up to an offset that is there."""
    return [record async for batch in stream.read("first", until=end) for record in batch]


async def objects(bucket: Bucket) -> dict[str, bytes]:
    """Read all that is in a bucket."""
    names = [name async for name in bucket.names("")]
    return dict(zip(names, await asyncio.gather(*map(bucket.get, names)), strict=True))


def lines(found: Mapping[str, bytes]) -> list[bytes]:
    """Give the archive's lines, in the order of the objects' names."""
    data = [body for name, body in found.items() if name.endswith(".ndjson.gz")]
    return [line for body in data for line in gzip.decompress(body).splitlines(keepends=True)]


def chain(found: Mapping[str, bytes]) -> None:
    """Follow the chain of manifests with nothing but JSON and SHA-256."""
    before = None
    for name, body in found.items():
        if name.startswith("manifest/"):
            manifest = json.loads(body)
            assert manifest["previous"] == before
            assert manifest["sha256"] == hashlib.sha256(found[manifest["object"]]).hexdigest()
            before = hashlib.sha256(body).hexdigest()
    named = {json.loads(body)["object"] for name, body in found.items() if "manifest/" in name}
    assert named == {name for name in found if not name.startswith("manifest/")}


async def whole(bucket: Bucket, records: Sequence[Record]) -> None:
    """See that a bucket holds these records, each once, in order, in a chain that holds."""
    found = await objects(bucket)
    chain(found)
    assert lines(found) == list(map(encode, records))
