"""Harm to what stands around a running program, under load; the program has to live through it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from random import Random

from tests.support.checker import drained
from tests.support.load import Load
from tests.support.program import process
from tests.support.ready import Ready
from tests.support.siege import Urls
from tests.support.trial import A_ROUND, SEED, SETTINGS, connected


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
        await ready.until(200)
        for _ in times:
            sending = asyncio.create_task(sent.send(A_ROUND))
            await asyncio.sleep(random.uniform(0, 0.3))
            await harm(ready)
            await sending
            await ready.until(200)
        await recovered(urls, sent)
        await program.lives()


async def recovered(urls: Urls, sent: Load) -> None:
    """Wait until the program that runs has worked off everything: nobody restarts it."""
    await sent.open()
    async with connected(urls.database) as connection:
        await drained(sent.channel, connection)
