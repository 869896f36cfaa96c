"""A reader between the socket and aiormq that keeps one bad message from ending the connection.

pamqp 4.0 raises on a property or header name that is not UTF-8, on nesting without end, and on a
timestamp beyond the year 9999 (one in nanoseconds is); aiormq 7.2 then drops the connection. The
broker delivers the same message again and again, and whatever else is in hand is counted as failed
with it, up to the delivery limit. So what cannot be read is made readable before it gets there:
the frame keeps its length, the properties become none, and the `weight` says why.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from aio_pika import Connection
from aio_pika.abc import ConnectionParameter, TimeoutType, UnderlayConnection
from aiormq.abc import AbstractConnection, DeliveredMessage
from aiormq.connection import Connection as WireConnection
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from pamqp.header import ContentHeader
from yarl import URL

_METHOD, _HEADER = b"\x01", b"\x02"
_DELIVER = b"\x00\x3c\x00\x3c"
_BLOCKED, _UNBLOCKED = b"\x00\x0a\x00\x3c", b"\x00\x0a\x00\x3d"
_AHEAD = 131_072
"""Bytes: of RabbitMQ's default frame_max, and of what asyncio keeps of a socket."""
_PROPERTIES = 12
"""Where they begin in a content header: after class, weight (two bytes each) and body size."""
_SIZES = {
    **dict.fromkeys((b"t", b"b", b"B"), 1),
    **dict.fromkeys((b"s", b"u"), 2),
    **dict.fromkeys((b"I", b"i", b"f"), 4),
    **dict.fromkeys((b"l", b"L", b"d", b"T"), 8),
    b"D": 5,
}
_LONG = frozenset({b"S", b"x", b"A", b"F"})
"""Types of fields: by their size, or with their length before them. (RabbitMQ's, section 3 of its
errata.) What is none of these pamqp does not read."""
_UNREADABLE = 0xFFFF
"""A weight that marks properties that were left out; brokers always send 0."""


def has_readable_properties(delivered: DeliveredMessage) -> bool:
    """Tell whether a delivery still has the properties it was sent with."""
    return delivered.header.weight != _UNREADABLE


class _Wire(WireConnection):
    """Holds up nobody who writes.

    aiormq lets ten writes wait. Whoever would be the eleventh when the connection ends waits for
    ever; and of those who wait, one may write before another who came first, so that confirms are
    counted to other messages than theirs.
    """

    FRAME_BUFFER_SIZE = 0


class _Underlay(UnderlayConnection):
    @classmethod
    async def make_connection(
        cls,
        url: URL,
        timeout: TimeoutType = None,  # noqa: ASYNC109 (aio-pika's)
        **kwargs: Any,
    ) -> AbstractConnection:
        properties = kwargs.pop("client_properties", None)
        connection = _Wire(url, **kwargs)
        async with asyncio.timeout(timeout):
            await connection.connect(properties)
        await connection.ready()
        return connection


class TolerantConnection(Connection):
    """A connection over a transport of the caller's choice."""

    PARAMETERS = (
        *Connection.PARAMETERS,
        ConnectionParameter(name="transport_factory", parser=lambda given: given, is_kwarg=True),
    )

    async def connect(self, timeout: TimeoutType = None) -> None:  # noqa: ASYNC109 (aio-pika's)
        """Connect, as aio-pika does."""
        self.transport = await _Underlay.connect(
            self.url, self._on_connection_close, timeout=timeout, **self.kwargs
        )
        await self._on_connected()


class TolerantTransport(TransportFactory):
    """Opens TCP or TLS as aiormq does, and reads through a `TolerantReader`.

    `on_blocked` gets the reason when the broker stops reading what is published here, and None
    when it reads again (RabbitMQ documentation, Blocked Connection Notifications): aiormq then
    holds everything back without a word.
    """

    def __init__(self) -> None:
        self.on_blocked: Callable[[str | None], None] = lambda _: None

    async def create(
        self, url: URL, **kwargs: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect."""
        factory = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, writer = await factory.create(url, **kwargs)
        return cast("asyncio.StreamReader", TolerantReader(reader, self._tell)), writer

    def _tell(self, reason: str | None) -> None:
        self.on_blocked(reason)


class TolerantReader:
    """Reads frames the way aiormq asks for them: one byte, six bytes, then the rest."""

    def __init__(
        self, reader: asyncio.StreamReader, on_blocked: Callable[[str | None], None]
    ) -> None:
        self._reader, self._on_blocked = reader, on_blocked
        self._ahead, self._at = b"", 0
        self._part = 0
        self._kind = b""

    def at_eof(self) -> bool:
        """Tell whether the broker has ended."""
        return self._at == len(self._ahead) and self._reader.at_eof()

    async def read(self, count: int = -1) -> bytes:
        """Read what there is."""
        ahead, self._ahead, self._at = self._ahead[self._at :], b"", 0
        return ahead + await self._reader.read(count)

    async def readexactly(self, count: int) -> bytes:
        """Read one part of a frame; of the last one, mend what could not be read otherwise."""
        end = self._at + count
        if end > len(self._ahead):
            await self._read_ahead(count)
            end = count
        data = self._ahead[self._at : end]
        self._at = end
        part, self._part = self._part, (self._part + 1) % 3
        if part == 0:
            self._kind = data
        elif part == 2:  # noqa: PLR2004 - the third part: content, and the byte that ends the frame
            if self._kind == _HEADER:
                return _mended_header(data)
            if self._kind == _METHOD:
                return self._method(data)
        return data

    async def _read_ahead(self, count: int) -> None:
        """Have at least so many bytes, and what came with them: a read costs more than a frame."""
        parts = [self._ahead[self._at :]]
        self._ahead, self._at = b"", 0
        missing = count - len(parts[0])
        while missing > 0:
            part = await self._reader.read(_AHEAD)
            if not part:
                raise asyncio.IncompleteReadError(b"".join(parts), count)
            parts.append(part)
            missing -= len(part)
        self._ahead = b"".join(parts)

    def _method(self, data: bytes) -> bytes:
        """Read over a method's shoulder: its class and number, its arguments, the end's byte."""
        if data.startswith(_DELIVER):
            return _mended_delivery(data)
        if data.startswith(_BLOCKED):
            self._on_blocked(data[len(_BLOCKED) + 1 : -1].decode(errors="replace"))
        elif data.startswith(_UNBLOCKED):
            self._on_blocked(None)
        return data


def _mended_header(data: bytes) -> bytes:
    if _is_readable(data):
        return data
    weight = _UNREADABLE.to_bytes(2, "big")
    nothing = bytes(len(data) - _PROPERTIES - 1)
    return data[:2] + weight + data[4:_PROPERTIES] + nothing + data[-1:]


def _is_readable(data: bytes) -> bool:
    """Tell whether pamqp can read properties, and no header occurs twice.

    That is illegal (AMQP 0-9-1, section 4.2.5.5). The broker writes its own header over the first,
    pamqp takes the last: a sender could forge an offset or a count of deliveries.
    """
    header = ContentHeader()
    try:
        header.unmarshal(data[:-1])
        names = header.properties.headers or {}
        # To count their bytes is cheap; only where that is not clear are the fields looked at.
        if all(data.count(_short(name.encode())) == 1 for name in names):
            return True
        return len(_fields(data)) == len(names)
    except Exception:  # noqa: BLE001 - whatever it raises here would end the connection there
        return False


def _short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def _fields(data: bytes) -> list[bytes]:
    """List the names of the headers, as often as each occurs."""
    flags, at = int.from_bytes(data[_PROPERTIES : _PROPERTIES + 2], "big"), _PROPERTIES + 2
    for before in (1 << 15, 1 << 14):  # content type, content encoding
        if flags & before:
            at += 1 + data[at]
    end = at + 4 + int.from_bytes(data[at : at + 4], "big")
    at += 4
    names = []
    while at < end:
        names.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
        kind = data[at : at + 1]
        at += 1 + _SIZES.get(kind, 0)
        if kind in _LONG:
            at += 4 + int.from_bytes(data[at : at + 4], "big")
    return names


def _mended_delivery(data: bytes) -> bytes:
    """Make exchange and routing key ASCII where they are not UTF-8.

    With CC anybody can send such a key, and who may bind our queue such an exchange.
    """
    at = len(_DELIVER)
    at += 1 + data[at]  # the consumer tag
    at += 9  # delivery tag, redelivered
    data = _mended_text(data, at)
    return _mended_text(data, at + 1 + data[at])


def _mended_text(data: bytes, at: int) -> bytes:
    """Do so with the short string that begins there."""
    begin, end = at + 1, at + 1 + data[at]
    try:
        data[begin:end].decode()
    except UnicodeDecodeError:
        ascii_text = bytes(byte if byte < 0x80 else ord("?") for byte in data[begin:end])  # noqa: PLR2004 (where ASCII ends)
        return data[:begin] + ascii_text + data[end:]
    return data
