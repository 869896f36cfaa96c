"""Properties in and out, each where it belongs."""

import math
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from consumer.broker.publish import Publisher
from consumer.broker.translate import UnwritableError, inbound, outgoing, rewritten
from consumer.message import Inbound
from tests.broker.tools import Bystander, event, running

FRAME = 131_072


def delivered(properties: Basic.Properties, *, redelivered: bool = False) -> DeliveredMessage:
    """Make a delivery as aiormq would."""
    return DeliveredMessage(
        delivery=Basic.Deliver("tag", 1, redelivered, "workspace.events", "workspace.stopped"),
        header=ContentHeader(properties=properties),
        body=b"1",
        channel=cast("AbstractChannel", None),
    )


async def test_what_is_published_is_what_arrives(wire: Bystander, declared_url: str) -> None:
    """Every property of an outgoing message arrives as the contract says."""
    at = datetime(2026, 5, 28, 9, 30, tzinfo=UTC)
    message = event(
        7, correlation_id="c", timestamp=at, headers={"x-operation-id": "o"}, reply_to="amq.gen-1"
    )
    publisher = Publisher(declared_url)
    async with running(publisher):
        assert await publisher.publish([message]) == ["confirmed"]
    found = await wire.take("lifecycle.results")
    assert (found.message_id, found.type, found.correlation_id) == ("7", "workspace.stopped", "c")
    assert (found.timestamp, found.app_id, found.reply_to) == (at, message.app_id, "amq.gen-1")
    assert (found.content_type, found.delivery_mode) == ("application/cloudevents+json", 2)
    assert (found.headers["x-operation-id"], found.body) == ("o", b"7")


def test_an_inbound_message_has_what_the_sender_gave() -> None:
    """A delivery is read property for property."""
    properties = outgoing(event(1, correlation_id="c", reply_to="r", headers={"h": 1}))
    read = inbound(delivered(properties), "lifecycle.results")
    assert asdict(read) == asdict(
        Inbound(
            body=b"1",
            queue="lifecycle.results",
            exchange="workspace.events",
            routing_key="workspace.stopped",
            message_id="1",
            type="workspace.stopped",
            app_id="workspace-lifecycle",
            correlation_id="c",
            reply_to="r",
            content_type="application/cloudevents+json",
            headers={"h": 1},
        )
    )


def test_a_count_is_believed_of_a_redelivery_alone() -> None:
    """A sender cannot have its message parked sooner by writing the broker's header itself."""
    properties = outgoing(event(1, headers={"x-delivery-count": 4}))
    assert inbound(delivered(properties), "q").deliveries == 0
    assert inbound(delivered(properties, redelivered=True), "q").deliveries == 4
    for made_up in ("many", -(2**62)):
        properties = outgoing(event(1, headers={"x-delivery-count": made_up}))
        assert inbound(delivered(properties, redelivered=True), "q").deliveries == 0


@pytest.mark.parametrize(("name", "value"), [("cluster_id", "c"), ("delivery_mode", 255)])
def test_what_pamqp_reads_and_refuses_to_write_hinders_nobody(name: str, value: object) -> None:
    """Nobody reads either: a message that has them is written again without."""
    properties = Basic.Properties(message_id="m", headers={"mine": "kept"})
    setattr(properties, name, value)
    written = rewritten(delivered(properties), FRAME, user_id="us")
    assert (written.message_id, written.headers, written.user_id) == ("m", {"mine": "kept"}, "us")
    assert (written.cluster_id, written.delivery_mode) == ("", 2)


def test_properties_that_no_frame_holds_are_told_before_the_broker_sees_them() -> None:
    """It would end the connection, and whatever else is under way on it."""
    properties = Basic.Properties(message_id="m" * 200)
    size = len(properties.marshal()) + 5  # the delivery mode, and an empty table
    assert rewritten(delivered(properties), size + 20).message_id == "m" * 200
    with pytest.raises(UnwritableError, match=f"take {size} bytes"):
        rewritten(delivered(properties), size + 19)


HEADERS = {"a": [1e300, b"\xff", 1e-300], "t": {"n" * 200: -1e300}, "inf": -math.inf, "f": 0.5}
WRITABLE = {
    "a": ["1e+300", bytearray(b"\xff"), 1e-300],
    "t": {"n" * 128: "-1e+300"},
    "inf": -math.inf,
    "f": 0.5,
}


def test_headers_are_written_as_far_as_pamqp_can(caplog: pytest.LogCaptureFixture) -> None:
    """It reads doubles, any bytes and names of 255 bytes, and writes none of them."""
    kept = delivered(Basic.Properties(headers=cast("Any", HEADERS)))
    for written in (rewritten(kept, FRAME), outgoing(event(1, headers=HEADERS))):
        assert written.headers == WRITABLE
        assert written.marshal()
    assert caplog.records == []


def test_what_cannot_be_written_again_is_told_so() -> None:
    """Whatever pamqp raises."""
    headers = cast("Any", {"h": object()})
    with pytest.raises(UnwritableError, match="Unknown type"):
        rewritten(delivered(Basic.Properties(headers=headers)), FRAME)
