"""A gate that keeps what clients say to a broker, method by method."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from pamqp import frame
from pamqp.base import Frame
from pamqp.header import ProtocolHeader
from pamqp.heartbeat import Heartbeat

from tests.broker.gate import Gate, put_up

_Said = TypeVar("_Said", bound=Frame | Heartbeat)


class Tap(Gate):
    """Passes bytes as a gate does, and remembers those that go to the broker."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._said: dict[asyncio.StreamWriter, bytearray] = defaultdict(bytearray)

    def passed(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Keep it, where it goes to the broker."""
        if writer.get_extra_info("peername")[1] == (self._url.port or 5672):
            self._said[writer] += data

    def methods(self, kind: type[_Said]) -> list[_Said]:
        """Give all methods of a kind, or heartbeats, that were said so far, on any connection."""
        said = (one for stream in self._said.values() for one in _frames(bytes(stream)))
        return [one for one in said if isinstance(one, kind)]


def _frames(stream: bytes) -> Iterator[object]:
    """Read the whole frames of a connection."""
    at = 0
    while at < len(stream):
        read, _, one = frame.unmarshal(stream[at:])
        if read == 0:
            return
        at += read
        if not isinstance(one, ProtocolHeader):
            yield one


def tap_before(url: str) -> AbstractAsyncContextManager[Tap]:
    """Put a tap before a broker for the time of a block."""
    return put_up(Tap(url))
