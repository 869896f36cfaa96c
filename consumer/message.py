"""What crosses the broker wall: bytes, properties, headers. Nothing of aio-pika."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from consumer.foreseen import ForeseenError
from schemas.catalog import SOURCE
from schemas.envelope import CLOUDEVENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """One delivery as the broker gave it.

    Attributes:
        queue: the queue it was consumed from.
        deliveries: how often the broker handed it out before, by its own count.
        tries: how often its handler was called for this delivery before.

    """

    body: bytes
    queue: str
    exchange: str
    routing_key: str
    message_id: str | None = None
    type: str | None = None
    app_id: str | None = None
    user_id: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    timestamp: datetime | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    deliveries: int = 0
    tries: int = 0

    @property
    def first(self) -> bool:
        """Whether nobody has begun anything for it before."""
        return self.deliveries == 0 and self.tries == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbound:
    """One message to publish, persistent and confirmed; CloudEvents JSON unless it says otherwise.

    Attributes:
        mandatory: whether the broker says so where no queue takes it.

    """

    exchange: str
    routing_key: str
    body: bytes
    message_id: str
    type: str | None
    correlation_id: str | None = None
    timestamp: datetime | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    app_id: str | None = SOURCE
    reply_to: str | None = None
    content_type: str | None = CLOUDEVENTS
    content_encoding: str | None = None
    priority: int | None = None
    mandatory: bool = True


class UnavailableError(ForeseenError):
    """The broker or the database cannot be reached now; the same call may succeed later."""


class UnreadableError(Exception):
    """A message that nobody can be answered about: it belongs in the dead-letter queue."""
