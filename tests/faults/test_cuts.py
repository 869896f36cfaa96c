"""Broker and database are cut off, frozen and refused under load; nothing is lost or doubled."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from random import Random

import pytest

from tests.broker.gate import Gate, gate_before
from tests.support.harm import recovered, steady
from tests.support.load import Load
from tests.support.program import process
from tests.support.siege import Urls
from tests.support.trial import SEED, SETTINGS, Trying, settled

Fault = Callable[[Gate], Awaitable[None]]
SIDES = ("broker", "database")


async def cut(gate: Gate) -> None:
    """End every connection without a word."""
    gate.cut()


async def refuse(gate: Gate) -> None:
    """Let nobody in for a second."""
    await gate.refuse()
    await asyncio.sleep(1)
    await gate.admit()


async def freeze(gate: Gate) -> None:
    """Pass nothing for a second, and then all of it."""
    gate.freeze()
    await asyncio.sleep(1)
    gate.thaw()


async def freeze_and_cut(gate: Gate) -> None:
    """Pass nothing, and then lose what was under way: a confirm, a commit's answer."""
    gate.freeze()
    await asyncio.sleep(0.3)
    gate.cut()
    gate.thaw()


FAULTS: Mapping[str, Fault] = {
    "cut": cut, "refused": refuse, "frozen": freeze, "frozen, then cut": freeze_and_cut,
}  # fmt: skip


async def besieged(urls: Urls, sent: Load, faults: Iterable[tuple[str, str]]) -> None:
    """Run a program behind gates, and do this to it, one thing after the other, under load."""
    random = Random(SEED)
    async with (
        gate_before(urls.amqp) as broker,
        gate_before(urls.database) as database,
        process(broker.url, database.url, **SETTINGS) as program,
    ):
        gates = {"broker": broker, "database": database}
        try:
            for whom, fault in faults:
                async with steady(sent):
                    await asyncio.sleep(random.uniform(0, 0.5))
                    await FAULTS[fault](gates[whom])
            await recovered(urls, sent)
        finally:
            await program.lives()


async def test_cut_off_from_broker_and_database_nothing_is_lost_or_doubled(
    urls: Urls, sent: Load
) -> None:
    """Each fault once on either side; the program lives through all of them."""
    await besieged(urls, sent, [(whom, fault) for fault in FAULTS for whom in SIDES])
    found = await settled(urls, sent)
    assert found.valid(), found


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("whom", SIDES)
@pytest.mark.parametrize("fault", FAULTS)
async def test_cut_off_again_and_again(
    urls: Urls, sent: Load, trial: Trying, whom: str, fault: str
) -> None:
    """One fault many times over; FAULTS_SEED replays it."""
    async with trial(f"{whom} {fault}", urls, sent) as going:
        await besieged(urls, sent, ((whom, fault) for _ in going.again()))
