"""Hostile input, by hand over the wire: an outcome or a dead letter, never a crash or a loop."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from consumer.devstack.lease import database, vhost
from consumer.devstack.stack import Stack
from tests.support.byhand import Raw
from tests.support.hostile import STORMS, WORST
from tests.support.ordeal import Ordeal, ordeal
from tests.support.trial import SEED

_FEW = 20
_MANY = int(os.environ.get("HYPOTHESIS_EXAMPLES", "300"))
_SEED = int(os.environ.get("HYPOTHESIS_SEED", str(SEED)))
_ANYWAY: Any = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "database": None,
    "phases": [Phase.generate, Phase.shrink],
}


class Weather:
    """A program under one storm after another; after one that broke it, the next has its own."""

    def __init__(self, stack: Stack, template: str) -> None:
        self._stack, self._template = stack, template
        self._rooms = AsyncExitStack()
        self._ordeal: Ordeal | None = None

    async def storm(self, messages: list[Raw]) -> None:
        """Let a storm come over the program."""
        try:
            await (await self.program()).weather(messages)
        except BaseException:
            await self.close()
            raise

    async def program(self) -> Ordeal:
        """Give the program that the next storm comes over."""
        if self._ordeal is None:
            amqp = self._rooms.enter_context(vhost(self._stack))
            url = self._rooms.enter_context(database(self._stack, self._template))
            self._ordeal = await self._rooms.enter_async_context(ordeal(amqp, url))
        return self._ordeal

    async def close(self) -> None:
        """End the program, and let its vhost and database go."""
        self._ordeal = None
        await self._rooms.aclose()
        self._rooms = AsyncExitStack()


@pytest.fixture
async def weather(stack: Stack, enum_template: str) -> AsyncIterator[Weather]:
    """Run a program."""
    running = Weather(stack, enum_template)
    yield running
    await running.close()


async def drawn(weather: Weather, chosen: Callable[[Any], Any]) -> None:
    """Draw storms in a thread, as Hypothesis has it, and let them come from this loop."""
    loop = asyncio.get_running_loop()

    @chosen
    @given(STORMS)
    def come(storm: list[Raw]) -> None:
        asyncio.run_coroutine_threadsafe(weather.storm(storm), loop).result()

    await asyncio.to_thread(come)


async def test_every_message_has_an_outcome_or_is_a_dead_letter(weather: Weather) -> None:
    """Each in one of the two, once; no attempt fails; after each storm good commands go on."""
    await weather.storm(WORST)
    await drawn(weather, settings(max_examples=_FEW, derandomize=True, **_ANYWAY))
    await (await weather.program()).ends_well()


@pytest.mark.faults
@pytest.mark.timeout(3600)
async def test_storms_without_end(weather: Weather) -> None:
    """HYPOTHESIS_EXAMPLES of them; HYPOTHESIS_SEED draws the same ones once more."""
    print(f"\nHYPOTHESIS_SEED={_SEED} HYPOTHESIS_EXAMPLES={_MANY}")
    many = settings(max_examples=_MANY, **_ANYWAY)
    await drawn(weather, lambda test: seed(_SEED)(many(test)))
    await (await weather.program()).ends_well()
