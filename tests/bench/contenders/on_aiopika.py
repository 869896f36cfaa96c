"""Plain aio-pika and asyncpg, as their documentation has them, on one channel.

`commands` carries commands out; `results COUNT` and `stream COUNT` read so many messages, each
acknowledged, and end; of results that is said by an event.
"""

import asyncio
import json
import sys
from typing import Any
from uuid import uuid4

import aio_pika
import asyncpg
import uvloop
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage

from tests.bench.contenders import shape

_PREFETCH = 1000


class Commands:
    """Carries commands out as they come, many at a time."""

    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        commands: AbstractExchange,
        events: AbstractExchange,
        replies: AbstractExchange,
    ) -> None:
        self._pool, self._commands, self._events = pool, commands, events
        self._replies = replies

    async def take(self, message: AbstractIncomingMessage) -> None:
        """Pause a tree, publish its stops and its summary, answer, and acknowledge."""
        async with message.process(requeue=True):
            workspace_id, operation = shape.named(message.body), uuid4()
            async with self._pool.acquire() as connection, connection.transaction():
                rows = await connection.fetch(shape.PAUSE, workspace_id)
            cause = message.message_id or ""
            stops = [shape.stop(operation, cause, row) for row in rows]
            await shape.all_of([self._commands.publish(written(one), shape.STOP) for one in stops])
            told = shape.summary(operation, cause, workspace_id, rows)
            await self._events.publish(written(told), shape.SUMMARY)
            if message.reply_to:
                answer = written(told, correlation_id=message.message_id)
                await self._replies.publish(answer, message.reply_to)


def written(event: dict[str, Any], **properties: Any) -> aio_pika.Message:
    """Make a message that the broker keeps."""
    return aio_pika.Message(
        json.dumps(event).encode(),
        message_id=event["id"],
        type=event["type"],
        content_type=shape.CONTENT_TYPE,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        **properties,
    )


async def carry_out(channel: AbstractChannel) -> None:
    """Consume commands until the process ends."""
    pool = await asyncpg.create_pool(shape.DATABASE_URL, max_size=shape.CONNECTIONS)
    await channel.set_qos(prefetch_count=shape.AT_ONCE)
    commands = Commands(
        pool,
        await channel.get_exchange(shape.COMMANDS),
        await channel.get_exchange(shape.EVENTS),
        channel.default_exchange,
    )
    await (await channel.get_queue(shape.COMMANDS_QUEUE)).consume(commands.take)
    shape.ready()
    await asyncio.Future()


async def read(channel: AbstractChannel, queue: str, count: int, **arguments: Any) -> None:
    """Read so many messages of a queue."""
    await channel.set_qos(prefetch_count=_PREFETCH)
    done, seen = asyncio.Event(), 0

    async def take(message: AbstractIncomingMessage) -> None:
        nonlocal seen
        await message.ack()
        seen += 1
        if seen == count:
            done.set()

    source = await channel.get_queue(queue, ensure=False)
    await source.consume(take, arguments=arguments or None)
    shape.ready()
    await done.wait()


async def main(work: str, count: int) -> None:
    """Do one of the works."""
    async with await aio_pika.connect_robust(shape.AMQP_URL) as connection:
        channel = await connection.channel()
        if work == "commands":
            await carry_out(channel)
        elif work == "results":
            await read(channel, shape.RESULTS_QUEUE, count)
            events = await channel.get_exchange(shape.EVENTS, ensure=False)
            await events.publish(aio_pika.Message(b"{}"), shape.DONE)
        else:
            await read(channel, shape.AUDIT_STREAM, count, **{"x-stream-offset": "first"})


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int((sys.argv[2:] or ["0"])[0])))
