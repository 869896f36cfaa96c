"""`/livez`, `/readyz` and `/metrics` over HTTP/1.1, for probes and for Prometheus."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from consumer.address import taking
from consumer.observe import say

_LONGEST_REQUEST = 5.0
_JSON, _TEXT = "application/json", "text/plain; version=0.0.4; charset=utf-8"


class Health:
    """A service that answers probes and scrapes on `host:port`.

    Live is whoever answers. Ready is 200 while `hindrances()` gives none, else 503 with them.
    `metrics()` writes all metrics in Prometheus's text format.
    """

    def __init__(
        self,
        listen: str,
        hindrances: Callable[[], Sequence[str]],
        metrics: Callable[[], Awaitable[bytes]],
    ) -> None:
        host, _, port = listen.rpartition(":")
        self._host, self._port = host.strip("[]") or "127.0.0.1", int(port)
        self._hindrances, self._metrics = hindrances, metrics

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Serve until `stop`.

        Raises:
            TakenError: somebody else listens there, or we may not.

        """
        with taking(self._host, self._port, "LIFECYCLE_LISTEN"):
            server = await asyncio.start_server(self._answer, self._host, self._port)
        async with server:
            say("health.started", address=server.sockets[0].getsockname()[:2])
            ready()
            await stop.wait()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_LONGEST_REQUEST):
                path = (await reader.readline()).split(b" ")[1:2]
                while (await reader.readline()).strip():
                    pass
                writer.write(await self._response(path[0] if path else b""))
                await writer.drain()
        except (OSError, TimeoutError, ValueError):
            return
        finally:
            writer.close()

    async def _response(self, path: bytes) -> bytes:
        if path.partition(b"?")[0] == b"/metrics":
            return _written("200 OK", _TEXT, await self._metrics())
        status, body = self._found(path)
        return _written(status, _JSON, json.dumps(body).encode() + b"\n")

    def _found(self, path: bytes) -> tuple[str, Mapping[str, Any]]:
        if path == b"/livez":
            return "200 OK", {"status": "live"}
        if path != b"/readyz":
            return "404 Not Found", {"status": "try /livez, /readyz or /metrics"}
        why = self._hindrances()
        if why:
            return "503 Service Unavailable", {"status": "not ready", "why": [*why]}
        return "200 OK", {"status": "ready"}


def _written(status: str, content_type: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\nConnection: close\r\n\r\n" + body
