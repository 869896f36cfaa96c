"""Under an alarm a broker takes nothing that is published; what is consumed is settled still."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from consumer.broker.consume import Consumer
from consumer.broker.publish import Publisher
from consumer.broker.topology import declare
from consumer.devstack.broker import Node, private_node
from consumer.devstack.packages import installed
from consumer.message import Inbound, UnreadableError
from schemas.catalog import COMMANDS_QUEUE
from tests.broker.tools import PATIENCE, Facts, bystander, event, running
from tests.support.threads import beside_the_loop

COUNT = 10


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """Start a node of the test's own: an alarm is the whole node's."""
    async with beside_the_loop(private_node(lambda _: None)) as node:
        yield node


@pytest.mark.skipif(installed() is None, reason="no RabbitMQ to start here")
async def test_under_an_alarm_deliveries_are_settled_and_publishing_waits(
    node: Node, facts: Facts
) -> None:
    """Whoever publishes is blocked, and says so; no acknowledgement stands behind a publish."""
    handled: asyncio.Queue[bytes] = asyncio.Queue()

    async def handle(message: Inbound) -> None:
        handled.put_nowait(message.body)
        if message.body == b"unreadable":
            raise UnreadableError("not at all")

    await declare(node.amqp)
    async with bystander(node.amqp) as wire:
        for body in [b"unreadable", *([b"fine"] * COUNT)]:
            await wire.send(body=body)
    await asyncio.to_thread(node.ctl, "set_vm_memory_high_watermark", "0")
    publisher = Publisher(node.amqp)
    async with (
        running(publisher),
        running(Consumer(node.amqp, COMMANDS_QUEUE, handle, prefetch=2)),
        asyncio.timeout(PATIENCE),
    ):
        sending = asyncio.ensure_future(publisher.publish([event(1)]))
        for _ in range(1 + COUNT):
            await handled.get()
        blocked = {one["connection"] for one in await facts.wait("connection.blocked")}
        await facts.wait("delivery.acknowledged", COUNT)
        assert not sending.done()
        await asyncio.to_thread(node.ctl, "set_vm_memory_high_watermark", "0.6")
        assert await sending == ["confirmed"]
        await facts.wait("delivery.parked")
    assert not {one for one in blocked if "consumer" in one}
    async with bystander(node.amqp) as wire:
        assert await wire.emptied(COMMANDS_QUEUE)
