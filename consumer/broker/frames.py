"""The AMQP frames of a message, in as few steps as can be.

pamqp takes 30 us for the properties of one message; those of a fan-out differ in their id alone. So
pamqp writes a form once, and ids and bodies are put into it (AMQP 0-9-1, sections 2.3.5 and 4.2.6).
"""

import struct
from dataclasses import dataclass
from functools import lru_cache

from pamqp import frame
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from consumer.broker.translate import outgoing
from consumer.message import Outbound

_BODY, _END = b"\x03", b"\xce"
_AROUND = 8
"""Bytes of a frame beside what it carries: type, channel, size and the end's byte."""
_SIZE_AT = 11
"""Where the body's size begins in a header frame: after type, channel, size, class and weight."""
_SIZE = struct.Struct(">Q")
_SHORT_SIZE = struct.Struct(">I")
_BLANK = "".join(map(chr, range(1, 37)))
"""Stands for an id where a form is written: of a UUID's length, and found at one place alone."""


@dataclass(frozen=True, slots=True)
class _Form:
    """Method and header frame of messages that are alike, cut where size and id belong."""

    before_size: bytes
    before_id: bytes
    rest: bytes


class Frames:
    """Writes messages for one channel. What is alike one after the other is written from a form.

    `user_id` is the connection's own user: the broker refuses any other.
    """

    def __init__(self, channel: int, frame_max: int, user_id: str | None = None) -> None:
        self._channel, self._user_id = channel, user_id
        self._most = frame_max - _AROUND
        self._head = _BODY + struct.pack(">H", channel)
        self._alike: tuple[object, ...] = ()
        self._form: _Form | None = None

    def write(self, message: Outbound) -> bytes:
        """Give a message as it goes over the wire.

        Raises:
            ValueError, TypeError: AMQP cannot hold it.

        """
        identity = message.message_id.encode()
        if len(identity) != len(_BLANK):
            form = self._written(message, message.message_id)
        else:
            form = self._form_of(message)
        size = _SIZE.pack(len(message.body))
        parts = [form.before_size, size, form.before_id, identity, form.rest]
        return b"".join(parts) + self._framed(message.body)

    def _form_of(self, message: Outbound) -> _Form:
        alike = _alike(message)
        if self._form is None or alike != self._alike:
            self._form, self._alike = self._written(message, _BLANK), alike
        return self._form

    def _written(self, message: Outbound, identity: str) -> _Form:
        properties = outgoing(message, self._user_id)
        properties.message_id = identity
        header = frame.marshal(ContentHeader(body_size=0, properties=properties), self._channel)
        if len(header) > self._most + _AROUND:
            raise ValueError(f"its properties take {len(header)} bytes, more than a frame holds")
        # What stands before the id may be a caller's: anything. What stands behind is ours.
        at = header.rindex(identity.encode())
        return _Form(
            _method(self._channel, message.exchange, message.routing_key, message.mandatory)
            + header[:_SIZE_AT],
            header[_SIZE_AT + _SIZE.size : at],
            header[at + len(identity.encode()) :],
        )

    def _framed(self, body: bytes) -> bytes:
        if len(body) <= self._most:
            return b"".join((self._head, _SHORT_SIZE.pack(len(body)), body, _END)) if body else b""
        parts = (body[at : at + self._most] for at in range(0, len(body), self._most))
        return b"".join(map(self._framed, parts))


@lru_cache(maxsize=256)
def _method(channel: int, exchange: str, routing_key: str, mandatory: bool) -> bytes:
    publish = Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=mandatory)
    return frame.marshal(publish, channel)


def _alike(message: Outbound) -> tuple[object, ...]:
    """Give all of a message that its frames depend on, save id and body."""
    return (
        message.exchange, message.routing_key, message.mandatory, message.type, message.headers,
        message.correlation_id, message.timestamp, message.app_id, message.reply_to,
        message.content_type, message.content_encoding, message.priority,
    )  # fmt: skip
