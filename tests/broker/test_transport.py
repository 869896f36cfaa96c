"""One message with bad properties is parked like any other, and disturbs no other."""

import asyncio
import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import pamqp.frame
import pytest
from aiormq.channel import Channel
from aiormq.connection import FrameReceiver
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from consumer.broker.consume import Consumer
from consumer.broker.transport import TolerantReader
from consumer.message import Inbound
from schemas.catalog import COMMANDS_QUEUE
from tests.broker.tools import Bystander, Facts, running


class Raw(Basic.Properties):
    """Properties given as the bytes on the wire."""

    def __init__(self, wire: bytes) -> None:
        super().__init__(message_id="x")
        self._wire = wire

    def marshal(self) -> bytes:
        """Give the bytes."""
        return self._wire


def _table(content: bytes) -> bytes:
    return struct.pack(">HI", 1 << 13, len(content)) + content


def _nested(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = b"\x01kF" + struct.pack(">I", len(content)) + content
    return _table(content)


BAD = {
    "a time in nanoseconds": struct.pack(">HQ", 1 << 6, 1_790_000_000_000_000_000),
    "an id that is not UTF-8": struct.pack(">H", 1 << 7) + b"\x03\xff\xfe\xfd",
    "a header name that is not UTF-8": _table(b"\x02\xff\xfeV"),
    "headers nested too deep": _nested(3000),
    "a header twice": _table(b"\x01aV\x01at\x01"),
    "one of the broker's own twice": _table(b"\x0fx-stream-offsetV" * 2),
}


async def _send_raw(wire: Bystander, properties: bytes, key: str = "workspace.pause") -> None:
    channel = await wire.channel.get_underlay_channel()
    assert isinstance(channel, Channel)
    await channel.basic_publish(
        b"bad", exchange="workspace.commands", routing_key=key, properties=Raw(properties)
    )


@pytest.mark.parametrize("name", BAD)
async def test_unreadable_properties_are_parked_and_the_rest_flows_on(
    wire: Bystander, declared_url: str, facts: Facts, name: str
) -> None:
    """What aiormq cannot read is parked at its first delivery; its neighbours are handled once."""
    handled: list[Inbound] = []

    async def handle(message: Inbound) -> None:
        handled.append(message)

    await wire.send(body=b"before")
    await _send_raw(wire, BAD[name])
    await wire.send(body=b"after")
    async with running(Consumer(declared_url, COMMANDS_QUEUE, handle, prefetch=10)):
        (told,) = await facts.wait("delivery.parked")
    assert "properties cannot be read" in told["why"]
    assert [(one.body, one.deliveries) for one in handled] == [(b"before", 0), (b"after", 0)]
    assert not facts.of("consumer.lost")
    parked = await wire.take(f"{COMMANDS_QUEUE}.dead")
    assert parked.body == b"bad"
    assert parked.headers["x-original-routing-key"] == "workspace.pause"
    assert await wire.emptied(COMMANDS_QUEUE)


@pytest.mark.parametrize("part", ["exchange", "routing_key"])
@pytest.mark.parametrize(
    ("text", "read"),
    [(b"\xff\xfe", "??"), ("k\u00e4".encode(), "k\u00e4"), (b"", ""), (b"k" * 127, "k" * 127)],
)
async def test_names_that_are_not_utf8_are_read_as_ascii(part: str, text: bytes, read: str) -> None:
    """A copy header brings any routing key into a queue; none ends the connection."""
    length, stand_in = bytes([len(text)]), "k" * len(text)
    names = {"exchange": "events", "routing_key": "any"} | {part: stand_in}
    frame = pamqp.frame.marshal(Basic.Deliver("tag", 2**40, True, **names), 7)
    found = await _read(frame.replace(length + stand_in.encode(), length + text))
    assert isinstance(found, Basic.Deliver)
    assert (found.consumer_tag, found.delivery_tag, found.redelivered) == ("tag", 2**40, True)
    told = {"exchange": found.exchange, "routing_key": found.routing_key}
    assert told == names | {part: read}


@given(st.text(max_size=60), st.dictionaries(st.text(max_size=20), st.integers(0, 2**31)))
async def test_what_can_be_read_is_left_as_it_is(text: str, headers: dict[str, int]) -> None:
    """Properties that aiormq can read reach it byte for byte."""
    properties = Basic.Properties(message_id=text, headers=dict(headers))
    try:
        frame = pamqp.frame.marshal(ContentHeader(body_size=3, properties=properties), 1)
    except ValueError:
        return
    found = await _read(frame)
    assert isinstance(found, ContentHeader)
    assert found.weight == 0
    assert found.marshal() == ContentHeader(body_size=3, properties=properties).marshal()


TWINS = (
    {"a": {"a": {"a": 1}}},
    {"a": "\x01a", "b": "\x01a\x01a"},
    {"a": [{"a": 1}, {"a": bytearray(b"\x01a")}], "t": True, "v": None, "i": 7, "n": -(2**40)},
    {
        "a": datetime(2026, 5, 28, tzinfo=UTC),
        "aa": Decimal("1.5"),
        "aaa": 0.5,
        "s": 300,
        "u": 70_000,
    },
)


@pytest.mark.parametrize("headers", TWINS)
async def test_a_name_that_occurs_again_inside_a_header_is_no_second_one(
    headers: dict[str, Any],
) -> None:
    """Only the fields of the table itself are counted, whatever their types."""
    properties = Basic.Properties(
        content_type="\x01a", content_encoding="\x01a", message_id="\x01a", headers=headers
    )
    found = await _read(pamqp.frame.marshal(ContentHeader(body_size=3, properties=properties), 1))
    assert isinstance(found, ContentHeader)
    assert found.weight == 0
    assert set(found.properties.headers or {}) == set(headers)


async def _read(frame: bytes) -> object:
    stream = asyncio.StreamReader()
    stream.feed_data(pamqp.frame.marshal(Heartbeat(), 0) + frame)
    receiver = FrameReceiver(cast("asyncio.StreamReader", TolerantReader(stream, lambda _: None)))
    await receiver.get_frame()
    return (await receiver.get_frame())[2]
