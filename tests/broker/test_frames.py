"""What is written is what pamqp would have written."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import frame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from consumer.broker.frames import _BLANK, Frames
from consumer.broker.translate import outgoing
from consumer.message import Outbound

_MOST = 4096
_SHORT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)
_IDS = st.uuids().map(str) | _SHORT.filter(bool) | st.sampled_from([_BLANK, "\x01" * 36])
_MESSAGES = st.builds(
    Outbound,
    exchange=st.sampled_from(["", "workspace.events", "amq.topic"]),
    routing_key=_SHORT,
    body=st.binary(max_size=3 * _MOST),
    message_id=_IDS,
    type=_SHORT | st.none(),
    correlation_id=_IDS | st.none(),
    timestamp=st.just(datetime(2026, 5, 28, 9, 30, tzinfo=UTC)) | st.none(),
    headers=st.dictionaries(_SHORT.filter(bool), _SHORT | st.integers(0, 2**31), max_size=3),
    reply_to=_SHORT | st.none(),
    content_encoding=_SHORT | st.none(),
    priority=st.integers(0, 255) | st.none(),
    mandatory=st.booleans(),
)


def as_pamqp_writes(message: Outbound, channel: int) -> bytes:
    """Marshal a message frame by frame."""
    method = Basic.Publish(
        exchange=message.exchange, routing_key=message.routing_key, mandatory=message.mandatory
    )
    header = ContentHeader(body_size=len(message.body), properties=outgoing(message))
    most = _MOST - 8
    bodies = [message.body[at : at + most] for at in range(0, len(message.body), most)]
    parts: list[Any] = [method, header, *map(ContentBody, bodies)]
    return b"".join(frame.marshal(part, channel) for part in parts)


@given(st.lists(_MESSAGES, max_size=6), st.integers(1, 65_535))
def test_each_message_is_written_as_pamqp_writes_it(messages: list[Outbound], channel: int) -> None:
    """Whatever was written before it, and however long it is."""
    frames = Frames(channel, _MOST)
    for message in messages:
        assert frames.write(message) == as_pamqp_writes(message, channel)


@given(_MESSAGES, st.lists(st.uuids(), min_size=2, max_size=5))
def test_messages_that_are_alike_differ_in_id_and_body(message: Outbound, ids: list[UUID]) -> None:
    """A form that is used again takes nothing over from the message it was written for."""
    frames = Frames(1, _MOST)
    for number, one in enumerate(ids):
        alike = Outbound(
            exchange=message.exchange,
            routing_key=message.routing_key,
            body=b"x" * number,
            message_id=str(one),
            type=message.type,
            correlation_id=message.correlation_id,
        )
        assert frames.write(alike) == as_pamqp_writes(alike, 1)


@pytest.mark.parametrize(
    "changes", [{"routing_key": "k" * 256}, {"message_id": "i" * 256}, {"headers": {"x": object()}}]
)
def test_what_amqp_cannot_hold_is_refused(changes: dict[str, Any]) -> None:
    """It raises instead of writing a frame that ends the connection."""
    members: dict[str, Any] = {
        "exchange": "e", "routing_key": "k", "body": b"", "message_id": "i", "type": "t", **changes,
    }  # fmt: skip
    with pytest.raises((ValueError, TypeError)):
        Frames(1, _MOST).write(Outbound(**members))
