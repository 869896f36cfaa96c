"""What tests of the broker room hold in hand: facts, a bystander on the wire, running services."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from consumer.message import Outbound
from consumer.service import Service

PATIENCE = float(os.environ.get("TESTS_PATIENCE", "20"))
"""Seconds that something may take. Less where it is sure to be in vain."""


class Facts:
    """Hears what the program says, and lets a test wait for it."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Mapping[str, Any]]] = []
        self._news = asyncio.Event()

    def listen(self, fact: str, fields: Mapping[str, Any]) -> None:
        """Take a fact in."""
        self.heard.append((fact, fields))
        self._news.set()

    def of(self, fact: str) -> list[Mapping[str, Any]]:
        """List what was said of a fact so far."""
        return [fields for name, fields in self.heard if name == fact]

    async def wait(self, fact: str, count: int = 1) -> list[Mapping[str, Any]]:
        """Wait until a fact was said `count` times."""
        async with asyncio.timeout(PATIENCE):
            while len(self.of(fact)) < count:
                self._news.clear()
                await self._news.wait()
        return self.of(fact)


class Bystander:
    """A connection of the test's own: publishes, takes and counts like anybody."""

    def __init__(self, channel: AbstractChannel) -> None:
        self.channel = channel

    async def send(
        self, kind: str = "workspace.pause", body: bytes = b"{}", **properties: Any
    ) -> None:
        """Publish to the commands exchange."""
        exchange = await self.channel.get_exchange("workspace.commands", ensure=False)
        message = aio_pika.Message(body, **({"delivery_mode": 2} | properties))
        await exchange.publish(message, kind)

    async def take(self, queue: str) -> AbstractIncomingMessage:
        """Wait for one message of a queue and acknowledge it."""
        declared = await self.channel.declare_queue(queue, passive=True)
        async with asyncio.timeout(PATIENCE), declared.iterator() as messages:
            async for message in messages:
                await message.ack()
                return message
        raise AssertionError(f"{queue} ended")

    async def emptied(self, queue: str) -> bool:
        """Tell whether a message put in now is the first to come out: nothing came back."""
        await self.channel.default_exchange.publish(aio_pika.Message(b"the end"), queue)
        return (await self.take(queue)).body == b"the end"

    async def count(self, queue: str) -> int:
        """Count what is ready in a queue."""
        declared = await self.channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0


@asynccontextmanager
async def bystander(url: str) -> AsyncIterator[Bystander]:
    """Open a bystander's connection."""
    async with await aio_pika.connect(url) as connection:
        yield Bystander(await connection.channel())


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[asyncio.Event]:
    """Run a service for the time of a block, ready when it begins; gives its `stop`."""
    ready, stop = asyncio.Event(), asyncio.Event()
    task = asyncio.ensure_future(service.run(ready.set, stop))
    waiting = asyncio.ensure_future(ready.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE)
    waiting.cancel()
    try:
        if task.done():
            task.result()
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await task


def event(number: int | str, key: str = "workspace.stopped", **changes: Any) -> Outbound:
    """Make a message to publish."""
    members: dict[str, Any] = {
        "exchange": "workspace.events",
        "routing_key": key,
        "body": str(number).encode(),
        "message_id": str(number),
        "type": key,
    }
    return Outbound(**(members | changes))
