"""AMQP connections under our own supervision: opened here, lost here, rebuilt from here.

aio-pika's robust connections neither resend nor always bring consumers back, so none are used.
`keep` serves on one plain connection after another; a `Link` tells when any part of it is lost.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from random import SystemRandom
from typing import Any, TypeVar
from urllib.parse import urlsplit

from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.abc import AbstractChannel as AnyChannel
from aiormq.channel import Channel
from aiormq.connection import Connection
from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ConnectionNotAllowed,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from yarl import URL

from consumer import observe
from consumer.address import AddressError, check_files, query_of
from consumer.broker.channel import OwnChannel
from consumer.broker.identity import user_of
from consumer.broker.nodes import Nodes, nodes_of, urls_of, vhost_of
from consumer.broker.transport import TolerantConnection, TolerantTransport
from consumer.message import UnavailableError
from consumer.tls import Names, refused

T = TypeVar("T")
C = TypeVar("C", bound=OwnChannel)

HEARTBEAT = 10
"""Seconds. The broker drops a silent client after two, aiormq a silent broker after about three."""
TIMEOUT = 10.0
"""Seconds that opening a connection, a channel or one answer of the broker may take."""
CLOSING = 5.0
"""Seconds that a polite close may take before the connection is left to its heartbeat."""
SCHEMES = ("amqp", "amqps")
EXAMPLE = "amqps://USER:PASSWORD@HOST:PORT/VHOST"
TLS = Names(ca="cafile", certificate="certfile", key="keyfile")
UNREADABLE = "a URL that cannot be read"
_REFUSALS = (AuthenticationError, ProbableAuthenticationError, ConnectionNotAllowed)
_NO_VHOST = "the virtual host does not exist, is full, or is not open to this user"
"""What it means where the broker answers Connection.Open with a close; aiormq drops its text."""
_JITTER = SystemRandom()


class RefusedError(UnavailableError):
    """Waiting is no use: the broker refuses our user, vhost or certificate, or we refuse its."""


def redacted(text: str) -> str:
    """Show where URLs lead and nothing of who goes there: no user, password or query."""
    return ", ".join(map(_redacted, urls_of(text)))


def _redacted(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return UNREADABLE
    if parts.scheme not in SCHEMES or not parts.hostname:
        return UNREADABLE
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def describe(error: BaseException | None) -> str:
    """Say in one line what the broker or the network said."""
    if error is None or isinstance(error, asyncio.CancelledError):
        return "closed"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def cancelled() -> bool:
    """Tell our own cancellation from one that aiormq puts into the futures it gives up."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@contextmanager
def translating(doing: str) -> Iterator[None]:
    """Turn whatever the libraries and the network raise into UnavailableError.

    Where aiormq's `wait_for` swallowed our cancellation, as it may in Python 3.11, it is raised.
    """
    try:
        yield
        if cancelled():
            raise asyncio.CancelledError  # noqa: TRY301 - ours: it goes through below
    except asyncio.CancelledError:
        if cancelled():
            raise
        raise UnavailableError(f"could not {doing}: the connection was closed") from None
    except (AMQPError, OSError, TimeoutError, RuntimeError) as error:
        if isinstance(error, InvalidFrameError) and "Connection.Close" in str(error):
            raise RefusedError(f"could not {doing}: {_NO_VHOST}") from error
        if why := refused(error, TLS):
            raise RefusedError(f"could not {doing}: {why}") from error
        kind = RefusedError if isinstance(error, _REFUSALS) else UnavailableError
        raise kind(f"could not {doing}: {describe(error)}") from error
    except Exception as error:
        if type(error) is not Exception:
            raise
        # What aiormq raises in those who wait where its reader ended without an error.
        raise UnavailableError(f"could not {doing}: the connection was closed") from error


class Backoff:
    """Delays in seconds that double from `first` to `most`, each shortened by up to a half."""

    def __init__(self, first: float = 0.1, most: float = 10.0) -> None:
        self.first, self.most = first, most
        self._next = first

    def next(self) -> float:
        """Take the next delay."""
        delay, self._next = self._next, min(self._next * 2, self.most)
        return delay * _JITTER.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin with `first` again."""
        self._next = self.first


class Link:
    """An open connection and the news of its loss; `lost` resolves to the reason, once.

    Attributes:
        user_id: as whom the broker takes messages here; None where that is not known.

    """

    def __init__(
        self, connection: AbstractConnection, name: str = "", user_id: str | None = None
    ) -> None:
        self.user_id = user_id
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._connection, self._name = connection, name
        self._blocked = self._left = False
        self._channels: list[AbstractChannel] = []
        connection.close_callbacks.add(lambda _, error: self.fail(f"connection {describe(error)}"))

    def fail(self, why: str) -> None:
        """Give the connection up: whoever serves on it stops, and `keep` opens another."""
        if not self.lost.done():
            self.lost.set_result(why)
        if self._blocked:
            self.block(None)

    def on_loss(self, tell: Callable[[], None]) -> None:
        """Have somebody told when the link is lost, but not where we leave it."""
        self.lost.add_done_callback(lambda _: None if self._left else tell())

    def block(self, why: str | None) -> None:
        """Note that the broker takes nothing that is published here, or, with None, does again."""
        self._blocked = why is not None
        if why is None:
            observe.say("connection.unblocked", connection=self._name)
        else:
            observe.say("connection.blocked", connection=self._name, why=why)

    async def channel(
        self, purpose: str, *, vital: bool = True, confirms: bool = True
    ) -> AbstractChannel:
        """Open a channel, with publisher confirms; the loss of a vital one is the link's."""
        with translating(f"open the channel for {purpose}"):
            async with asyncio.timeout(TIMEOUT):
                channel = self._connection.channel(
                    publisher_confirms=confirms, on_return_raises=False
                )
                await channel.initialize()
        self._channels.append(channel)
        if vital:
            lost = f"channel for {purpose}"
            channel.close_callbacks.add(lambda _, error: self.fail(f"{lost} {describe(error)}"))
        return channel

    async def underlay(self, purpose: str, *, vital: bool = True, confirms: bool = True) -> Channel:
        """Open a channel as `channel` does, and give aiormq's own below it."""
        opened = await self.channel(purpose, vital=vital, confirms=confirms)
        channel = await opened.get_underlay_channel()
        assert isinstance(channel, Channel)
        return channel

    async def own(self, kind: type[C], purpose: str, *, vital: bool = True) -> C:
        """Open a channel of a kind of our own; the loss of a vital one is the link's."""
        transport = self._connection.transport
        assert transport is not None
        assert isinstance(transport.connection, Connection)
        with translating(f"open the channel for {purpose}"):
            async with asyncio.timeout(TIMEOUT):
                channel = await kind.opened(transport.connection)
        if vital:
            lost = f"channel for {purpose}"
            channel.closing.add_done_callback(
                lambda _: self.fail(f"{lost} {describe(channel.reason)}")
            )
        return channel

    async def until(self, stop: asyncio.Event) -> None:
        """Wait for `stop`.

        Raises:
            UnavailableError: the link was lost; the text says why.

        """
        told = asyncio.ensure_future(stop.wait())
        either: list[asyncio.Future[Any]] = [told, self.lost]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
        if self.lost.done():
            raise UnavailableError(self.lost.result())

    async def close(self) -> None:
        """Close politely; a broker that does not answer is left."""
        self._left = self._left or not self.lost.done()
        with suppress(UnavailableError), translating("close"):
            async with asyncio.timeout(CLOSING):
                await self._connection.close()


def frame_max_of(channel: AnyChannel) -> int:
    """Give the size in bytes that a frame may have on a channel's connection, all of it."""
    return channel.connection.connection_tune.frame_max


async def open_link(url: str, name: str) -> Link:
    """Open a connection that shows as `name` in RabbitMQ's own tools.

    Where there are several URLs, to the first node that lets us in.

    Raises:
        UnavailableError: nobody answers there now.
        RefusedError: the URL cannot be used, or the broker answers and does not let us in.

    """
    nodes, troubles = _checked_nodes(url), []
    for node in nodes.in_turn():
        try:
            link = await _open_node(node, name)
        except UnavailableError as error:
            troubles.append(error)
            if len(nodes.urls) > 1:
                observe.say("node.passed_over", connection=name, why=str(error))
        else:
            nodes.reached(node)
            link.on_loss(partial(nodes.lost, node))
            return link
    raise _told_together(troubles)


def _told_together(troubles: Sequence[UnavailableError]) -> UnavailableError:
    """Make one error of those of all nodes: waiting is no use only where none can be waited for."""
    if len(troubles) == 1:
        return troubles[0]
    refused = all(isinstance(one, RefusedError) for one in troubles)
    return (RefusedError if refused else UnavailableError)("; ".join(map(str, troubles)))


async def _open_node(url: str, name: str) -> Link:
    checked = _checked(url)
    with translating(f"connect to RabbitMQ at {redacted(url)}"):
        async with asyncio.timeout(TIMEOUT):
            transport = TolerantTransport()
            connection = TolerantConnection(
                checked,
                client_properties={"connection_name": name},
                transport_factory=transport,
            )
            try:
                await connection.connect()
            except BaseException:
                # Or aio-pika makes a task of closing it when it is collected, wherever that is.
                await connection.close()
                raise
    link = Link(connection, name, user_of(url))
    transport.on_blocked = link.block
    return link


def _checked_nodes(text: str) -> Nodes:
    """Make sure that every URL can be used, and that all lead to one vhost as one user."""
    nodes = nodes_of(text)
    for url in nodes.urls:
        _checked(url)
    for what, given in (("vhost", vhost_of), ("user", _user)):
        if len({given(url) for url in nodes.urls}) > 1:
            raise RefusedError(
                f"the AMQP URLs do not all have the same {what}: several are for the nodes of one "
                f"cluster, which all connections share"
            )
    return nodes


def _user(url: str) -> tuple[str | None, str | None]:
    """Give as whom a URL logs in, and as whom the broker knows that."""
    return urlsplit(url).username, user_of(url)


def _checked(text: str) -> URL:
    """Read a URL, and add the heartbeat where it has none."""
    try:
        query = query_of(text, SCHEMES, EXAMPLE)
        check_files(query, TLS)
    except AddressError as error:
        raise RefusedError(f"the AMQP URL: {error}") from None
    if not urlsplit(text).hostname:
        raise RefusedError(f"the AMQP URL names no host: say {EXAMPLE}")
    if TLS.ca in query and urlsplit(text).scheme != "amqps":
        raise RefusedError("the AMQP URL: cafile= has no effect on amqp://: say amqps://")
    url = URL(text)
    return url if "heartbeat" in url.query else url.update_query(heartbeat=HEARTBEAT)


@asynccontextmanager
async def connected(url: str, name: str) -> AsyncIterator[Link]:
    """Open a connection for the time of a block."""
    link = await open_link(url, name)
    try:
        yield link
    finally:
        await link.close()


async def keep(
    url: str, name: str, serve: Callable[[Link], Awaitable[None]], stop: asyncio.Event, lost: str
) -> None:
    """Serve on one connection after another until `stop`, saying the fact `lost` after each loss.

    `serve` returns when `stop` is set and raises UnavailableError when its link is lost. The pause
    before the next connection grows, and shrinks again after one that lived.
    """
    backoff, clock = Backoff(), asyncio.get_running_loop().time
    while not stop.is_set():
        began = clock()
        try:
            await _serve_once(url, name, serve, stop)
        except UnavailableError as error:
            if clock() - began > backoff.most:
                backoff.reset()
            observe.say(lost, why=str(error))
            await pause(backoff.next(), stop)


async def _serve_once(
    url: str, name: str, serve: Callable[[Link], Awaitable[None]], stop: asyncio.Event
) -> None:
    link = await _unless(stop, open_link(url, name))
    if link is None:
        return
    try:
        await serve(link)
    finally:
        await link.close()


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Do some work; when `stop` comes first, break it off and return None."""
    told, task = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(work)
    try:
        await asyncio.wait([told, task], return_when=asyncio.FIRST_COMPLETED)
    finally:
        told.cancel()
        task.cancel()
        await asyncio.wait([task])
    return None if task.cancelled() else task.result()


async def pause(seconds: float, *events: asyncio.Event) -> None:
    """Sleep, but not beyond any of the events."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
