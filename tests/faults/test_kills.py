"""The program is killed between any two of its steps, and at random; nothing is lost or doubled."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from random import Random

import aio_pika
import asyncpg
import pytest

from consumer.broker.topology import declare
from tests.support.checker import Account, account, drained
from tests.support.load import REPLIES, Load, load
from tests.support.program import process
from tests.support.siege import Urls

POINTS = (
    "delivery.taken", "command.claimed", "command.planned", "command.changed", "command.written",
    "operation.recorded", "delivery.acknowledged",
    "outbox.taken", "batch.taken", "outbox.published", "outbox.confirmed",
    "order.admitted", "order.ended", "order.carried_out",
    "results.written", "result.taken",
)  # fmt: skip
"""Every gap on the way of a command: each is a fact that a stage says between two steps."""
_SETTINGS = {"LIFECYCLE_REPLY_TO_ALLOW": REPLIES, "LIFECYCLE_LOG_LEVEL": "error"}
_A_ROUND = 12
KILLS = int(os.environ.get("FAULTS_KILLS", "150"))
SEED = int(os.environ.get("FAULTS_SEED", "0")) or int(time.time())


@pytest.fixture
async def channel(urls: Urls) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    """Open a channel of the trial's own."""
    await declare(urls.amqp)
    async with await aio_pika.connect(urls.amqp) as connection:
        yield await connection.channel()


async def killed_at(urls: Urls, sent: Load, fact: str) -> None:
    """Run the program until it says a fact, and dies of it; some are said of few commands."""
    module = ("tests.support.crash", fact, "1")
    async with process(urls.amqp, urls.database, module=module, **_SETTINGS) as program:
        ending = asyncio.create_task(program.ended())
        while not (await asyncio.wait({ending}, timeout=3))[0]:
            await sent.send(_A_ROUND)
        assert ending.result() == -signal.SIGKILL


async def killed_after(urls: Urls, seconds: float) -> None:
    """Run the program for some time, and kill it wherever it is."""
    async with process(urls.amqp, urls.database, **_SETTINGS):
        await asyncio.sleep(seconds)


async def settled(
    urls: Urls, sent: Load, connection: "asyncpg.Connection[asyncpg.Record]"
) -> Account:
    """Let an unharmed program finish everything, and settle the account."""
    settings = _SETTINGS | {"LIFECYCLE_LOG_LEVEL": "info"}
    async with process(urls.amqp, urls.database, **settings) as program:
        await program.until("program.started")  # a SIGTERM before that is nobody's order to drain
        assert program.process.stderr is not None
        reading = asyncio.create_task(program.process.stderr.read())
        await drained(sent.channel, connection)
        program.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            await reading
            assert await program.process.wait() == 0
    return await account(sent, sent.channel, connection)


def row(fault: str, times: int, found: Account) -> str:
    """Write a line of the report's table."""
    return (
        f"| {fault} | {times} | {found.sent} | {found.outcomes} | {len(found.lost)} "
        f"| {len(found.unexpected)} | {len(found.doubled)} | {found.repeated} |"
    )


async def test_killed_at_every_point_of_the_way_nothing_is_lost_or_doubled(
    urls: Urls,
    channel: aio_pika.abc.AbstractChannel,
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """Each gap once, one after the other, on the same queues and tables."""
    sent = await load(channel, connection, seed=1)
    for fact in POINTS:
        await sent.send(_A_ROUND)
        await killed_at(urls, sent, fact)
    found = await settled(urls, sent, connection)
    assert found.valid(), found
    assert found.sent == found.outcomes


@pytest.mark.faults
@pytest.mark.timeout(3600)
async def test_killed_again_and_again_at_random(
    urls: Urls,
    channel: aio_pika.abc.AbstractChannel,
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """At drawn points, and at drawn moments under load; FAULTS_SEED replays what it prints."""
    print(f"\nFAULTS_SEED={SEED} FAULTS_KILLS={KILLS}")
    random, sent = Random(SEED), await load(channel, connection, SEED)
    for number in range(KILLS):
        await sent.send(_A_ROUND)
        if number % 2:
            await killed_after(urls, random.uniform(0.4, 1.6))
        else:
            await killed_at(urls, sent, random.choice(POINTS))
    found = await settled(urls, sent, connection)
    print("| fault | times | commands | outcomes | lost | unexpected | doubled | repeated |")
    print("|---|---|---|---|---|---|---|---|")
    print(row("kill -9", KILLS, found))
    assert found.valid(), found
