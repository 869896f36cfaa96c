"""Harm to what stands around a running program, under load; the program has to live through it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from random import Random

from tests.support.checker import drained
from tests.support.load import Load
from tests.support.program import process
from tests.support.ready import Ready
from tests.support.siege import Urls
from tests.support.trial import SEED, SETTINGS, connected

_BREATH = 0.02


async def harmed(
    urls: Urls,
    sent: Load,
    harm: Callable[[Ready], Awaitable[None]],
    times: Iterable[int],
    amqp: str = "",
) -> None:
    """Do one kind of harm again and again; in the end the same process has worked off everything.

    `amqp` is where the program finds the broker, if not where everybody else does.
    """
    random, ready = Random(SEED), Ready()
    settings = SETTINGS | {"LIFECYCLE_LISTEN": ready.listen}
    async with process(amqp or urls.amqp, urls.database, **settings) as program:
        try:
            await ready.until(200)
            for _ in times:
                async with steady(sent):
                    await asyncio.sleep(random.uniform(0, 0.3))
                    await harm(ready)
                await ready.until(200)
            await recovered(urls, sent)
        finally:
            await program.lives()


@asynccontextmanager
async def steady(sent: Load) -> AsyncIterator[None]:
    """Send commands all the time, some dozens a second, until the block ends."""
    over = asyncio.Event()

    async def go_on() -> None:
        while not over.is_set():
            await sent.send(1)
            await asyncio.sleep(_BREATH)

    going = asyncio.create_task(go_on())
    try:
        yield
    except BaseException:
        going.cancel()  # what was done to the broker may not be over: nothing is taken any more
        raise
    over.set()
    await going


async def recovered(urls: Urls, sent: Load) -> None:
    """Wait until the program that runs has worked off everything: nobody restarts it."""
    await sent.open()
    async with connected(urls.database) as connection:
        await drained(sent, connection)
