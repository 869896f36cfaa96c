"""Messages written byte by byte: what no client library would send."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.support.wire import PIECE, Wire

_SHOWN = 200
_METHOD, _HEADER, _BODY, _END = 1, 2, 3, b"\xce"
_PUBLISH, _BASIC = (60, 40), 60
_MANDATORY = b"\x01"


@dataclass(frozen=True)
class Raw:
    """A message as bytes: `properties` are the flags and what they announce, unchecked."""

    exchange: str
    routing_key: bytes
    properties: bytes
    body: bytes

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        """Tell Hypothesis of it in short."""
        told = [_cut(one) for one in (self.routing_key, self.properties, self.body)]
        printer.text(f"Raw({self.exchange!r}, {', '.join(told)})")

    def frames(self) -> Iterator[bytes]:
        """Write its frames."""
        exchange = short(self.exchange.encode())
        method = struct.pack(">HHH", *_PUBLISH, 0) + exchange + short(self.routing_key)
        yield _framed(_METHOD, method + _MANDATORY)
        size = struct.pack(">HHQ", _BASIC, 0, len(self.body))
        yield _framed(_HEADER, size + self.properties)
        for at in range(0, len(self.body), PIECE):
            yield _framed(_BODY, self.body[at : at + PIECE])


class Hand:
    """Sends them; where the broker ended the connection over one, over another."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._wire: Wire | None = None

    async def send(self, message: Raw) -> bool:
        """Publish one message, and tell whether the broker took it. If not, nobody has it."""
        if self._wire is None:
            self._wire = await Wire.open(self._url)
        try:
            await self._wire.publish([b"".join(message.frames())])
        except ConnectionError:
            await self.close()
            return False
        return True

    async def close(self) -> None:
        """Let the connection go."""
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()


def _framed(kind: int, content: bytes) -> bytes:
    return struct.pack(">BHI", kind, 1, len(content)) + content + _END


def short(text: bytes) -> bytes:
    """Write a short string: its length in one byte, and at most so many bytes."""
    return bytes([len(text[:255])]) + text[:255]


def long(text: bytes) -> bytes:
    """Write a long string, or what a table or an array holds: its length in four bytes."""
    return struct.pack(">I", len(text)) + text


def _cut(text: bytes) -> str:
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r} (of {len(text)})"
