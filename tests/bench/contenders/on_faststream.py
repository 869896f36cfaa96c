"""FastStream and asyncpg, as its documentation has them: a handler, a lifespan, `broker.publish`.

Run by FastStream's own command.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID, uuid4

import asyncpg
from faststream import AckPolicy, ContextRepo, FastStream
from faststream.params import Context
from faststream.rabbit import Channel, RabbitBroker, RabbitExchange, RabbitMessage, RabbitQueue
from faststream.rabbit.schemas import ExchangeType
from pydantic import BaseModel

from tests.bench.contenders import shape


class Pause(BaseModel):
    """The command."""

    workspace_id: UUID
    cascade: bool


@asynccontextmanager
async def lifespan(context: ContextRepo) -> AsyncIterator[None]:
    """Open the database for as long as the application runs."""
    async with asyncpg.create_pool(shape.DATABASE_URL, max_size=shape.CONNECTIONS) as pool:
        context.set_global("pool", pool)
        yield


broker = RabbitBroker(shape.AMQP_URL or None, default_channel=Channel(prefetch_count=shape.AT_ONCE))
app = FastStream(broker, lifespan=lifespan)
commands = RabbitExchange(shape.COMMANDS, type=ExchangeType.TOPIC, declare=False)
events = RabbitExchange(shape.EVENTS, type=ExchangeType.TOPIC, declare=False)


@broker.subscriber(
    RabbitQueue(shape.COMMANDS_QUEUE, declare=False),
    ack_policy=AckPolicy.NACK_ON_ERROR,
)
async def pause(
    command: Pause, message: RabbitMessage, pool: Annotated[Any, Context()]
) -> dict[str, Any]:
    """Pause a tree, publish its stops and its summary, and answer."""
    operation = uuid4()
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(shape.PAUSE, command.workspace_id)
    stops = [publish(commands, shape.stop(operation, message.message_id, row)) for row in rows]
    await shape.all_of(stops)
    told = shape.summary(operation, message.message_id, command.workspace_id, rows)
    await publish(events, told)
    return told


async def publish(exchange: RabbitExchange, event: dict[str, Any]) -> None:
    """Publish what the broker is to keep, and wait for its confirm."""
    await broker.publish(
        event,
        exchange=exchange,
        routing_key=event["type"],
        persist=True,
        message_id=event["id"],
        message_type=event["type"],
        content_type="application/json",
    )


@app.after_startup
async def started() -> None:
    """Say so."""
    shape.ready()
