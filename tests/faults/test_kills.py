"""The program is killed between any two of its steps, and at random; nothing is lost or doubled."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from random import Random

import pytest

from consumer.app import ROLES
from tests.broker.gate import gate_before
from tests.faults.test_cuts import FAULTS, SIDES
from tests.support.load import Load
from tests.support.program import process
from tests.support.siege import Urls
from tests.support.trial import A_ROUND, SETTINGS, Trying, settled

POINTS = (
    "delivery.taken", "command.claimed", "command.planned", "command.changed", "command.written",
    "operation.recorded", "delivery.acknowledged",
    "outbox.taken", "batch.taken", "outbox.published", "outbox.confirmed",
    "order.admitted", "order.ended", "order.carried_out",
    "results.written", "result.taken",
)  # fmt: skip
"""Every gap on the way of a command: each is a fact that a stage says between two steps."""
_PARTS = ("commands", "relay", "settlement", "executor")
_BACKLOG = 8 * A_ROUND
_ALL = ",".join(ROLES)


async def killed_at(urls: Urls, sent: Load, fact: str) -> None:
    """Run the program until it says a fact, and dies of it; some are said of few commands."""
    module = ("tests.support.crash", fact, "1")
    async with process(urls.amqp, urls.database, module=module, **SETTINGS) as program:
        ending = asyncio.create_task(program.ended())
        while not (await asyncio.wait({ending}, timeout=3))[0]:
            await sent.send(A_ROUND)
        assert ending.result() == -signal.SIGKILL


@asynccontextmanager
async def doomed(urls: Urls, roles: str = _ALL, late: float = 0) -> AsyncIterator[None]:
    """Run the program, its clock late by so many seconds, and kill it at the end of the block.

    The block begins when it has started.
    """
    told = SETTINGS | {"LIFECYCLE_LOG_LEVEL": "info"}
    module = ("tests.support.shifted", str(-late)) if late else ("consumer",)
    async with process(urls.amqp, urls.database, roles=roles, module=module, **told) as program:
        await program.until("program.started")
        yield


async def at_a_point(urls: Urls, sent: Load, random: Random) -> None:
    """Kill it at a drawn point."""
    await sent.send(A_ROUND)
    await killed_at(urls, sent, random.choice(POINTS))


async def at_a_moment(urls: Urls, sent: Load, random: Random) -> None:
    """Kill it at a drawn moment under load."""
    async with doomed(urls):
        sending = asyncio.create_task(sent.send(A_ROUND))
        await asyncio.sleep(random.uniform(0, 0.3))
    await sending


async def at_its_start(urls: Urls, sent: Load, random: Random) -> None:
    """Kill it while it starts and takes up what waits."""
    await sent.send(A_ROUND)
    async with process(urls.amqp, urls.database, **SETTINGS):
        await asyncio.sleep(random.uniform(0.3, 1))


async def with_a_backlog(urls: Urls, sent: Load, random: Random) -> None:
    """Kill it while it works off what was sent in its absence."""
    await sent.send(_BACKLOG)
    async with doomed(urls):
        await asyncio.sleep(random.uniform(0, 0.3))


WAYS: Mapping[str, Callable[[Urls, Load, Random], Awaitable[None]]] = {
    "killed at named points": at_a_point,
    "killed at random moments": at_a_moment,
    "killed while starting": at_its_start,
    "killed while working off a backlog": with_a_backlog,
}


async def test_killed_at_every_point_of_the_way_nothing_is_lost_or_doubled(
    urls: Urls, sent: Load
) -> None:
    """Each gap once, one after the other, on the same queues and tables."""
    for fact in POINTS:
        await sent.send(A_ROUND)
        await killed_at(urls, sent, fact)
    found = await settled(urls, sent)
    assert found.valid(), found
    assert found.sent == found.outcomes


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("way", WAYS)
async def test_killed_again_and_again(urls: Urls, sent: Load, trial: Trying, way: str) -> None:
    """One way many times over; FAULTS_SEED replays it."""
    async with trial(way, urls, sent) as going:
        for _ in going.again(kills=1):
            await WAYS[way](urls, sent, going.random)


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", _PARTS)
async def test_one_part_killed_again_and_again(
    urls: Urls, sent: Load, trial: Trying, part: str
) -> None:
    """The others run on in a process of their own."""
    others = ",".join(role for role in ROLES if role != part)
    async with (
        trial(f"{part} alone killed", urls, sent) as going,
        process(urls.amqp, urls.database, roles=others, **SETTINGS) as rest,
    ):
        for _ in going.again(kills=1):
            async with doomed(urls, part):
                sending = asyncio.create_task(sent.send(A_ROUND))
                await asyncio.sleep(going.random.uniform(0, 0.3))
            await sending
        await rest.lives()


@pytest.mark.faults
@pytest.mark.timeout(3600)
async def test_killed_and_cut_off_together(urls: Urls, sent: Load, trial: Trying) -> None:
    """A fault of the network on either side, and a kill before or after it is over."""
    async with (
        trial("killed and cut off together", urls, sent) as going,
        gate_before(urls.amqp) as broker,
        gate_before(urls.database) as database,
    ):
        gates = {"broker": broker, "database": database}
        for _ in going.again(2, kills=1):
            harm, whom = going.random.choice([*FAULTS.values()]), going.random.choice(SIDES)
            async with doomed(Urls(broker.url, database.url)):
                sending = asyncio.create_task(sent.send(A_ROUND))
                harming = asyncio.ensure_future(harm(gates[whom]))
                await asyncio.sleep(going.random.uniform(0, 1.3))
            await harming
            await sending


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("apart", [0, 600])
async def test_rivals_killed_in_turn(urls: Urls, sent: Load, trial: Trying, apart: float) -> None:
    """Three programs on one broker and one database; one after the other is killed.

    Their clocks are so many seconds apart: what is decided by time goes by the database's.
    """
    clocks = f", clocks {apart / 60:.0f} minutes apart" if apart else ""
    async with trial(f"three rivals killed in turn{clocks}", urls, sent) as going:

        async def live_and_die(late: float) -> None:
            for _ in going.again(kills=1):
                async with doomed(urls, late=late):
                    await asyncio.sleep(going.random.uniform(0, 1))

        rivals = [asyncio.create_task(live_and_die(apart * one)) for one in (-1, 0, 1)]
        while not all(rival.done() for rival in rivals):
            await sent.send(A_ROUND)
            await asyncio.sleep(0.3)
        await asyncio.gather(*rivals)
