"""Parts start in order, stop in reverse order, and fall together."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from consumer.service import supervise


class Part:
    """A service that does what its name says, and notes what happens to it.

    Attributes:
        go: lets it become ready.
        fall: makes it raise, or return where there is nothing to raise.

    """

    def __init__(self, name: str, diary: list[str], *, at_once: bool = True) -> None:
        self.name = name
        self.diary = diary
        self.go = asyncio.Event()
        self.fall = asyncio.Event()
        self.error: Exception | None = None
        self.last_words: Exception | None = None
        self.linger: asyncio.Event | None = None
        if at_once:
            self.go.set()

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Start, be ready, work until told to stop or to fall."""
        self.diary.append(f"{self.name} starts")
        stopped, fallen = (asyncio.create_task(one.wait()) for one in (stop, self.fall))
        going = asyncio.create_task(self.go.wait())
        try:
            await asyncio.wait([going, stopped, fallen], return_when=asyncio.FIRST_COMPLETED)
            if going.done():
                self.diary.append(f"{self.name} is ready")
                ready()
                await asyncio.wait([stopped, fallen], return_when=asyncio.FIRST_COMPLETED)
            if fallen.done():
                self.diary.append(f"{self.name} falls")
                if self.error:
                    raise self.error
                return
            if self.linger:
                await self.linger.wait()
            self.diary.append(f"{self.name} stops")
            if self.last_words:
                raise self.last_words
        finally:
            for task in (stopped, fallen, going):
                task.cancel()


class Stage:
    """Three parts under a supervisor."""

    def __init__(self, ready: Sequence[bool] = (True, True, True)) -> None:
        self.diary: list[str] = []
        self.stop = asyncio.Event()
        self.parts = [
            Part(name, self.diary, at_once=at_once)
            for name, at_once in zip("abc", ready, strict=True)
        ]
        self.run: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Supervise, and let everything get as far as it does."""
        self.run = asyncio.create_task(supervise(self.parts, self.stop))
        await self.settle()

    async def settle(self) -> None:
        """Let every task run as far as it goes without the outside."""
        for _ in range(60):
            await asyncio.sleep(0)

    async def end(self) -> None:
        """Wait for the supervisor, and see that it left nothing running."""
        assert self.run is not None
        try:
            await self.run
        finally:
            await self.settle()
            names = {task.get_name() for task in asyncio.all_tasks()}
            assert "Part" not in names


UP = ["a starts", "a is ready", "b starts", "b is ready", "c starts", "c is ready"]


async def test_parts_start_in_order_and_stop_in_reverse_order() -> None:
    """What others stand on starts first and stops last."""
    stage = Stage()
    await stage.open()
    assert stage.diary == UP
    stage.stop.set()
    await stage.end()
    assert stage.diary == [*UP, "c stops", "b stops", "a stops"]


async def test_a_part_starts_when_the_one_before_is_ready() -> None:
    """Being started is not being ready."""
    stage = Stage((False, False, True))
    await stage.open()
    assert stage.diary == ["a starts"]
    stage.parts[0].go.set()
    await stage.settle()
    assert stage.diary == ["a starts", "a is ready", "b starts"]
    stage.parts[1].go.set()
    await stage.settle()
    assert stage.diary == UP
    stage.stop.set()
    await stage.end()


async def test_a_part_stops_when_the_one_after_it_has_ended() -> None:
    """What is in hand above is finished before what it stands on goes."""
    stage = Stage()
    stage.parts[2].linger = asyncio.Event()
    await stage.open()
    stage.stop.set()
    await stage.settle()
    assert stage.diary == UP
    stage.parts[2].linger.set()
    await stage.end()
    assert stage.diary == [*UP, "c stops", "b stops", "a stops"]


@pytest.mark.parametrize(("place", "stopping"), [(0, ["c", "b"]), (1, ["c", "a"]), (2, ["b", "a"])])
async def test_a_part_that_raises_ends_the_others_and_is_heard(
    place: int, stopping: list[str]
) -> None:
    """The others stop in reverse order; what was raised comes out when they have."""
    stage = Stage()
    await stage.open()
    stage.parts[place].error = RuntimeError("broken")
    stage.parts[place].fall.set()
    with pytest.raises(RuntimeError, match="broken"):
        await stage.end()
    assert stage.diary == [*UP, f"{'abc'[place]} falls", *(f"{name} stops" for name in stopping)]


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_part_that_returns_early_ends_the_others(place: int) -> None:
    """A program without one of its parts does not go on half."""
    stage = Stage()
    await stage.open()
    stage.parts[place].fall.set()
    await stage.end()
    assert stage.diary[6] == f"{'abc'[place]} falls"
    assert sorted(stage.diary[7:]) == sorted(
        f"{name} stops" for name in "abc" if name != "abc"[place]
    )


async def test_a_stop_before_all_are_ready_starts_no_more() -> None:
    """Who is told to stop while starting stops what has started."""
    stage = Stage((True, False, True))
    await stage.open()
    stage.stop.set()
    await stage.end()
    assert stage.diary == ["a starts", "a is ready", "b starts", "b stops", "a stops"]


async def test_a_stop_before_the_start_ends_at_once() -> None:
    """A signal may come before there is anything to stop."""
    stage = Stage((False, False, False))
    stage.stop.set()
    await stage.open()
    await stage.end()
    assert [line for line in stage.diary if line[0] != "a"] == []


async def test_a_part_that_raises_before_it_is_ready_is_heard() -> None:
    """A part that cannot even start is no part to wait for, and none after it starts."""
    stage = Stage((True, False, True))
    await stage.open()
    stage.parts[1].error = RuntimeError("no such queue")
    stage.parts[1].fall.set()
    with pytest.raises(RuntimeError, match="no such queue"):
        await stage.end()
    assert stage.diary == ["a starts", "a is ready", "b starts", "b falls", "a stops"]


async def test_a_part_that_returns_before_it_is_ready_ends_the_others() -> None:
    """Nor is one that merely gives up."""
    stage = Stage((True, False, True))
    await stage.open()
    stage.parts[1].fall.set()
    await stage.end()
    assert stage.diary == ["a starts", "a is ready", "b starts", "b falls", "a stops"]


async def test_an_earlier_part_that_falls_during_the_start_is_heard() -> None:
    """Nobody waits for the readiness of a part whose ground is gone."""
    stage = Stage((True, False, True))
    await stage.open()
    stage.parts[0].error = RuntimeError("broken")
    stage.parts[0].fall.set()
    with pytest.raises(RuntimeError, match="broken"):
        await stage.end()
    assert stage.diary == ["a starts", "a is ready", "b starts", "a falls", "b stops"]


async def test_what_is_raised_while_stopping_is_heard_and_stops_nobody_less() -> None:
    """A part that fails at its end keeps no other from ending in order."""
    stage = Stage()
    stage.parts[1].last_words = RuntimeError("not all was finished")
    await stage.open()
    stage.stop.set()
    with pytest.raises(RuntimeError, match="not all was finished"):
        await stage.end()
    assert stage.diary == [*UP, "c stops", "b stops", "a stops"]


async def test_a_cancelled_supervisor_stops_its_parts_in_order() -> None:
    """Cancelling is another word for stopping."""
    stage = Stage()
    await stage.open()
    assert stage.run is not None
    stage.run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stage.end()
    assert stage.diary == [*UP, "c stops", "b stops", "a stops"]


async def test_a_part_may_be_ready_again() -> None:
    """A part that recovered says so again, and nothing starts twice."""

    class Recovering(Part):
        async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
            self.diary.append(f"{self.name} starts")
            ready()
            ready()
            await stop.wait()

    stage = Stage()
    stage.parts[0] = Recovering("a", stage.diary)
    await stage.open()
    stage.stop.set()
    await stage.end()
    assert [line for line in stage.diary if line.endswith("starts")] == [
        "a starts",
        "b starts",
        "c starts",
    ]


async def test_without_parts_it_waits_for_the_stop() -> None:
    """No part is no reason to end."""
    stage = Stage()
    stage.parts = []
    await stage.open()
    assert stage.run is not None
    assert not stage.run.done()
    stage.stop.set()
    await stage.end()


async def test_a_task_is_named_after_its_part() -> None:
    """A stack dump or a debugger says which part hangs."""
    stage = Stage()
    await stage.open()
    assert [task.get_name() for task in asyncio.all_tasks()].count("Part") == 3
    stage.stop.set()
    await stage.end()


async def test_a_part_that_raises_late_does_not_hide_the_first() -> None:
    """What is raised out of the supervisor is the reason why it all ended."""
    stage = Stage()
    stage.parts[0].last_words = ConnectionError("lost while stopping")
    await stage.open()
    stage.parts[2].error = RuntimeError("the reason")
    stage.parts[2].fall.set()
    with pytest.raises(RuntimeError, match="the reason") as raised:
        await stage.end()
    assert raised.value.__notes__ == [
        "then, while stopping: ConnectionError('lost while stopping')"
    ]


async def test_a_part_that_is_ready_when_the_stop_comes_is_the_last_to_start() -> None:
    """Where both come at once the stop counts: nothing starts only to be stopped."""
    stage = Stage()

    class Last(Part):
        async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
            self.diary.append(f"{self.name} starts")
            stage.stop.set()
            ready()
            await stop.wait()

    stage.parts[0] = Last("a", stage.diary)
    await stage.open()
    await stage.end()
    assert stage.diary == ["a starts"]
