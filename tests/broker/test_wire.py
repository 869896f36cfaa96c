"""What is said to the broker, read on the wire: some of it matters to a later RabbitMQ alone."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from pamqp.commands import Basic, Queue

from consumer.broker.consume import Consumer
from consumer.broker.dead import dead_queue
from consumer.broker.stream import Stream
from consumer.client import LifecycleClient
from consumer.message import Inbound, UnavailableError
from consumer.settings import Settings
from schemas.catalog import AUDIT_STREAM, COMMANDS_QUEUE
from tests.broker.tap import tap_before
from tests.broker.tools import PATIENCE, Bystander, Facts, running
from tests.support.forest import Forest
from tests.support.program import running as running_program


async def test_a_failure_is_rejected_and_what_was_not_tried_is_given_back(
    wire: Bystander, declared_url: str, facts: Facts
) -> None:
    """From RabbitMQ 4.3 on a nack does not count: a failure that is nacked comes for ever."""
    failed = asyncio.Event()

    async def handle(_: Inbound) -> None:
        if failed.is_set():
            raise UnavailableError("away")
        failed.set()
        raise KeyError("name")

    await wire.send()
    async with tap_before(declared_url) as tap:
        async with running(Consumer(tap.url, COMMANDS_QUEUE, handle, prefetch=1)):
            await facts.wait("delivery.retried")
        assert [one.requeue for one in tap.methods(Basic.Reject)] == [True]
        # Given back while the consumer is being cancelled, it may be delivered once more.
        assert {one.requeue for one in tap.methods(Basic.Nack)} == {True}


async def test_no_queue_is_transient_and_shared_and_no_prefetch_is_global(
    declared_url: str, settings_of: Callable[..., Settings], forest: Forest
) -> None:
    """RabbitMQ 4.3 refuses both; program, client, stream reader and dead letters use neither."""
    top = await forest.plant("top")
    async with tap_before(declared_url) as tap:
        async with (
            running_program(settings_of(amqp_url=tap.url)),
            LifecycleClient(tap.url, source="tests") as client,
            client.watching() as watch,
        ):
            summary = await client.pause(top)
            async with asyncio.timeout(PATIENCE):
                await watch.settled(summary.operation_id)
        async with aclosing(Stream(tap.url, AUDIT_STREAM).read("first")) as reader:
            await anext(reader)
        async with dead_queue(tap.url, f"{COMMANDS_QUEUE}.dead"):
            pass
        declared = [one for one in tap.methods(Queue.Declare) if not one.passive]
        assert len({one.queue for one in declared}) >= 8
        assert [one.queue for one in declared if not (one.durable or one.exclusive)] == []
        prefetches = [one.global_ for one in tap.methods(Basic.Qos)]
        assert len(prefetches) >= 4
        assert not any(prefetches)
