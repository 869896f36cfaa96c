"""AMQP 0-9-1 on a plain socket: frames written in bulk, confirms counted as they come, no more."""

import asyncio
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Self
from urllib.parse import unquote, urlsplit

from pamqp import frame
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.commands import Basic, Channel, Confirm, Connection
from pamqp.header import ContentHeader, ProtocolHeader

_HEAD = struct.Struct(">BHI")
_CONFIRM = struct.Struct(">HHQB")
_ACK, _NACK = (60, 80), (60, 120)
_CLOSES = {(10, 50), (20, 40)}
_AT_ONCE = 1000
_FRAME = 131_072
PIECE = _FRAME - 8
"""Bytes of a body in one frame, which has eight around them."""


def form(
    exchange: str, key: str, properties: Basic.Properties, body: bytes, marks: Iterable[str]
) -> bytes:
    """Write a message once, to be filled with `%`: each mark is where a value of its length goes.

    A mark may stand at several places; values are given in the order of the places. A body that has
    marks fits into one frame.
    """
    publish = Basic.Publish(0, exchange, key, mandatory=True, immediate=False)
    pieces = [ContentBody(body[at : at + PIECE]) for at in range(0, len(body), PIECE)]
    head = (publish, ContentHeader(0, len(body), properties))
    frames = [frame.marshal(part, 1) for part in head] + [frame.marshal(one, 1) for one in pieces]
    whole = b"".join(frames).replace(b"%", b"%%")
    for mark in marks:
        whole = whole.replace(mark.encode(), b"%b")
    return whole


def chunks(messages: Iterable[bytes]) -> Iterator[bytes]:
    """Join messages by the thousand."""
    held: list[bytes] = []
    for message in messages:
        held.append(message)
        if len(held) == _AT_ONCE:
            yield b"".join(held)
            held.clear()
    yield b"".join(held)


class Wire:
    """A connection with one channel, in confirm mode."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._sent = self._confirmed = 0
        self._beyond: set[int] = set()
        self._why: str | None = None
        self._news = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect, without heartbeats."""
        parts = urlsplit(url)
        wire = cls(*await asyncio.open_connection(parts.hostname, parts.port or 5672))
        user, password = unquote(parts.username or "guest"), unquote(parts.password or "guest")
        wire._writer.write(ProtocolHeader().marshal())
        await wire._frame()
        wire._write(0, Connection.StartOk({}, "PLAIN", f"\0{user}\0{password}", "en_US"))
        await wire._frame()
        wire._write(0, Connection.TuneOk(2047, _FRAME, 0))
        wire._write(0, Connection.Open(unquote(parts.path[1:]) or "/"))
        await wire._frame()
        wire._write(1, Channel.Open())
        await wire._frame()
        wire._write(1, Confirm.Select())
        await wire._frame()
        wire._reading = asyncio.create_task(wire._read())
        return wire

    async def publish(self, messages: Iterable[bytes]) -> int:
        """Write messages and wait until the broker has confirmed all; give how many they were.

        Raises:
            ConnectionError: it refused one, or closed the channel or the connection.

        """
        counted = list(messages)
        self._sent += len(counted)
        for chunk in chunks(counted):
            self._writer.write(chunk)
            await self._writer.drain()
        while self._confirmed < self._sent and self._why is None:
            self._news.clear()
            await self._news.wait()
        if self._why is not None:
            raise ConnectionError(self._why)
        return len(counted)

    def post(self, message: bytes) -> None:
        """Write one message and go on; `publish` waits for its confirm too."""
        self._sent += 1
        self._writer.write(message)

    async def close(self) -> None:
        """Let the connection go."""
        assert self._reading is not None
        self._reading.cancel()
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    def _write(self, channel: int, method: Frame) -> None:
        self._writer.write(frame.marshal(method, channel))

    async def _read(self) -> None:
        try:
            while True:
                self._take(await self._frame())
        except (asyncio.IncompleteReadError, OSError) as error:
            self._why = f"the connection was lost: {error}"
        self._news.set()

    def _take(self, payload: bytes) -> None:
        """Count what is confirmed; take note of a refusal. Whatever else comes is returned mail."""
        method = struct.unpack_from(">HH", payload)
        if method == _ACK:
            _, _, tag, multiple = _CONFIRM.unpack(payload)
            self._note(tag, multiple=bool(multiple))
            self._news.set()
        elif method in {_NACK, *_CLOSES}:
            self._why = f"the broker refused: {payload!r}"
            self._news.set()

    def _note(self, tag: int, *, multiple: bool) -> None:
        """Move on to where everything is confirmed; what comes ahead of it is kept until then."""
        if multiple:
            self._confirmed = max(self._confirmed, tag)
            self._beyond = {one for one in self._beyond if one > self._confirmed}
        else:
            self._beyond.add(tag)
        while self._confirmed + 1 in self._beyond:
            self._confirmed += 1
            self._beyond.discard(self._confirmed)

    async def _frame(self) -> bytes:
        """Read one frame."""
        _, _, size = _HEAD.unpack(await self._reader.readexactly(_HEAD.size))
        return (await self._reader.readexactly(size + 1))[:-1]
