"""The old handler's way: it walks the tree row by row, and waits for each statement and message."""

import asyncio
from uuid import UUID, uuid4

import aio_pika
import asyncpg
import uvloop
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from tests.bench.contenders import shape
from tests.bench.contenders.on_aiopika import written

_BELOW = "select id from workspaces where parent_id = $1"
_ONE = """
select id, name, instance_id, runtime, status::text as previous_status
from workspaces where id = $1
"""
_PAUSE = "update workspaces set status = 'paused', url = '', updated_at = now() where id = $1"


class Rowwise:
    """Carries commands out one after the other."""

    def __init__(
        self, connection: "asyncpg.Connection[asyncpg.Record]", channel: AbstractChannel
    ) -> None:
        self._connection, self._channel = connection, channel

    async def take(self, message: AbstractIncomingMessage) -> None:
        """Pause a tree and answer."""
        async with message.process(requeue=True):
            workspace_id, operation = shape.named(message.body), uuid4()
            cause = message.message_id or ""
            rows = await self._pause(workspace_id, operation, cause)
            told = written(
                shape.summary(operation, cause, workspace_id, rows),
                correlation_id=message.message_id,
            )
            await self._publish(shape.EVENTS, shape.SUMMARY, told)
            if message.reply_to:
                await self._channel.default_exchange.publish(told, message.reply_to)

    async def _pause(self, workspace_id: UUID, operation: UUID, cause: str) -> list[shape.Row]:
        """Pause a workspace, have it stopped, and go on below it."""
        row = await self._connection.fetchrow(_ONE, workspace_id)
        assert row is not None
        await self._connection.execute(_PAUSE, workspace_id)
        order = written(shape.stop(operation, cause, row))
        await self._publish(shape.COMMANDS, shape.STOP, order)
        done: list[shape.Row] = [row]
        for below in await self._connection.fetch(_BELOW, workspace_id):
            done += await self._pause(below["id"], operation, cause)
        return done

    async def _publish(self, exchange: str, key: str, message: aio_pika.Message) -> None:
        target = await self._channel.get_exchange(exchange, ensure=False)
        await target.publish(message, key)


async def main() -> None:
    """Consume commands until the process ends."""
    database = await asyncpg.connect(shape.DATABASE_URL)
    async with await aio_pika.connect_robust(shape.AMQP_URL) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1)
        queue = await channel.get_queue(shape.COMMANDS_QUEUE)
        await queue.consume(Rowwise(database, channel).take)
        shape.ready()
        await asyncio.Future()


if __name__ == "__main__":
    uvloop.run(main())
