"""The page over HTTP: read-only, on a loopback address, or for whoever has the token."""

import asyncio
import base64
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from ipaddress import ip_address
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from consumer.address import taking
from consumer.broker.ask import UnroutableError
from consumer.broker.dead import Letter, dead_queue, dead_queues
from consumer.client import LifecycleClient, event_of
from consumer.console.feed import Feed, Message
from consumer.message import UnavailableError
from schemas.commands import PauseWorkspace, ResumeWorkspace
from schemas.events import Action
from schemas.strict import Id

SOURCE = "workspace-lifecycle-console"
_PAGE = (files("consumer.console") / "page.html").read_text("utf-8")
_PATIENCE = 10.0
"""Seconds that a dry run may take."""
_MOST_LETTERS = 100
_BEAT = 15.0
"""Seconds after which an idle stream says something, so that a dead one is noticed."""
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ExposedError(ValueError):
    """The console would be open to everybody who reaches its address."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the console listens; `port` 0 is any free one."""

    host: str
    port: int

    @classmethod
    def of(cls, text: str) -> "Address":
        """Read `host:port`.

        Raises:
            ValueError: it is none.

        """
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or int(port) >= 2**16:
            raise ValueError(f"{text!r} is no host:port, such as 127.0.0.1:8181")
        return cls(host.strip("[]"), int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class DryRun(BaseModel):
    """What a page may ask for: what would a command hit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: Action
    workspace_id: Id
    cascade: bool | None = None


class Console:
    """A service that serves the page.

    Raises:
        ExposedError: the address is not a loopback one, and there is no token.

    """

    def __init__(
        self, amqp_url: str, database_url: str, address: Address, token: str | None = None
    ) -> None:
        if token is None and not address.is_loopback:
            raise ExposedError(
                f"{address.host} is reached by others: set LIFECYCLE_CONSOLE_TOKEN, or listen on "
                "127.0.0.1"
            )
        self._amqp_url, self._address, self._token = amqp_url, address, token
        self._feed = Feed(amqp_url, database_url)
        self.url = ""

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Serve until `stop`.

        Raises:
            TakenError: somebody else listens there, or we may not.

        """
        application = web.Application(middlewares=[self._guarded], client_max_size=4096)
        application.router.add_get("/", self._page)
        application.router.add_get("/feed", self._stream)
        application.router.add_post("/dry-run", self._dry_run)
        application.router.add_get("/dead-letters", self._dead_letters)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._address.host, self._address.port)
            with taking(self._address.host, self._address.port, "--listen"):
                await site.start()
            host = f"[{self._address.host}]" if ":" in self._address.host else self._address.host
            self.url = f"http://{host}:{runner.addresses[0][1]}/"
            ready()
            await self._feed.run(stop)
        finally:
            await runner.cleanup()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Let nobody in without the token; without one, nobody by another name.

        A page elsewhere can have its own name resolve to 127.0.0.1 and so read what is served
        there (DNS rebinding): its requests name that host.
        """
        if self._token is None and not Address(request.url.host or "", 0).is_loopback:
            raise web.HTTPForbidden(text="ask by the address that the console listens on\n")
        if self._token is not None and not self._knows(request):
            demand = {"WWW-Authenticate": 'Basic realm="workspace-lifecycle", charset="UTF-8"'}
            raise web.HTTPUnauthorized(headers=demand, text="any name, and the token as password\n")
        return await handler(request)

    def _knows(self, request: web.Request) -> bool:
        """Compare what a browser sends after it has asked (RFC 7617), in constant time."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        try:
            _, _, password = base64.b64decode(given, validate=True).partition(b":")
        except ValueError:
            return False
        same = hmac.compare_digest(password, (self._token or "").encode())
        return same and scheme.lower() == "basic"

    async def _page(self, _: web.Request) -> web.Response:
        return web.Response(text=_PAGE, content_type="text/html", headers=_HEADERS)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Send the state, and what changes of it, as server-sent events (WHATWG HTML, 9.2)."""
        headers = _HEADERS | {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        with self._feed.looking() as following, suppress(ConnectionResetError):  # it went away
            while (message := await _soon(following)) is not None:
                await response.write(message)
        return response

    async def _dry_run(self, request: web.Request) -> web.Response:
        """Ask what a command would hit, and give the previewed event's data."""
        if request.content_type != "application/json":  # what another site's form cannot send
            raise web.HTTPUnsupportedMediaType(text="application/json\n")
        try:
            wanted = DryRun.model_validate_json(await request.read())
        except ValidationError as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        model = PauseWorkspace if wanted.action == "pause" else ResumeWorkspace
        members = wanted.model_dump(exclude={"action"}, exclude_none=True)
        command = model(**members, dry_run=True, reason="a look from the console")
        try:
            async with LifecycleClient(self._amqp_url, source=SOURCE) as client:
                answer = await client.ask(f"workspace.{wanted.action}", command, timeout=_PATIENCE)
        except (TimeoutError, UnavailableError, UnroutableError) as error:
            raise web.HTTPServiceUnavailable(text=str(error)) from None
        text = event_of(answer).model_dump_json()
        return web.Response(text=text, content_type="application/json", headers=_HEADERS)

    async def _dead_letters(self, _: web.Request) -> web.Response:
        """List what lies in the dead-letter queues, and leave it there."""
        found = []
        try:
            for queue in await dead_queues(self._amqp_url):
                async with dead_queue(self._amqp_url, queue) as letters:
                    async for letter in letters.letters():
                        found.append(_letter(queue, letter))
                        if len(found) == _MOST_LETTERS:
                            break
        except UnavailableError as error:
            raise web.HTTPServiceUnavailable(text=str(error)) from None
        return web.json_response(found, headers=_HEADERS)


async def _soon(following: Callable[[], Awaitable[Message | None]]) -> bytes | None:
    """Wait for something to say, or say that there is nothing; None when it is over."""
    try:
        async with asyncio.timeout(_BEAT):
            message = await following()
    except TimeoutError:
        return b": still here\n\n"
    return None if message is None else f"event: {message[0]}\ndata: {message[1]}\n\n".encode()


def _letter(queue: str, letter: Letter) -> dict[str, Any]:
    message = letter.message
    return {
        "queue": queue,
        "type": message.type or message.routing_key,
        "message_id": message.message_id,
        "app_id": message.app_id,
        "parked_at": letter.parked_at,
        "why": letter.why,
    }


def _policy() -> str:
    """Allow the page its own script and style, by their hashes, and nothing else (CSP 3)."""
    hashes = {
        tag: base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
        for tag in ("script", "style")
        if (found := re.search(rf"<{tag}>(.*?)</{tag}>", _PAGE, re.DOTALL))
    }
    return (
        f"default-src 'none'; script-src 'sha256-{hashes['script']}'; "
        f"style-src 'sha256-{hashes['style']}'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


_HEADERS = {
    "Content-Security-Policy": _policy(),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
