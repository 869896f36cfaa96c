"""The one contract of every long-running part, and the supervisor that keeps it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol


class Service(Protocol):
    """A part that runs until told to stop."""

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what is in hand and return.

        `ready` is called once the part does its work, and may be called again after a recovery.
        Raising ends the whole program: a service mends what can be mended itself.
        """


async def supervise(services: Sequence[Service], stop: asyncio.Event) -> None:
    """Start services in order, each when the one before is ready; stop them in reverse order.

    A service that raises or returns before `stop` is set stops the others, and what it raised is
    raised here after they have ended.
    """
    running: list[tuple[asyncio.Task[None], asyncio.Event]] = []
    told = asyncio.create_task(stop.wait())
    try:
        for service in services:
            if not await _start(service, running, told):
                break
        await asyncio.wait(
            [told, *(task for task, _ in running)], return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        told.cancel()
        await _stop(running)
    for task, _ in running:
        task.result()


async def _start(
    service: Service,
    running: list[tuple[asyncio.Task[None], asyncio.Event]],
    told: asyncio.Task[bool],
) -> bool:
    ready, stop = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(service.run(ready.set, stop), name=type(service).__name__)
    running.append((task, stop))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait(
        [waiting, told, *(other for other, _ in running)], return_when=asyncio.FIRST_COMPLETED
    )
    waiting.cancel()
    return ready.is_set() and not told.done()


async def _stop(running: Sequence[tuple[asyncio.Task[None], asyncio.Event]]) -> None:
    for task, stop in reversed(running):
        stop.set()
        await asyncio.wait([task])
