"""A TCP gate before a broker: it cuts, freezes and refuses as networks do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

_Gate = TypeVar("_Gate", bound="Gate")


class Gate:
    """Passes bytes both ways until told otherwise."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.url = ""
        self.entered = asyncio.Event()

    async def start(self, port: int = 0) -> None:
        """Let connections in, at the same port as before where there was one."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        self._port = self._server.sockets[0].getsockname()[1]
        user = f"{self._url.username}:{self._url.password}"
        place = f"{user}@127.0.0.1:{self._port}"
        self.url = urlunsplit(self._url._replace(netloc=place))

    def cut(self) -> None:
        """End every connection without a word."""
        for writer in list(self._writers):
            writer.transport.abort()

    def freeze(self) -> None:
        """Pass nothing more, as a broker under an alarm or a dead network does."""
        self._open.clear()

    def thaw(self) -> None:
        """Pass again."""
        self._open.set()

    async def refuse(self) -> None:
        """Cut, and let nobody in until `admit`."""
        assert self._server
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    async def empty(self) -> None:
        """Wait until all who were let in are gone."""
        while self._passing:
            await asyncio.wait(self._passing)

    async def admit(self) -> None:
        """Let connections in again."""
        await self.start(self._port)

    def passed(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Take no note of what passes."""

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.entered.set()
        passing = asyncio.current_task()
        assert passing
        self._passing.add(passing)
        passing.add_done_callback(self._passing.discard)
        far_reader, far_writer = await asyncio.open_connection(
            self._url.hostname, self._url.port or 5672
        )
        self._writers |= {writer, far_writer}
        ways = [
            asyncio.create_task(self._pass(reader, far_writer)),
            asyncio.create_task(self._pass(far_reader, writer)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for one in (writer, far_writer):
            one.transport.abort()
            self._writers.discard(one)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._open.wait()
            self.passed(writer, data)
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError


def gate_before(url: str) -> AbstractAsyncContextManager[Gate]:
    """Put a gate before a broker for the time of a block."""
    return put_up(Gate(url))


@asynccontextmanager
async def put_up(gate: _Gate) -> AsyncIterator[_Gate]:
    """Have a gate of any kind stand for the time of a block."""
    await gate.start()
    try:
        yield gate
    finally:
        gate.thaw()
        await gate.refuse()
        await gate.empty()
