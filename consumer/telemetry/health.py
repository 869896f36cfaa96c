"""`/livez` and `/readyz` over HTTP/1.1, for probes and for `docker compose`."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from consumer.observe import say

_LONGEST_REQUEST = 5.0


class Health:
    """A service that answers probes on `host:port`.

    Live is whoever answers. Ready is 200 while `hindrances()` gives none, else 503 with them.
    """

    def __init__(self, listen: str, hindrances: Callable[[], Sequence[str]]) -> None:
        host, _, port = listen.rpartition(":")
        self._host, self._port = host.strip("[]") or "127.0.0.1", int(port)
        self._hindrances = hindrances

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Serve until `stop`."""
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
            writer.write(self._response(path[0] if path else b""))
            await writer.drain()
        except (OSError, TimeoutError, ValueError):
            return
        finally:
            writer.close()

    def _response(self, path: bytes) -> bytes:
        status, body = self._found(path)
        text = json.dumps(body).encode() + b"\n"
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}"
        return head.encode() + b"\r\nConnection: close\r\n\r\n" + text

    def _found(self, path: bytes) -> tuple[str, Mapping[str, Any]]:
        if path == b"/livez":
            return "200 OK", {"status": "live"}
        if path != b"/readyz":
            return "404 Not Found", {"status": "try /livez or /readyz"}
        why = self._hindrances()
        if why:
            return "503 Service Unavailable", {"status": "not ready", "why": [*why]}
        return "200 OK", {"status": "ready"}
