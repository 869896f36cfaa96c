"""AMQP properties to and from our own messages."""

from typing import Any

from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from consumer.message import Inbound, Outbound

DELIVERY_COUNT = "x-delivery-count"
PERSISTENT = 2


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
    return count if isinstance(count, int) else 0


def outgoing(message: Outbound, user_id: str | None = None) -> Basic.Properties:
    """Write the properties of a message; whatever it is, it is persistent.

    `user_id` is the connection's own user: the broker refuses any other.
    """
    return Basic.Properties(
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        priority=message.priority,
        delivery_mode=PERSISTENT,
        headers=dict(message.headers),
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        message_id=message.message_id,
        timestamp=message.timestamp,
        message_type=message.type,
        app_id=message.app_id,
        user_id=user_id,
    )
