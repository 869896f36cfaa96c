"""Publishing with confirms over a connection of its own, rebuilt whenever it is lost."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from consumer import observe
from consumer.broker.confirming import Receipt
from consumer.broker.connection import Link, keep, pause
from consumer.broker.outlet import Outlet, open_outlet, open_side_outlet
from consumer.broker.topology import declare_on
from consumer.message import Outbound, UnavailableError
from consumer.spans import publishing
from schemas.topology import QUEUES, Queue

PATIENCE = 5.0
"""Seconds that a batch waits for a connection before it is refused."""
DEFAULT_EXCHANGE = ""
PUBLISHER = "workspace-lifecycle publisher"
"""As which its connection shows."""


class Publisher:
    """Publishes batches. Replies, which go where others say, have a channel of their own."""

    def __init__(
        self,
        url: str,
        name: str = PUBLISHER,
        queues: Sequence[Queue] = QUEUES,
    ) -> None:
        self._url, self._name, self._queues = url, name, queues
        self._link: Link | None = None
        self._events: Outlet | None = None
        self._replies: Outlet | None = None
        self._changed = asyncio.Event()
        self._opening = asyncio.Lock()
        self._hands: set[asyncio.Task[list[Receipt]]] = set()
        self._ended = False

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Keep a connection until `stop`, then let every batch in hand end."""
        self._ended = False
        try:
            await keep(
                self._url,
                self._name,
                lambda link: self._serve(link, ready, stop),
                stop,
                "publisher.lost",
            )
        finally:
            self._ended = True
            self._changed.set()

    async def publish(self, batch: Sequence[Outbound]) -> list[Receipt]:
        """Publish a batch in its order, all mandatory and confirmed; one receipt a message.

        `returned` means that no queue takes it. `failed` means that it may or may not have
        arrived: the broker refused it, or the connection, the channel or the time was lost. Where
        one message makes the broker close the channel, all in flight with it fail: try failed
        ones again one by one to find it. A caller that is cancelled does not break the batch off.

        Raises:
            UnavailableError: there is no connection now; nothing was published.

        """
        task = asyncio.ensure_future(self._traced(batch))
        self._hands.add(task)
        task.add_done_callback(self._hands.discard)
        return await asyncio.shield(task)

    async def _serve(self, link: Link, ready: Callable[[], None], stop: asyncio.Event) -> None:
        await declare_on(link, self._queues)
        self._events = await open_outlet(link, "events")
        self._link = link
        self._changed.set()
        observe.say("publisher.started")
        ready()
        try:
            await link.until(stop)
            while self._hands:
                await asyncio.wait(self._hands)
        finally:
            self._link = self._events = self._replies = None
            self._changed.clear()

    async def _traced(self, batch: Sequence[Outbound]) -> list[Receipt]:
        with publishing(batch) as (messages, spans):
            receipts = await self._publish(messages)
            for span, receipt in zip(spans, receipts, strict=False):
                if receipt != "confirmed":
                    span.fail(receipt)
            return receipts

    async def _publish(self, batch: Sequence[Outbound]) -> list[Receipt]:
        link, events = await self._connected()
        observe.say("batch.taken", count=len(batch))
        replies = [message.exchange == DEFAULT_EXCHANGE for message in batch]
        if not any(replies):
            return await events.send(batch)
        told, answered = await asyncio.gather(
            events.send(_picked(batch, replies, wanted=False)),
            self._reply(link, _picked(batch, replies, wanted=True)),
        )
        ways = iter(told), iter(answered)
        return [next(ways[is_reply]) for is_reply in replies]

    async def _connected(self) -> tuple[Link, Outlet]:
        if not self._changed.is_set():
            await pause(PATIENCE, self._changed)
        if self._link is None or self._events is None:
            raise UnavailableError(
                "the publisher has ended" if self._ended else "no connection to RabbitMQ now"
            )
        return self._link, self._events

    async def _reply(self, link: Link, messages: Sequence[Outbound]) -> list[Receipt]:
        try:
            async with self._opening:
                if self._replies is None or not self._replies.open:
                    self._replies = await open_side_outlet(link, "replies")
                replies = self._replies
        except UnavailableError as error:
            observe.say("replies.lost", why=str(error))
            return ["failed"] * len(messages)
        return await replies.send(messages)


def _picked(batch: Iterable[Outbound], replies: Iterable[bool], *, wanted: bool) -> list[Outbound]:
    return [one for one, is_reply in zip(batch, replies, strict=True) if is_reply is wanted]
