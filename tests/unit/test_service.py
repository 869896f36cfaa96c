"""`supervise`: in order up, in reverse order down, and one that fails ends all."""

import asyncio
from collections.abc import Callable

import pytest

from consumer.service import supervise


class Part:
    """A service that notes what happens to it."""

    def __init__(self, name: str, log: list[str], *, fails: bool = False) -> None:
        self.name, self.log, self.fails = name, log, fails
        self.started = asyncio.Event()

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Run until told, or fail."""
        self.log.append(f"+{self.name}")
        ready()
        self.started.set()
        if self.fails:
            raise LookupError(self.name)
        await stop.wait()
        self.log.append(f"-{self.name}")


async def test_they_start_in_order_and_stop_in_the_opposite_one() -> None:
    """What others stand on comes first and goes last."""
    log: list[str] = []
    parts, stop = [Part(name, log) for name in "abc"], asyncio.Event()
    running = asyncio.create_task(supervise(parts, stop))
    await parts[-1].started.wait()
    stop.set()
    await running
    assert log == ["+a", "+b", "+c", "-c", "-b", "-a"]


async def test_one_that_fails_stops_the_others_and_is_raised() -> None:
    """A part that cannot go on ends the program, in order, with its reason."""
    log: list[str] = []
    parts = [Part("a", log), Part("b", log, fails=True), Part("c", log)]
    with pytest.raises(LookupError, match="b"):
        await supervise(parts, asyncio.Event())
    assert log[:2] == ["+a", "+b"]
    assert log[-1] == "-a"


async def test_a_stop_while_one_is_still_starting_stops_what_runs() -> None:
    """A part that never gets ready is told to stop like the others."""
    log: list[str] = []

    class Slow(Part):
        async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
            del ready
            self.started.set()
            await stop.wait()
            self.log.append("-slow")

    parts, stop = [Part("a", log), Slow("slow", log), Part("never", log)], asyncio.Event()
    running = asyncio.create_task(supervise(parts, stop))
    await parts[1].started.wait()
    stop.set()
    await running
    assert log == ["+a", "-slow", "-a"]
