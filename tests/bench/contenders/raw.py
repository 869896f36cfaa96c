"""The limit: one statement, and the frames of all stops in one go over a plain socket."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from uuid import UUID, uuid4

import aio_pika
import asyncpg
import uvloop
from aio_pika.abc import AbstractIncomingMessage
from pamqp.commands import Basic

from tests.bench.contenders import shape
from tests.support.wire import Wire, form

_ID, _WORKSPACE, _NAME = "-" * 36, "+" * 36, "_" * 8
"""Stand for what differs. Planted names have eight characters, all of them."""


class Raw:
    """Carries commands out one after the other."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", wire: Wire) -> None:
        self._connection, self._wire = connection, wire

    async def take(self, message: AbstractIncomingMessage) -> None:
        """Pause a tree, publish its stops and its summary, and acknowledge."""
        workspace_id, operation = shape.named(message.body), uuid4()
        rows = await self._connection.fetch(shape.PAUSE, workspace_id)
        cause = message.message_id or ""
        await self._wire.publish(stops(operation, cause, rows))
        told = shape.summary(operation, cause, workspace_id, rows)
        properties = Basic.Properties(
            content_type=shape.CONTENT_TYPE, delivery_mode=2, message_id=str(told["id"])
        )
        body = json.dumps(told).encode()
        await self._wire.publish([form(shape.EVENTS, shape.SUMMARY, properties, body, []) % ()])
        await message.ack()


def stops(operation: UUID, cause: str, rows: Sequence[asyncpg.Record]) -> Iterator[bytes]:
    """Write the stops: one message as a whole, the others by what differs in them."""
    if not rows:
        return
    blank = {**rows[0], "id": _WORKSPACE, "name": _NAME}
    body = json.dumps({**shape.stop(operation, cause, blank), "id": _ID}).encode()
    properties = Basic.Properties(
        content_type=shape.CONTENT_TYPE, delivery_mode=2, message_id=_ID, message_type=shape.STOP
    )
    whole = form(shape.COMMANDS, shape.STOP, properties, body, [_ID, _WORKSPACE, _NAME])
    for row in rows:
        identity, workspace_id = str(uuid4()).encode(), str(row["id"]).encode()
        yield whole % (identity, identity, workspace_id, workspace_id, row["name"].encode())


async def main() -> None:
    """Consume commands until the process ends."""
    raw = Raw(await asyncpg.connect(shape.DATABASE_URL), await Wire.open(shape.AMQP_URL))
    async with await aio_pika.connect_robust(shape.AMQP_URL) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1)
        await (await channel.get_queue(shape.COMMANDS_QUEUE)).consume(raw.take)
        shape.ready()
        await asyncio.Future()


if __name__ == "__main__":
    uvloop.run(main())
