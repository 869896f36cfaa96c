"""The program is killed between any two of its steps, and at random; nothing is lost or doubled."""

import asyncio
import os
import signal
from random import Random

import asyncpg
import pytest

from tests.support.load import Load
from tests.support.program import process
from tests.support.siege import Urls
from tests.support.trial import A_ROUND, SEED, SETTINGS, report, settled, stalls

POINTS = (
    "delivery.taken", "command.claimed", "command.planned", "command.changed", "command.written",
    "operation.recorded", "delivery.acknowledged",
    "outbox.taken", "batch.taken", "outbox.published", "outbox.confirmed",
    "order.admitted", "order.ended", "order.carried_out",
    "results.written", "result.taken",
)  # fmt: skip
"""Every gap on the way of a command: each is a fact that a stage says between two steps."""
KILLS = int(os.environ.get("FAULTS_KILLS", "150"))


async def killed_at(urls: Urls, sent: Load, fact: str) -> None:
    """Run the program until it says a fact, and dies of it; some are said of few commands."""
    module = ("tests.support.crash", fact, "1")
    async with process(urls.amqp, urls.database, module=module, **SETTINGS) as program:
        ending = asyncio.create_task(program.ended())
        while not (await asyncio.wait({ending}, timeout=3))[0]:
            await sent.send(A_ROUND)
        assert ending.result() == -signal.SIGKILL


async def killed_after(urls: Urls, seconds: float) -> None:
    """Run the program for some time, and kill it wherever it is."""
    async with process(urls.amqp, urls.database, **SETTINGS):
        await asyncio.sleep(seconds)


async def test_killed_at_every_point_of_the_way_nothing_is_lost_or_doubled(
    urls: Urls, sent: Load, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Each gap once, one after the other, on the same queues and tables."""
    for fact in POINTS:
        await sent.send(A_ROUND)
        await killed_at(urls, sent, fact)
    found = await settled(urls, sent, connection)
    assert found.valid(), found
    assert found.sent == found.outcomes


@pytest.mark.faults
@pytest.mark.timeout(3600)
async def test_killed_again_and_again_at_random(
    urls: Urls, sent: Load, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """At drawn points, and at drawn moments under load; FAULTS_SEED replays what it prints."""
    print(f"\nFAULTS_SEED={SEED} FAULTS_KILLS={KILLS}")
    random = Random(SEED)
    async with stalls(urls, sent) as stall:
        for number in range(KILLS):
            await sent.send(A_ROUND)
            if number % 2:
                await killed_after(urls, random.uniform(0.4, 1.6))
            else:
                await killed_at(urls, sent, random.choice(POINTS))
    found = await settled(urls, sent, connection)
    report("kill -9", KILLS, found, stall)
    assert found.valid(), found
