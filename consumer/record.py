"""One message of the audit trail, as the stream holds it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One message, with its place in the trail.

    Attributes:
        offset: its number in the stream; it grows by one from message to message.
        exchange, routing_key: where it was published.
        properties: the AMQP properties that were set, by their names in the specification.
        headers: as the broker gave them, without its own `x-stream-offset`.
        readable: False where the properties could not be read; then there are none.

    """

    offset: int
    exchange: str
    routing_key: str
    body: bytes
    properties: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, Any] = field(default_factory=dict)
    readable: bool = True

    @property
    def type(self) -> str:
        """The message type: the property, or else the routing key."""
        return str(self.properties.get("type") or self.routing_key)

    @property
    def time(self) -> datetime | None:
        """When its sender says that it was sent."""
        time = self.properties.get("timestamp")
        return time if isinstance(time, datetime) else None
