"""AMQP properties to and from our own messages."""

import math
from collections.abc import Mapping
from typing import Any

from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic
from pamqp.encode import field_table

from consumer.message import Inbound, Outbound

DELIVERY_COUNT = "x-delivery-count"
PERSISTENT = 2
AROUND = 20
"""Bytes of a header's frame beside the properties (AMQP 0-9-1, sections 4.2.3 and 4.2.6.1)."""
_LARGEST = 3.4e38
"""About the largest number that a single holds."""
_LONGEST_NAME = 128
"""Bytes of a field's name (AMQP 0-9-1, section 4.2.5.5); pamqp says so of each that is longer."""


class UnwritableError(Exception):
    """Not all properties that pamqp can read can it write."""


def inbound(delivered: DeliveredMessage, queue: str) -> Inbound:
    """Read one delivery."""
    properties = delivered.header.properties
    headers: dict[str, Any] = dict(properties.headers or {})
    return Inbound(
        body=delivered.body,
        queue=queue,
        exchange=delivered.exchange or "",
        routing_key=delivered.routing_key or "",
        message_id=properties.message_id,
        type=properties.message_type,
        app_id=properties.app_id,
        user_id=properties.user_id,
        correlation_id=properties.correlation_id,
        reply_to=properties.reply_to,
        content_type=properties.content_type,
        content_encoding=properties.content_encoding,
        timestamp=properties.timestamp,
        headers=headers,
        deliveries=_deliveries(headers) if delivered.redelivered else 0,
    )


def _deliveries(headers: dict[str, Any]) -> int:
    """Read the quorum queue's own count. A sender may have set the header: see `redelivered`."""
    count = headers.get(DELIVERY_COUNT)
    return max(0, count) if isinstance(count, int) else 0


def rewritten(delivered: DeliveredMessage, frame_max: int, **changes: Any) -> Basic.Properties:
    """Write a delivery's properties once more, persistent, with changes.

    Raises:
        UnwritableError: pamqp refuses, which raises what it likes, or they are more than a frame
            holds: the broker would end the connection.

    """
    kept: dict[str, Any] = dict(delivered.header.properties)
    changes["headers"] = _writable(changes.get("headers", kept["headers"]) or {})
    ours = {"delivery_mode": PERSISTENT, "cluster_id": ""}  # pamqp refuses to write what it read
    try:
        properties = Basic.Properties(**{**kept, **ours, **changes})
        size = len(properties.marshal())
    except Exception as error:
        raise UnwritableError(str(error)) from error
    if size > frame_max - AROUND:
        raise UnwritableError(f"they take {size} bytes, and a frame holds {frame_max} in all")
    return properties


def _writable(value: Any) -> Any:
    """Give a header's value as pamqp can write it: it reads more than that, and writes singles."""
    if isinstance(value, Mapping):
        return {_cut(name): _writable(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_writable(one) for one in value]
    if isinstance(value, bytes):
        return bytearray(value)
    if isinstance(value, float) and _LARGEST < abs(value) < math.inf:
        return str(value)
    return value


def size_of(headers: Mapping[str, Any]) -> int:
    """Tell how many bytes headers take on the wire."""
    return len(field_table(_writable(headers)))


def _cut(name: str) -> str:
    return name.encode()[:_LONGEST_NAME].decode(errors="ignore")


def outgoing(message: Outbound, user_id: str | None = None) -> Basic.Properties:
    """Write the properties of a message; whatever it is, it is persistent.

    `user_id` is the connection's own user: the broker refuses any other.
    """
    return Basic.Properties(
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        priority=message.priority,
        delivery_mode=PERSISTENT,
        headers=_writable(message.headers),
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        message_id=message.message_id,
        timestamp=message.timestamp,
        message_type=message.type,
        app_id=message.app_id,
        user_id=user_id,
    )
