"""contract.md, settled exactly once: ten thousand results, and no row that all of them write."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from random import Random
from uuid import UUID

import aio_pika
import pytest

from consumer.broker.topology import declare
from consumer.observe import listening
from consumer.settings import Settings
from tests.support.caller import WireCaller
from tests.support.forest import Forest
from tests.support.program import running

TARGETS = 10_000
COUNT_UPDATES = """
create sequence operation_updates;
create function count_update() returns trigger language plpgsql as $$
begin
    perform nextval('operation_updates');
    return null;
end $$;
create trigger count_update after update on lifecycle.operation
    for each row execute function count_update();
"""


@pytest.fixture
async def listener(amqp_url: str) -> AsyncIterator[WireCaller]:
    """Open a caller that hears what is said of pauses, and not ten thousand commands."""
    await declare(amqp_url)
    connection = await aio_pika.connect(amqp_url)
    caller = await WireCaller.on(connection, listen=False)
    caller.patience = 120
    await caller.events.bind("workspace.events", "workspace.pause.*")
    yield caller
    await connection.close()


async def answers(listener: WireCaller, workspaces: Iterable[UUID]) -> list[bytes]:
    """Give what an executor says of each of these workspaces; the first command tells how."""
    order = json.loads((await listener.take("lifecycle.executor")).body)["data"]
    said = {key: order[key] for key in ("operation_id", "generation")}
    return [json.dumps({**said, "workspace_id": str(one)}).encode() for one in workspaces]


async def flood(amqp_url: str, bodies: Iterable[bytes]) -> None:
    """Publish results as fast as they can be written, without confirms."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel(publisher_confirms=False)
        exchange = await channel.get_exchange("workspace.events", ensure=False)
        for number, body in enumerate(bodies):
            message = aio_pika.Message(body, message_id=str(number), delivery_mode=2)
            await exchange.publish(message, "workspace.stopped")


async def test_ten_thousand_results_settle_once_in_few_updates(
    amqp_url: str, listener: WireCaller, forest: Forest, settings_of: Callable[..., Settings]
) -> None:
    """In any order and a tenth of them twice: one end, and one update for twenty results."""
    top = await forest.plant("top", *(f"top/w{i}" for i in range(TARGETS - 1)))
    await forest.connection.execute(COUNT_UPDATES)
    async with running(settings_of(executor="none"), ["commands", "relay"]):
        operation = (await listener.pause(top, cascade=True)).data["operation_id"]
        bodies = await answers(listener, forest.ids.values())
    bodies += bodies[: TARGETS // 10]
    Random(11).shuffle(bodies)
    await flood(amqp_url, bodies)
    taken = asyncio.Semaphore(0)
    with listening(lambda fact, _: taken.release() if fact == "result.taken" else None):
        async with running(settings_of(executor="none")):
            for _ in bodies:
                await asyncio.wait_for(taken.acquire(), listener.patience)
    (settled,) = await listener.hear("workspace.pause.settled", operation_id=operation)
    assert settled.data["target_count"] == settled.data["succeeded_count"] == TARGETS
    assert listener.of(operation).count("workspace.pause.settled") == 1
    updates = await forest.connection.fetchval("select last_value from operation_updates")
    print(f"{TARGETS} results settled in {updates} updates of the operation")
    assert updates <= TARGETS / 20
    await _as_counted(forest)


async def _as_counted(forest: Forest) -> None:
    """See that the operation's counts are those of its targets."""
    row = await forest.connection.fetchrow(
        "select open_count, succeeded_count, (select count(*) from lifecycle.target"
        " where outcome = 'succeeded') as succeeded from lifecycle.operation"
    )
    assert row is not None
    assert tuple(row) == (0, TARGETS, TARGETS)
