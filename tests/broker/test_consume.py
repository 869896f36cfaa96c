"""Deliveries are settled by what their handler does, whatever breaks meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from consumer.broker.connection import Link
from consumer.broker.consume import Consumer, Handle
from consumer.broker.topology import TopologyError
from consumer.message import Inbound, UnavailableError
from schemas.catalog import COMMANDS_QUEUE
from tests.broker.conftest import Management
from tests.broker.gate import Gate
from tests.broker.tools import PATIENCE, Bystander, Facts, running

NAME = f"workspace-lifecycle consumer {COMMANDS_QUEUE}"


class Handler:
    """Notes every call, then does what it was told for the body."""

    def __init__(self) -> None:
        self.calls: list[Inbound] = []
        self.on: dict[bytes, Callable[[], Awaitable[None]]] = {}
        self._news = asyncio.Event()

    async def handle(self, message: Inbound) -> None:
        """Note, and do."""
        self.calls.append(message)
        self._news.set()
        if message.body in self.on:
            await self.on[message.body]()

    async def called(self, count: int) -> list[bytes]:
        """Wait until there were `count` calls, and give their bodies."""
        async with asyncio.timeout(PATIENCE):
            while len(self.calls) < count:
                self._news.clear()
                await self._news.wait()
        return [message.body for message in self.calls]


class Watched(Consumer):
    """A consumer that shows its links."""

    def __init__(self, url: str, queue: str, handle: Handle, *, prefetch: int) -> None:
        super().__init__(url, queue, handle, prefetch=prefetch)
        self.links: list[Link] = []

    async def _serve(self, link: Link, ready: Callable[[], None], stop: asyncio.Event) -> None:
        self.links.append(link)
        await super()._serve(link, ready, stop)


@pytest.fixture
def handler() -> Handler:
    """Make a handler."""
    return Handler()


def consumer(url: str, handler: Handler, *, prefetch: int = 10, attempts: int = 5) -> Consumer:
    """Make a consumer of the commands queue."""
    return Consumer(url, COMMANDS_QUEUE, handler.handle, prefetch=prefetch, attempts=attempts)


async def test_handlers_start_in_the_order_of_delivery(
    wire: Bystander, declared_url: str, handler: Handler
) -> None:
    """Messages reach the handler in the order in which the queue holds them."""
    for number in range(50):
        await wire.send(body=b"%d" % number)
    async with running(consumer(declared_url, handler)):
        assert await handler.called(50) == [b"%d" % number for number in range(50)]
    assert await wire.emptied(COMMANDS_QUEUE)


async def test_no_more_are_in_hand_than_the_prefetch(
    wire: Bystander, declared_url: str, handler: Handler
) -> None:
    """Only `prefetch` deliveries are in hand at once, and the next comes when one is settled."""
    release = asyncio.Semaphore(0)
    for body in (b"a", b"b", b"c"):
        handler.on[body] = _acquiring(release)
        await wire.send(body=body)
    async with running(consumer(declared_url, handler, prefetch=2)):
        assert await handler.called(2) == [b"a", b"b"]
        assert await wire.count(COMMANDS_QUEUE) == 1
        release.release()
        await handler.called(3)
        release.release()
        release.release()


async def test_nothing_is_acknowledged_before_its_handler_returned(
    wire: Bystander, gate: Gate, facts: Facts, handler: Handler
) -> None:
    """A connection lost while a handler works brings its message again."""
    release = asyncio.Semaphore(0)
    handler.on[b"{}"] = _acquiring(release)
    await wire.send()
    async with running(consumer(gate.url, handler)):
        await handler.called(1)
        gate.cut()
        await handler.called(2)
        release.release()
        release.release()
        await facts.wait("delivery.unsettled")
    assert await wire.emptied(COMMANDS_QUEUE)


async def test_one_that_ends_first_is_acknowledged_alone(
    wire: Bystander, gate: Gate, facts: Facts, handler: Handler
) -> None:
    """Those that came before it and are in hand yet come again when the connection is lost."""
    release = asyncio.Semaphore(0)
    handler.on[b"slow"] = _acquiring(release)
    for body in (b"slow", b"quick", b"slow"):
        await wire.send(body=body)
    async with running(consumer(gate.url, handler)):
        await facts.wait("delivery.acknowledged")
        await wire.emptied("lifecycle.results")  # a while after which the broker has it, too
        gate.cut()
        assert await handler.called(5) == [b"slow", b"quick", b"slow", b"slow", b"slow"]
        for _ in range(4):
            release.release()
        await facts.wait("delivery.acknowledged", 3)
    assert await wire.emptied(COMMANDS_QUEUE)


async def test_stop_lets_what_is_in_hand_end_and_acknowledges_it(
    wire: Bystander, declared_url: str, handler: Handler
) -> None:
    """A stop waits for the handlers at work and settles their deliveries."""
    release = asyncio.Semaphore(0)
    handler.on[b"{}"] = _acquiring(release)
    await wire.send()
    service = consumer(declared_url, handler)
    ready, stop = asyncio.Event(), asyncio.Event()
    task = asyncio.ensure_future(service.run(ready.set, stop))
    await handler.called(1)
    stop.set()
    await wire.send(body=b"after")
    done, _ = await asyncio.wait([task], timeout=0.2)
    assert not done
    release.release()
    await asyncio.wait_for(task, PATIENCE)
    assert (await wire.take(COMMANDS_QUEUE)).body == b"after"
    assert await wire.emptied(COMMANDS_QUEUE)


async def test_unavailable_is_tried_again_in_place_and_never_counted(
    wire: Bystander, declared_url: str, facts: Facts, handler: Handler
) -> None:
    """What is not the message's fault is tried until it works, with the delivery kept."""
    handler.on[b"{}"] = _raising(UnavailableError("the database is away"), times=4)
    await wire.send()
    async with running(consumer(declared_url, handler, attempts=1)):
        await handler.called(5)
    assert [message.deliveries for message in handler.calls] == [0] * 5
    assert [message.tries for message in handler.calls] == [0, 1, 2, 3, 4]
    assert facts.of("delivery.retried")[0]["why"] == "the database is away"
    assert not facts.of("delivery.failed")
    assert await wire.emptied(COMMANDS_QUEUE)


async def test_stop_gives_back_what_waits_for_another_try(
    wire: Bystander, declared_url: str, facts: Facts, handler: Handler
) -> None:
    """A delivery that waits for something unavailable goes back to the queue at a stop."""
    handler.on[b"{}"] = _raising(UnavailableError("the database is away"), times=1000)
    await wire.send()
    async with running(consumer(declared_url, handler)):
        await facts.wait("delivery.retried", 2)
    assert (await wire.take(COMMANDS_QUEUE)).body == b"{}"
    assert not facts.of("delivery.unsettled")


async def test_a_failure_is_counted_by_the_broker_and_delivered_again(
    wire: Bystander, declared_url: str, facts: Facts, handler: Handler
) -> None:
    """A handler that fails gets its message again with one more delivery on the broker's count."""
    handler.on[b"{}"] = _raising(KeyError("name"), times=2)
    await wire.send(message_id="m")
    async with running(consumer(declared_url, handler)):
        await handler.called(3)
    assert [message.deliveries for message in handler.calls] == [0, 1, 2]
    told = facts.of("delivery.failed")
    assert [one["attempt"] for one in told] == [1, 2]
    assert told[0]["why"] == "KeyError: 'name'"
    assert (told[0]["message_id"], told[0]["queue"]) == ("m", COMMANDS_QUEUE)
    assert await wire.emptied(COMMANDS_QUEUE)


async def test_a_cancellation_inside_a_handler_is_a_failure_like_any_other(
    wire: Bystander, declared_url: str, facts: Facts, handler: Handler
) -> None:
    """Something cancelled below a handler does not leave its delivery unsettled for ever."""
    handler.on[b"{}"] = _raising(asyncio.CancelledError(), times=1)
    await wire.send()
    async with running(consumer(declared_url, handler)):
        await handler.called(2)
    assert len(facts.of("delivery.failed")) == 1


async def test_a_deleted_queue_comes_back_with_its_consumer(
    wire: Bystander, declared_url: str, facts: Facts, handler: Handler
) -> None:
    """A queue deleted under the consumer is declared again and consumed."""
    async with running(consumer(declared_url, handler)):
        await wire.channel.queue_delete(COMMANDS_QUEUE)
        await facts.wait("consumer.started", 2)
        assert "cancelled" in facts.of("consumer.lost")[0]["why"]
        await wire.send()
        await handler.called(1)


async def test_a_connection_closed_by_the_broker_is_opened_again(
    wire: Bystander,
    declared_url: str,
    facts: Facts,
    handler: Handler,
    close_by_broker: Management,
) -> None:
    """A connection that an operator closes is opened again, and consuming goes on."""
    async with running(consumer(declared_url, handler)):
        await close_by_broker(NAME)
        await facts.wait("consumer.started", 2)
        assert "CONNECTION_FORCED" in facts.of("consumer.lost")[0]["why"]
        await wire.send()
        await handler.called(1)


async def test_a_channel_closed_by_the_broker_is_opened_again(
    wire: Bystander, declared_url: str, facts: Facts, handler: Handler
) -> None:
    """A channel that the broker closes is rebuilt with everything on it."""
    service = Watched(declared_url, COMMANDS_QUEUE, handler.handle, prefetch=1)
    async with running(service):
        transport = service.links[0]._connection.transport
        assert transport is not None
        channel = [*transport.connection.channels.values()][-1]
        assert channel is not None
        with pytest.raises(Exception, match="NOT_FOUND"):
            await channel.queue_declare("no-such-queue", passive=True)
        await facts.wait("consumer.started", 2)
        assert "no-such-queue" in facts.of("consumer.lost")[0]["why"]
        await wire.send()
        await handler.called(1)


async def test_a_broker_that_is_away_for_a_while_is_waited_for(
    wire: Bystander, gate: Gate, facts: Facts, handler: Handler
) -> None:
    """Connecting is tried again for as long as it takes."""
    async with running(consumer(gate.url, handler)):
        await gate.refuse()
        await facts.wait("consumer.lost", 3)
        await gate.admit()
        await facts.wait("consumer.started", 2)
        await wire.send()
        await handler.called(1)


async def test_ready_is_said_again_after_a_recovery(
    declared_url: str, gate: Gate, handler: Handler
) -> None:
    """The supervisor hears each time that consuming has begun."""
    assert declared_url
    times: asyncio.Queue[None] = asyncio.Queue()
    stop = asyncio.Event()
    task = asyncio.ensure_future(
        consumer(gate.url, handler).run(lambda: times.put_nowait(None), stop)
    )
    await asyncio.wait_for(times.get(), PATIENCE)
    gate.cut()
    await asyncio.wait_for(times.get(), PATIENCE)
    stop.set()
    await asyncio.wait_for(task, PATIENCE)


async def test_a_queue_that_is_another_one_after_a_loss_ends_the_program(
    wire: Bystander, declared_url: str, handler: Handler
) -> None:
    """A mismatch cannot be mended by trying: it is raised, and names the queue."""
    stop = asyncio.Event()
    ready = asyncio.Event()
    task = asyncio.ensure_future(consumer(declared_url, handler).run(ready.set, stop))
    await asyncio.wait_for(ready.wait(), PATIENCE)
    await _replace_queue(wire)
    with pytest.raises(TopologyError, match=COMMANDS_QUEUE):
        await asyncio.wait_for(task, PATIENCE)


async def _replace_queue(wire: Bystander) -> None:
    """Delete the queue and be first to declare it again, otherwise."""
    channel = await wire.channel.get_underlay_channel()
    await channel.queue_delete(COMMANDS_QUEUE, nowait=True)
    await wire.channel.declare_queue(
        COMMANDS_QUEUE, durable=True, arguments={"x-queue-type": "classic"}
    )


def _acquiring(semaphore: asyncio.Semaphore) -> Callable[[], Awaitable[None]]:
    async def wait() -> None:
        await semaphore.acquire()

    return wait


def _raising(error: BaseException, times: int) -> Callable[[], Awaitable[None]]:
    left = times

    async def fail() -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise error

    return fail
