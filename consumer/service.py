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
    raised here after they have ended; what others raise after it is noted on it.
    """
    running: list[tuple[asyncio.Task[None], asyncio.Event]] = []
    failures: list[Exception] = []
    told = asyncio.create_task(stop.wait())
    try:
        for service in services:
            if not await _start(service, running, told, failures):
                break
        await asyncio.wait(
            [told, *(task for task, _ in running)], return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        told.cancel()
        await _stop(running)
    if failures:
        for later in failures[1:]:
            failures[0].add_note(f"then, while stopping: {later!r}")
        raise failures[0]
    for task, _ in running:
        task.result()


async def _start(
    service: Service,
    running: list[tuple[asyncio.Task[None], asyncio.Event]],
    told: asyncio.Task[bool],
    failures: list[Exception],
) -> bool:
    ready, stop = asyncio.Event(), asyncio.Event()
    run = _run(service, ready.set, stop, failures)
    task = asyncio.create_task(run, name=type(service).__name__)
    running.append((task, stop))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait(
        [waiting, told, *(other for other, _ in running)], return_when=asyncio.FIRST_COMPLETED
    )
    waiting.cancel()
    return ready.is_set() and not told.done()


async def _run(
    service: Service, ready: Callable[[], None], stop: asyncio.Event, failures: list[Exception]
) -> None:
    """Keep what a service raises in the order in which services fall: the first is the reason."""
    try:
        await service.run(ready, stop)
    except Exception as error:  # noqa: BLE001 (it is raised by supervise)
        failures.append(error)


async def _stop(running: Sequence[tuple[asyncio.Task[None], asyncio.Event]]) -> None:
    for task, stop in reversed(running):
        stop.set()
        await asyncio.wait([task])
