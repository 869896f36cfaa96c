"""Consuming: one delivery, one task; acknowledged when its handler has returned, never before."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, count
from time import perf_counter
from typing import TypeVar

from aiormq.abc import DeliveredMessage

from consumer import observe
from consumer.broker.connection import TIMEOUT, Backoff, Link, cancelled, keep, pause, translating
from consumer.broker.consuming import ConsumingChannel
from consumer.broker.parking import Parking, UnparkableError, reason
from consumer.broker.suspects import SUSPECT, OverError, UnendedError, Watch
from consumer.broker.topology import declare_on
from consumer.broker.translate import inbound
from consumer.broker.transport import has_readable_properties
from consumer.message import Inbound, UnavailableError, UnreadableError
from schemas.topology import QUEUES, Queue

T = TypeVar("T")
Handle = Callable[[Inbound], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Session:
    """One life of a channel: deliveries can be settled nowhere else. `over` ends all waiting."""

    channel: ConsumingChannel
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def ack(self, held: DeliveredMessage) -> None:
        with translating("acknowledge"):
            self.channel.ack(_tag(held))

    async def reject(self, held: DeliveredMessage, *, requeue: bool) -> None:
        """Give up an attempt that counts."""
        with translating("reject"):
            await self.channel.reject(_tag(held), requeue=requeue)

    async def give_back(self, held: DeliveredMessage) -> None:
        """Give back what was not tried: on RabbitMQ 4.3 that does not count against it."""
        with translating("give back"):
            await self.channel.give_back(_tag(held))


def _tag(held: DeliveredMessage) -> int:
    assert held.delivery_tag is not None
    return held.delivery_tag


class Consumer:
    """Hands every delivery of a queue to `handle`, and settles it by what that does.

    It returns: acknowledged. UnavailableError: called again, as long as it takes. UnreadableError:
    parked. Anything else: counted by the broker and delivered again, parked after `attempts`.

    What kills the process is handled alone, where there is a `watch`, and parked after as many.
    """

    def __init__(
        self,
        url: str,
        queue: str,
        handle: Handle,
        *,
        prefetch: int,
        attempts: int = 5,
        queues: Sequence[Queue] = QUEUES,
        watch: Watch | None = None,
    ) -> None:
        self._url, self._queue, self._handle, self._queues = url, queue, handle, queues
        self._prefetch, self._attempts, self._watch = prefetch, attempts, watch
        self._parking = Parking(url, queue, queues)
        self._hands: set[asyncio.Task[None]] = set()

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Consume until `stop`, mending what breaks; then let what is in hand end and be acked."""
        try:
            with observe.bound(queue=self._queue):
                await keep(
                    self._url,
                    f"workspace-lifecycle consumer {self._queue}",
                    lambda link: self._serve(link, ready, stop),
                    stop,
                    "consumer.lost",
                )
        except asyncio.CancelledError:
            for hand in self._hands:
                hand.cancel()
            raise
        finally:
            await self._empty_hands()
            await self._parking.close()

    async def _serve(self, link: Link, ready: Callable[[], None], stop: asyncio.Event) -> None:
        await declare_on(link, self._queues)
        channel = await link.own(ConsumingChannel, self._queue)
        channel.on_consumer_cancel_callbacks.add(
            lambda _: link.fail(f"the broker cancelled the consumer of {self._queue}")
        )
        session = _Session(channel)
        try:
            tag = await self._consume(session)
            observe.say("consumer.started")
            ready()
            await link.until(stop)
        finally:
            session.over.set()
        with translating("cancel the consumer"):
            await channel.basic_cancel(tag, timeout=TIMEOUT)
        await self._empty_hands()
        await channel.flush()

    async def _consume(self, session: _Session) -> str:
        with translating(f"consume {self._queue}"):
            async with asyncio.timeout(TIMEOUT):
                take = partial(self._take, session)
                return await session.channel.consume(self._queue, take, self._prefetch)

    def _take(self, session: _Session, held: DeliveredMessage) -> None:
        """Start a task that the channel's end does not cancel."""
        hand = asyncio.ensure_future(self._settle(session, held))
        self._hands.add(hand)
        hand.add_done_callback(self._hands.discard)

    async def _empty_hands(self) -> None:
        while self._hands:
            await asyncio.wait(self._hands)

    async def _settle(self, session: _Session, held: DeliveredMessage) -> None:
        message = inbound(held, self._queue)
        with observe.bound(queue=self._queue, message_id=message.message_id):
            observe.say("delivery.taken")
            try:
                await self._attempt(session, held, message)
            except OverError:
                await _late(session.give_back(held))
            except UnavailableError as error:
                observe.say("delivery.unsettled", why=str(error))
            except Exception as error:  # noqa: BLE001 - ours; unsettled, it would be held for ever
                observe.say("delivery.failed", why=reason(error), attempt=message.deliveries + 1)
                await _late(session.reject(held, requeue=True))

    async def _attempt(self, session: _Session, held: DeliveredMessage, message: Inbound) -> None:
        began = perf_counter()
        failure = _unreadable(held) or await self._watched(session, message)
        if failure is None:
            session.ack(held)
            observe.say("delivery.acknowledged", seconds=perf_counter() - began)
        elif isinstance(failure, UnreadableError) or message.deliveries + 1 >= self._attempts:
            await self._park(session, held, failure)
            if isinstance(failure, UnendedError) and self._watch:
                await self._watch.suspects.forget(message)
        else:
            observe.say("delivery.failed", why=reason(failure), attempt=message.deliveries + 1)
            await pause(min(0.1 * 2**message.deliveries, 5.0), session.over)
            await session.reject(held, requeue=True)

    async def _watched(self, session: _Session, message: Inbound) -> Exception | None:
        """Call the handler; alone for what came before and was never ended."""
        watch = self._watch
        if watch is None or message.deliveries < SUSPECT:
            return await self._handled(session, message)
        try:
            return await _insist(
                session,
                lambda: watch.suspects.watch(
                    message,
                    lambda: self._handled(session, message),
                    self._attempts,
                    watch.seconds,
                    session.over,
                ),
            )
        except UnendedError as error:
            return error

    async def _handled(self, session: _Session, message: Inbound) -> Exception | None:
        """Call the handler; what it raises is the answer, save what is not the message's fault."""
        try:
            await _insist(session, self._tries(message))
        except OverError:
            raise
        except asyncio.CancelledError:
            if cancelled():
                raise
            return RuntimeError("something the handler waited for was cancelled")
        except Exception as error:  # noqa: BLE001 - counted and told, whatever it is
            return error
        return None

    def _tries(self, message: Inbound) -> Callable[[], Awaitable[None]]:
        """Hand a message to the handler, each time as one that was handed to it once more."""
        again = (replace(message, tries=number) for number in count(1))
        tries = chain((message,), again)
        return lambda: self._handle(next(tries))

    async def _park(self, session: _Session, held: DeliveredMessage, failure: Exception) -> None:
        try:
            await _insist(session, lambda: self._parking.park(held, failure))
        except UnparkableError:
            await session.reject(held, requeue=False)
        else:
            session.ack(held)
        observe.say("delivery.parked", why=reason(failure))


def _unreadable(held: DeliveredMessage) -> UnreadableError | None:
    """Tell properties that were left out by the transport from those that were not sent."""
    if has_readable_properties(held):
        return None
    return UnreadableError(
        "its AMQP properties cannot be read: text that is not UTF-8, a time not in seconds, or a "
        "header twice"
    )


async def _insist(session: _Session, call: Callable[[], Awaitable[T]]) -> T:
    """Call until it does not raise UnavailableError, or the session is over."""
    backoff = Backoff()
    while not session.over.is_set():
        try:
            return await call()
        except UnavailableError as error:
            observe.say("delivery.retried", why=str(error))
            await pause(backoff.next(), session.over)
    raise OverError


async def _late(settling: Awaitable[None]) -> None:
    """Settle after the session's end: where its channel is gone, the broker delivers again."""
    try:
        await settling
    except UnavailableError as error:
        observe.say("delivery.unsettled", why=str(error))
