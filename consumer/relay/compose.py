"""Outbox rows become messages."""

from collections.abc import Mapping
from typing import Any

from consumer.message import Outbound
from consumer.operation import Target, message_id
from consumer.orders import Orders
from consumer.policy import is_direct
from consumer.store.outbox import Taken
from schemas.catalog import BY_NAME, IMPLICIT_CASCADE_HEADER, OPERATION_HEADER

_ANSWERS = (".rejected", ".summary", ".previewed")


class Composer:
    """Makes messages of outbox rows. What the rows of one fan-out share is made once."""

    def __init__(self) -> None:
        self._seq: int | None = None
        self._orders: Orders | None = None
        self._headers: Mapping[str, Any] = {}

    def outbound(self, taken: Taken) -> Outbound | None:
        """Make the message of a row; None for a fan-out that has nothing left to send."""
        if taken.kind == "fanout":
            return self._order(taken, taken.target) if taken.target else None
        return _told(taken)

    def _order(self, taken: Taken, target: Target) -> Outbound:
        if self._orders is None or taken.seq != self._seq:
            self._seq, self._headers, self._orders = taken.seq, _headers(taken), _orders(taken)
        identity, body = self._orders.write(target)
        return Outbound(
            exchange=BY_NAME[taken.type].exchange,
            routing_key=taken.type,
            body=body,
            message_id=identity,
            type=taken.type,
            correlation_id=taken.origin_id,
            timestamp=taken.recorded_at,
            headers=self._headers,
        )


def _told(taken: Taken) -> Outbound:
    """Make an event or a reply."""
    assert taken.body is not None
    is_reply = taken.kind == "reply"
    return Outbound(
        exchange="" if is_reply else BY_NAME[taken.type].exchange,
        routing_key=taken.reply_to or "" if is_reply else taken.type,
        body=taken.body,
        message_id=str(message_id(taken.operation_id, taken.derived_from or taken.type)),
        type=taken.type,
        correlation_id=taken.correlation_id if is_reply else taken.origin_id,
        timestamp=taken.recorded_at,
        headers=_headers(taken),
        mandatory=not is_direct(taken.reply_to),
    )


def _orders(taken: Taken) -> Orders:
    return Orders(
        taken.type,
        taken.operation_id,
        time=taken.recorded_at,
        correlation_id=taken.origin_id,
        causation_id=taken.causation_id,
        traceparent=taken.traceparent,
    )


def _headers(taken: Taken) -> Mapping[str, Any]:
    headers = {OPERATION_HEADER: str(taken.operation_id)}
    if taken.traceparent:
        headers["traceparent"] = taken.traceparent
    if taken.deprecated and taken.type.endswith(_ANSWERS):
        headers[IMPLICIT_CASCADE_HEADER] = "deprecated"
    return headers
