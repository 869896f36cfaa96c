"""A caller that knows nothing of the program but the wire contract: aio-pika and JSON."""

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

PATIENCE = float(os.environ.get("TESTS_PATIENCE", "20"))
"""Seconds that something may take. Less where it is sure to be in vain."""


def _plain(value: object) -> str:
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{value!r} is not JSON")


@dataclass(frozen=True)
class Heard:
    """One message as it was heard."""

    type: str
    event: Mapping[str, Any]
    data: Mapping[str, Any]
    message: AbstractIncomingMessage

    @classmethod
    def of(cls, message: AbstractIncomingMessage) -> "Heard":
        """Take a CloudEvents body apart."""
        event = json.loads(message.body)
        return cls(event["type"], event, event["data"], message)


class WireCaller:
    """Publishes commands and hears answers and events over plain AMQP."""

    def __init__(
        self, channel: AbstractChannel, replies: AbstractQueue, events: AbstractQueue
    ) -> None:
        self.channel = channel
        self.replies = replies
        self.events = events
        self.heard: list[Heard] = []
        self.patience = PATIENCE
        self._answers: asyncio.Queue[Heard] = asyncio.Queue()
        self._news = asyncio.Condition()

    @classmethod
    async def on(
        cls, connection: aio_pika.abc.AbstractConnection, *, listen: bool = True
    ) -> "WireCaller":
        """Open a channel with a reply queue the broker names, and listen to everything."""
        channel = await connection.channel()
        replies = await channel.declare_queue(exclusive=True)
        events = await channel.declare_queue(exclusive=True)
        for exchange in ("workspace.events", "workspace.commands") if listen else ():
            await events.bind(exchange, "#")
        caller = cls(channel, replies, events)
        await replies.consume(caller._answered, no_ack=True)
        await events.consume(caller._told, no_ack=True)
        return caller

    async def send(
        self,
        kind: str,
        data: Mapping[str, Any] | bytes | None = None,
        *,
        exchange: str = "workspace.commands",
        routing_key: str | None = None,
        **properties: Any,
    ) -> str:
        """Publish a command in the plain form; give its message id."""
        identity = properties.pop("message_id", str(uuid4()))
        body = data if isinstance(data, bytes) else json.dumps(data, default=_plain).encode()
        message = aio_pika.Message(
            body, message_id=identity, app_id=properties.pop("app_id", "tests"), **properties
        )
        where = await self.channel.get_exchange(exchange) if exchange else None
        target = where or self.channel.default_exchange
        await target.publish(message, routing_key=routing_key or kind)
        return str(identity)

    async def ask(self, kind: str, data: Mapping[str, Any] | bytes, **properties: Any) -> Heard:
        """Publish a command and wait for its answer on the reply queue."""
        await self.send(kind, data, reply_to=self.replies.name, **properties)
        return await asyncio.wait_for(self._answers.get(), self.patience)

    async def pause(self, workspace_id: UUID, **fields: Any) -> Heard:
        """Ask for a pause."""
        return await self.ask("workspace.pause", {"workspace_id": workspace_id, **fields})

    async def resume(self, workspace_id: UUID, **fields: Any) -> Heard:
        """Ask for a resume."""
        return await self.ask("workspace.resume", {"workspace_id": workspace_id, **fields})

    async def hear(self, kind: str, count: int = 1, **data: Any) -> list[Heard]:
        """Wait until `count` messages of a type, with these members of data, were heard."""

        def found() -> list[Heard]:
            return [
                one
                for one in self.heard
                if one.type == kind and all(one.data.get(k) == str(v) for k, v in data.items())
            ]

        async with self._news:
            heard = self._news.wait_for(lambda: len(found()) >= count)
            await asyncio.wait_for(heard, self.patience)
        return found()

    async def heard_of(self, commands: set[str]) -> None:
        """Wait until something caused by each of these commands was heard."""

        def all_of_them() -> bool:
            return commands <= {one.event.get("causationid") for one in self.heard}

        async with self._news:
            await asyncio.wait_for(self._news.wait_for(all_of_them), 3 * PATIENCE)

    def of(self, operation_id: str) -> list[str]:
        """List the types of all that was heard about an operation, in order."""
        return [one.type for one in self.heard if one.data.get("operation_id") == operation_id]

    async def all_out(self) -> None:
        """Wait until all that was decided so far was heard: the outbox leaves in its order."""
        refused = await self.pause(uuid4())
        await self.hear(refused.type, operation_id=refused.data["operation_id"])

    async def take(self, queue: str) -> AbstractIncomingMessage:
        """Wait for the next message of a queue, and take it."""
        taken: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        consumer = await self.channel.get_queue(queue)
        tag = await consumer.consume(taken.put)
        message = await asyncio.wait_for(taken.get(), self.patience)
        await message.ack()
        await consumer.cancel(tag)
        return message

    async def _answered(self, message: AbstractIncomingMessage) -> None:
        self._answers.put_nowait(Heard.of(message))

    async def _told(self, message: AbstractIncomingMessage) -> None:
        try:
            heard = Heard.of(message)
        except (ValueError, KeyError, TypeError):
            return
        async with self._news:
            self.heard.append(heard)
            self._news.notify_all()
