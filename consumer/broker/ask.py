"""For callers: send a command, ask and wait for the answer, listen to what is said."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.channel import Channel
from aiormq.exceptions import ChannelNotFoundEntity

from consumer.broker.confirming import ConfirmingChannel
from consumer.broker.connection import (
    TIMEOUT,
    Backoff,
    Link,
    RefusedError,
    open_link,
    translating,
)
from consumer.broker.outlet import Outlet
from consumer.broker.translate import inbound
from consumer.foreseen import ForeseenError
from consumer.message import Inbound, Outbound, UnavailableError

REPLY_TO = "amq.rabbitmq.reply-to"
"""RabbitMQ's direct reply-to: answers come to the channel that asked, without a queue."""


class UnroutableError(ForeseenError):
    """Nobody listens where a message was sent."""


class _Line:
    """One connection, its outlet, and who waits for which answer, by correlation id."""

    def __init__(self, link: Link, outlet: Outlet) -> None:
        self.link, self.outlet = link, outlet
        self.waiting: dict[str, asyncio.Future[Inbound]] = {}
        link.lost.add_done_callback(self._fail)

    @property
    def usable(self) -> bool:
        """Whether anything may still be sent here."""
        return self.outlet.open and not self.link.lost.done()

    async def answer(self, delivered: DeliveredMessage) -> None:
        """Give an answer to whoever waits for it; one that nobody waits for came too late."""
        message = inbound(delivered, REPLY_TO)
        future = self.waiting.get(message.correlation_id or "")
        if future and not future.done():
            future.set_result(message)

    def _fail(self, lost: asyncio.Future[str]) -> None:
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(UnavailableError(f"no answer any more: {lost.result()}"))


class Caller:
    """Sends, asks and listens over one connection; opens another when that one is lost."""

    def __init__(self, url: str, name: str = "workspace-lifecycle caller") -> None:
        self._url, self._name = url, name
        self._opening = asyncio.Lock()
        self._line: _Line | None = None

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            UnavailableError: the broker is away.

        """
        await self._connected()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        line, self._line = self._line, None
        if line:
            await line.link.close()

    async def send(self, message: Outbound) -> None:
        """Publish one message and wait until the broker has it in a queue.

        Raises:
            UnroutableError: nobody listens there.
            UnavailableError: it is not certain that it arrived; the same id may be sent again.

        """
        await _deliver(await self._connected(), message)

    async def ask(self, message: Outbound, timeout: float) -> Inbound:  # noqa: ASYNC109 - the text of the error needs it
        """Publish one message and wait for its answer, for `timeout` seconds in all.

        Where the connection is lost meanwhile it is asked again on another, under the same id.

        Raises:
            TimeoutError: no answer yet. The command may still be carried out.
            UnroutableError: nobody listens there.
            RefusedError: the broker does not let us in any more.

        """
        lost: list[UnavailableError] = []
        try:
            async with asyncio.timeout(timeout):
                return await self._insisted(message, lost)
        except TimeoutError:
            why = f" ({lost[-1]})" if lost else ""
            raise TimeoutError(
                f"no answer to {message.type} {message.message_id} within {timeout:g} s{why}. It "
                "may still be carried out: ask again with the same message id for the same answer"
            ) from None

    @asynccontextmanager
    async def listen(
        self, exchange: str, *routing_keys: str
    ) -> AsyncIterator[AsyncIterator[Inbound]]:
        """Listen with a queue of one's own, which goes with the block.

        The iterator raises UnavailableError when the connection is lost: what was said meanwhile
        was missed.

        Raises:
            UnroutableError: there is no such exchange.

        """
        line = await self._connected()
        heard: asyncio.Queue[Inbound | None] = asyncio.Queue()
        underlay = await line.link.underlay(f"listening to {exchange}", vital=False)
        underlay.on_consumer_cancel_callbacks.add(lambda _: heard.put_nowait(None))
        underlay.closing.add_done_callback(lambda _: heard.put_nowait(None))
        await _bind_and_consume(underlay, exchange, routing_keys, heard)
        try:
            yield _Hearing(heard)
        finally:
            await _leave(underlay)

    async def _connected(self) -> _Line:
        async with self._opening:
            if self._line and not self._line.usable:
                await self._line.link.close()
                self._line = None
            if self._line is None:
                self._line = await _open_line(self._url, self._name)
            return self._line

    async def _insisted(self, message: Outbound, lost: list[UnavailableError]) -> Inbound:
        """Ask until there is an answer, noting each loss: the answer may have gone with it."""
        backoff = Backoff()
        while True:
            try:
                return await self._answered(await self._connected(), message)
            except RefusedError:
                raise
            except UnavailableError as error:
                lost.append(error)
                await asyncio.sleep(backoff.next())

    async def _answered(self, line: _Line, message: Outbound) -> Inbound:
        key = message.correlation_id or message.message_id
        if key in line.waiting:
            raise ValueError(f"{key} is being asked already: wait for its answer, or take a new id")
        line.waiting[key] = asyncio.get_running_loop().create_future()
        line.waiting[key].add_done_callback(_seen)
        try:
            await _deliver(line, replace(message, correlation_id=key, reply_to=REPLY_TO))
            return await line.waiting[key]
        finally:
            del line.waiting[key]


def _seen(answer: asyncio.Future[Inbound]) -> None:
    """Look at what a future came to: asyncio prints an error that nobody asked for.

    The connection can be lost before anybody waits, and then the sending says so.
    """
    if not answer.cancelled():
        answer.exception()


async def _open_line(url: str, name: str) -> _Line:
    link = await open_link(url, name)
    try:
        channel = await link.own(ConfirmingChannel, "asking")
        line = _Line(link, Outlet(channel, link.fail, link.user_id))
        with translating("consume the answers"):
            await channel.basic_consume(REPLY_TO, line.answer, no_ack=True, timeout=TIMEOUT)
    except BaseException:
        await link.close()
        raise
    return line


async def _deliver(line: _Line, message: Outbound) -> None:
    (receipt,) = await line.outlet.send([message])
    if receipt == "returned" or f"no exchange '{message.exchange}'" in line.outlet.trouble:
        raise _unroutable(message.exchange, message.routing_key)
    if receipt == "failed":
        raise UnavailableError(
            f"{message.type} {message.message_id} may or may not have arrived "
            f"({line.outlet.trouble}): send it again with the same message id"
        )


def _unroutable(exchange: str, routing_key: str) -> UnroutableError:
    return UnroutableError(
        f"nobody listens to {routing_key!r} on the exchange {exchange!r} of this vhost: check the "
        "vhost in the URL, and start the program there (workspace-lifecycle run)"
    )


async def _bind_and_consume(
    channel: AbstractChannel,
    exchange: str,
    routing_keys: tuple[str, ...],
    heard: asyncio.Queue[Inbound | None],
) -> None:
    with translating(f"listen to {exchange}"):
        queue = (await channel.queue_declare(exclusive=True, timeout=TIMEOUT)).queue or ""
        for key in routing_keys:
            try:
                await channel.queue_bind(queue, exchange, key, timeout=TIMEOUT)
            except ChannelNotFoundEntity:
                raise _unroutable(exchange, key) from None

        async def hear(delivered: DeliveredMessage) -> None:
            heard.put_nowait(inbound(delivered, queue))

        await channel.basic_consume(queue, hear, no_ack=True, timeout=TIMEOUT)


async def _leave(channel: Channel) -> None:
    """Close a channel, whose queue goes with it; where it is lost there is nothing to close."""
    with suppress(UnavailableError), translating("stop listening"):
        await channel.close()


class _Hearing(AsyncIterator[Inbound]):
    """What is heard, one by one. A wait that is broken off loses nothing, unlike a generator's."""

    def __init__(self, heard: asyncio.Queue[Inbound | None]) -> None:
        self._heard = heard

    async def __anext__(self) -> Inbound:
        message = await self._heard.get()
        if message is not None:
            return message
        self._heard.put_nowait(None)  # the end, for whoever asks again
        raise UnavailableError("no longer listening: the connection or the queue was lost")
