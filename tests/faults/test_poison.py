"""A message that kills whoever handles it is parked; nobody that was in hand with it is."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from consumer.broker.topology import declare
from schemas.topology import WORK_QUEUES, dead
from tests.broker.tools import Bystander, bystander
from tests.support.forest import Forest
from tests.support.program import process
from tests.support.siege import Urls

INNOCENT = 60
PROCESSES = 2
SETTLED = "select count(*) from lifecycle.operation where settled_at is not null"


@pytest.fixture
async def wire(urls: Urls) -> AsyncIterator[Bystander]:
    """Stand by on the wire."""
    await declare(urls.amqp)
    async with bystander(urls.amqp) as one:
        yield one


async def kept_alive(urls: Urls, *poison: str) -> None:
    """Run a program, and another one whenever it has died."""
    while True:
        module = ("tests.support.poison", *poison)
        async with process(
            urls.amqp, urls.database, module=module, LIFECYCLE_LOG_LEVEL="error"
        ) as program:
            await program.ended()


@asynccontextmanager
async def fleet(urls: Urls, *poison: str) -> AsyncIterator[None]:
    """Keep some programs alive for the time of a block."""
    tasks = [asyncio.create_task(kept_alive(urls, *poison)) for _ in range(PROCESSES)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def parked(wire: Bystander, queue: str, *words: str) -> dict[str, str]:
    """Take letters until there was one with each of these words; give the reasons by word."""
    told: dict[str, str] = {}
    async with (await wire.channel.get_queue(dead(queue))).iterator() as letters:
        async for letter in letters:
            await letter.ack()
            (word,) = [word for word in words if word.encode() in letter.body]
            told[word] = str(letter.headers["x-death-reason"])
            if told.keys() == {*words}:
                break
    return told


async def left(wire: Bystander, *words: str) -> list[bytes]:
    """List the letters without any of these words: executors say some things twice."""
    found = [
        await wire.take(dead(queue))
        for queue in WORK_QUEUES
        for _ in range(await wire.count(dead(queue)))
    ]
    return [one.body for one in found if not any(word.encode() in one.body for word in words)]


@pytest.mark.parametrize("queue", WORK_QUEUES)
@pytest.mark.timeout(180)
async def test_who_kills_the_process_is_parked_alone(
    urls: Urls, wire: Bystander, forest: Forest, queue: str
) -> None:
    """Sixty are in hand with one that kills and one that raises, under two programs."""
    names = [f"w{number}" for number in range(INNOCENT)]
    await forest.plant(*names[::2], "killing", *names[1::2], "raising")
    killing, raising = (str(forest.ids[name]) for name in ("killing", "raising"))
    for name, workspace in forest.ids.items():
        await wire.send(body=json.dumps({"workspace_id": str(workspace)}).encode(), message_id=name)
    async with fleet(urls, queue, killing, raising), asyncio.timeout(120):
        told = await parked(wire, queue, killing, raising)
        while await forest.connection.fetchval(SETTLED) < INNOCENT:  # noqa: ASYNC110 (no event)
            await asyncio.sleep(0.1)
    assert "times without anyone ending it: the process died" in told[killing]
    assert told[raising] == "the last line"
    assert not await left(wire, killing, raising)
