"""What comes together is done together, and what overlaps keeps its order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some

from consumer.gather import Gather, Turns
from consumer.message import UnavailableError
from consumer.observe import bound, listening, say


async def settle() -> None:
    """Let every task run as far as it goes without the outside."""
    for _ in range(20):
        await asyncio.sleep(0)


class Desk:
    """A `work` that notes its batches, waits for its gate, and fails for items that say so."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.gate = asyncio.Event()
        self.at_work = 0
        self.most_at_work = 0

    async def work(self, items: Sequence[Any]) -> list[Any]:
        """Give each item back, said twice."""
        self.batches.append(list(items))
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            await self.gate.wait()
            for item in items:
                if isinstance(item, Exception):
                    raise item
            return [(item, item) for item in items]
        finally:
            self.at_work -= 1


class Crowd:
    """Callers of one gather, and who went on when."""

    def __init__(self, gather: Gather[Any, Any]) -> None:
        self._gather = gather
        self.tasks: list[asyncio.Task[Any]] = []
        self.went_on: list[Any] = []

    async def come(self, *items: Any) -> None:
        """Bring items, each by a caller of its own, and let them get as far as they can."""
        self.tasks += [asyncio.create_task(self._bring(item)) for item in items]
        await settle()

    async def _bring(self, item: Any) -> Any:
        try:
            return await self._gather(item)
        finally:
            self.went_on.append(item)

    async def results(self) -> list[Any]:
        """Give what each caller got or had raised."""
        return await asyncio.gather(*self.tasks, return_exceptions=True)


def gathered(most: int = 100) -> tuple[Desk, Crowd]:
    """Open a desk and a crowd before it."""
    desk = Desk()
    return desk, Crowd(Gather(desk.work, most))


class TestGather:
    """One round trip for a crowd."""

    async def test_whoever_comes_first_is_not_kept_waiting(self) -> None:
        """An idle gather takes a single item at once: there is no window to fill."""
        desk, crowd = gathered()
        await crowd.come(1)
        assert desk.batches == [[1]]
        desk.gate.set()
        assert await crowd.results() == [(1, 1)]

    async def test_what_came_meanwhile_is_one_batch(self) -> None:
        """Whoever comes while a batch is at work shares the next one."""
        desk, crowd = gathered()
        await crowd.come(1)
        await crowd.come(2)
        await crowd.come(3, 4)
        desk.gate.set()
        assert await crowd.results() == [(1, 1), (2, 2), (3, 3), (4, 4)]
        assert desk.batches == [[1], [2, 3, 4]]

    async def test_a_batch_has_a_limit(self) -> None:
        """A crowd is served in batches of at most so many, oldest first."""
        desk, crowd = gathered(most=3)
        await crowd.come(*range(8))
        desk.gate.set()
        assert await crowd.results() == [(item, item) for item in range(8)]
        assert desk.batches == [[0, 1, 2], [3, 4, 5], [6, 7]]

    async def test_one_batch_at_a_time(self) -> None:
        """Two batches never overlap, so that the order of the first holds for the second."""
        desk, crowd = gathered(most=2)
        await crowd.come(*range(4))
        await crowd.come(*range(4, 9))
        desk.gate.set()
        await crowd.results()
        assert desk.most_at_work == 1

    async def test_callers_go_on_in_the_order_in_which_they_came(self) -> None:
        """What a caller does next it does after those before it."""
        desk, crowd = gathered(most=4)
        await crowd.come(*range(10))
        desk.gate.set()
        await crowd.results()
        assert crowd.went_on == list(range(10))

    async def test_equal_items_are_two(self) -> None:
        """Nothing is joined that two callers brought."""
        desk, crowd = gathered()
        await crowd.come(7, 7)
        desk.gate.set()
        assert await crowd.results() == [(7, 7), (7, 7)]
        assert desk.batches == [[7, 7]]

    async def test_a_bad_item_fails_its_own_caller_alone(self) -> None:
        """A batch that fails is tried one by one, in its order."""
        desk, crowd = gathered()
        bad = ValueError("bad")
        await crowd.come(0, 1, bad, 3)
        desk.gate.set()
        assert await crowd.results() == [(0, 0), (1, 1), bad, (3, 3)]
        assert desk.batches == [[0, 1, bad, 3], [0], [1], [bad], [3]]
        assert crowd.went_on == [0, 1, bad, 3]

    async def test_a_bad_item_alone_is_not_tried_again(self) -> None:
        """Doing the same once more would not make it good."""
        desk, crowd = gathered()
        bad = ValueError("bad")
        desk.gate.set()
        await crowd.come(bad)
        assert await crowd.results() == [bad]
        assert desk.batches == [[bad]]

    async def test_every_bad_item_fails_with_its_own_error(self) -> None:
        """Nobody is told of somebody else's mistake."""
        desk, crowd = gathered()
        one, two = ValueError("one"), KeyError("two")
        await crowd.come(one, 1, two)
        desk.gate.set()
        assert await crowd.results() == [one, (1, 1), two]

    async def test_what_is_away_fails_the_whole_batch_at_once(self) -> None:
        """A database that is away is not asked again for each item; who comes later is."""
        desk, crowd = gathered()
        away = UnavailableError("away")
        await crowd.come(0, away, 2)
        desk.gate.set()
        assert await crowd.results() == [away, away, away]
        assert desk.batches == [[0, away, 2]]
        await crowd.come(3)
        assert await crowd.tasks[-1] == (3, 3)

    async def test_a_cancelled_caller_takes_nobody_with_it(self) -> None:
        """The others of its batch get their results."""
        desk, crowd = gathered()
        await crowd.come(0, 1, 2)
        crowd.tasks[1].cancel()
        await settle()
        desk.gate.set()
        first, gone, last = await crowd.results()
        assert (first, last) == ((0, 0), (2, 2))
        assert isinstance(gone, asyncio.CancelledError)

    async def test_a_cancelled_caller_of_a_bad_batch_takes_nobody_with_it(self) -> None:
        """Nor does one whose batch fails."""
        desk, crowd = gathered()
        away = UnavailableError("away")
        await crowd.come(0, away, 2)
        crowd.tasks[0].cancel()
        await settle()
        desk.gate.set()
        assert (await crowd.results())[1:] == [away, away]

    async def test_a_cancelled_caller_still_in_the_queue_takes_nobody_with_it(self) -> None:
        """It may be gone before its batch is even made."""
        desk, crowd = gathered(most=1)
        await crowd.come(0, 1, 2)
        crowd.tasks[1].cancel()
        await settle()
        desk.gate.set()
        first, gone, last = await crowd.results()
        assert (first, last) == ((0, 0), (2, 2))
        assert isinstance(gone, asyncio.CancelledError)

    async def test_an_idle_gather_has_no_task_and_starts_again(self) -> None:
        """Nothing is left to be stopped, and the next caller is served like the first."""
        desk, crowd = gathered()
        desk.gate.set()
        for item in range(3):
            await crowd.come(item)
            assert "gather" not in {task.get_name() for task in asyncio.all_tasks()}
        assert await crowd.results() == [(0, 0), (1, 1), (2, 2)]

    async def test_a_caller_that_goes_on_at_once_is_served_again(self) -> None:
        """A caller may come back with the next item before the worker has gone home."""
        desk, crowd = gathered()
        desk.gate.set()

        async def twice() -> list[Any]:
            gather = crowd._gather
            return [await gather(1), await gather(2)]

        assert await twice() == [(1, 1), (2, 2)]

    @pytest.mark.parametrize("given_back", [[], [1], [1, 2, 3, 4]], ids=["none", "few", "many"])
    async def test_work_that_miscounts_fails_its_callers(self, given_back: list[int]) -> None:
        """Nobody gets another one's result, and nobody waits for one for ever."""

        async def miscount(items: Sequence[int]) -> list[int]:
            return given_back if len(items) > 1 else []

        crowd = Crowd(Gather(miscount, 10))
        await crowd.come(1, 2, 3)
        assert [type(one) for one in await crowd.results()] == [ValueError] * 3

    async def test_cancelled_work_leaves_nobody_waiting(self) -> None:
        """A driver may raise CancelledError: its callers get it, and the next ones are served."""
        cancelled = iter([True, False])

        async def work(items: Sequence[int]) -> Sequence[int]:
            await asyncio.sleep(0)
            if next(cancelled):
                raise asyncio.CancelledError
            return items

        crowd = Crowd(Gather(work, 2))
        await crowd.come(1, 2, 3)
        assert [type(one) for one in await crowd.results()] == [asyncio.CancelledError] * 3
        await crowd.come(4)
        assert await crowd.tasks[-1] == 4

    async def test_what_one_caller_has_bound_is_not_said_of_the_others(self) -> None:
        """A batch belongs to many, and so do the facts said while it is at work."""
        heard: list[dict[str, Any]] = []

        async def work(items: Sequence[int]) -> Sequence[int]:
            say("transaction.retried", count=len(items))
            await asyncio.sleep(0)
            return items

        gather = Gather(work, 10)
        with listening(lambda _, fields: heard.append(dict(fields))):
            with bound(message_id="m-1"):
                await gather(1)
            with bound(message_id="m-2"):
                first = asyncio.create_task(gather(1))
            await asyncio.gather(first, gather(2))
        assert all("message_id" not in fields for fields in heard)

    @given(some.lists(some.integers(0, 3), max_size=12), some.integers(1, 4))
    def test_everybody_gets_their_own(self, arrivals: list[int], most: int) -> None:
        """However many come at whatever moment, each gets what belongs to the item they brought."""

        async def play() -> None:
            desk, crowd = gathered(most)
            desk.gate.set()
            came = 0
            for many in arrivals:
                crowd.tasks += [
                    asyncio.create_task(crowd._bring(came + one)) for one in range(many)
                ]
                came += many
                await asyncio.sleep(0)
            assert await crowd.results() == [(item, item) for item in range(came)]
            assert [item for batch in desk.batches for item in batch] == list(range(came))
            assert all(len(batch) <= most for batch in desk.batches)
            assert crowd.went_on == list(range(came))

        asyncio.run(play())


TOP, LEFT, RIGHT, LEAF = (UUID(int=number) for number in (1, 2, 3, 4))
PATHS = {
    TOP: frozenset({TOP}),
    LEFT: frozenset({LEFT, TOP}),
    RIGHT: frozenset({RIGHT, TOP}),
    LEAF: frozenset({LEAF, LEFT, TOP}),
}


class Street:
    """Takers of turns: who is in their turn now, and who had one."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.inside: list[str] = []
        self.began: list[str] = []
        self._leave: dict[str, Callable[[], None]] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, name: str, root: UUID, path: frozenset[UUID] | None = None) -> None:
        """Take a turn and stay in it until told to leave."""
        end = asyncio.Event()
        self._leave[name] = end.set
        self.tasks[name] = asyncio.create_task(
            self._stay(name, root, PATHS[root] if path is None else path, end)
        )
        await settle()

    async def _stay(self, name: str, root: UUID, path: frozenset[UUID], end: asyncio.Event) -> None:
        async with self.turns.take(root, path), self._noted(name):
            await end.wait()
            if name.startswith("bad"):
                raise ValueError(name)

    @asynccontextmanager
    async def _noted(self, name: str) -> AsyncIterator[None]:
        self.began.append(name)
        self.inside.append(name)
        try:
            yield
        finally:
            self.inside.remove(name)

    async def leave(self, name: str) -> None:
        """Let one go."""
        self._leave[name]()
        await settle()

    async def empty(self) -> None:
        """Let all go, and see that nothing is remembered of them."""
        for leave in self._leave.values():
            leave()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        assert self.turns._turns == []
        assert self.inside == []


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    """Give a street that is empty afterwards."""
    one = Street()
    yield one
    await one.empty()


class TestTurns:
    """Overlapping trees one after the other, disjoint ones side by side."""

    @pytest.mark.parametrize(
        ("first", "second"),
        [(TOP, TOP), (TOP, LEAF), (LEAF, TOP), (LEFT, LEAF), (LEAF, LEFT), (RIGHT, TOP)],
    )
    async def test_overlapping_trees_take_turns(
        self, street: Street, first: UUID, second: UUID
    ) -> None:
        """Above, below and the same wait, whichever of the two came first."""
        await street.come("first", first)
        await street.come("second", second)
        assert street.inside == ["first"]
        await street.leave("first")
        assert street.inside == ["second"]

    @pytest.mark.parametrize(
        ("first", "second"), [(LEFT, RIGHT), (RIGHT, LEFT), (LEAF, RIGHT), (RIGHT, LEAF)]
    )
    async def test_disjoint_trees_do_not_wait(
        self, street: Street, first: UUID, second: UUID
    ) -> None:
        """A common ancestor that nobody named keeps nobody waiting."""
        await street.come("first", first)
        await street.come("second", second)
        assert street.inside == ["first", "second"]

    async def test_turns_come_in_the_order_of_arrival(self, street: Street) -> None:
        """Ten commands for one tree, from all its levels, are ten turns in their order."""
        names = [f"{number}" for number in range(10)]
        for number, name in enumerate(names):
            await street.come(name, (TOP, LEFT, TOP, LEAF)[number % 4])
        for name in names:
            assert street.inside[:1] == [name]
            await street.leave(name)
        assert street.began == names

    async def test_nobody_overtakes_a_waiting_one(self, street: Street) -> None:
        """Who overlaps only with a waiting one waits behind it: a big tree is not starved."""
        await street.come("left", LEFT)
        await street.come("top", TOP)
        await street.come("right", RIGHT)
        assert street.inside == ["left"]
        await street.leave("left")
        assert street.inside == ["top"]
        await street.leave("top")
        assert street.inside == ["right"]

    async def test_a_turn_waits_for_all_before_it(self, street: Street) -> None:
        """One of two earlier ones gone is not enough, whichever goes first."""
        for first, second in (("left", "right"), ("right", "left")):
            await street.come("left", LEFT)
            await street.come("right", RIGHT)
            await street.come("top", TOP)
            await street.leave(first)
            assert street.inside == [second]
            await street.leave(second)
            assert street.inside == ["top"]
            await street.leave("top")

    async def test_an_exception_frees_the_next(self, street: Street) -> None:
        """A command that fails is over like any other, and its own caller hears of it."""
        await street.come("bad", TOP)
        await street.come("next", LEAF)
        await street.leave("bad")
        assert street.inside == ["next"]
        with pytest.raises(ValueError, match="bad"):
            await street.tasks["bad"]

    async def test_cancelling_one_in_its_turn_frees_the_next(self, street: Street) -> None:
        """A turn ends however it ends."""
        await street.come("first", TOP)
        await street.come("second", TOP)
        street.tasks["first"].cancel()
        await settle()
        assert street.inside == ["second"]

    async def test_cancelling_a_waiting_one_frees_those_behind_it(self, street: Street) -> None:
        """Who gives up waiting keeps nobody, and lets nobody past those still in their turn."""
        await street.come("left", LEFT)
        await street.come("top", TOP)
        await street.come("right", RIGHT)
        await street.come("leaf", LEAF)
        street.tasks["top"].cancel()
        await settle()
        assert street.inside == ["left", "right"]
        await street.leave("left")
        assert street.inside == ["right", "leaf"]
        assert "top" not in street.began

    async def test_a_workspace_is_in_its_own_path(self, street: Street) -> None:
        """A workspace that is not there has no path, and still takes turns with itself."""
        await street.come("first", LEFT, frozenset())
        await street.come("second", LEFT, frozenset())
        assert street.inside == ["first"]

    async def test_a_cycle_takes_turns_too(self, street: Street) -> None:
        """On a cycle each is above the other, and nobody waits for ever."""
        both = frozenset({LEFT, RIGHT})
        await street.come("first", LEFT, both)
        await street.come("second", RIGHT, both)
        await street.come("third", LEFT, both)
        for name in ("first", "second", "third"):
            assert street.inside == [name]
            await street.leave(name)

    @given(some.lists(some.sampled_from(sorted(PATHS)), max_size=10), some.randoms())
    def test_in_any_crowd_overlapping_ones_go_in_order_and_all_go(
        self, roots: list[UUID], random: Any
    ) -> None:
        """No two overlapping ones are inside at once, none overtakes another, none is left over."""

        async def play() -> None:
            street = Street()
            came = {f"{number}": root for number, root in enumerate(roots)}
            for name, root in came.items():
                await street.come(name, root)
            while street.inside:
                for one in street.inside:
                    others = [other for other in street.inside if other != one]
                    assert not any(overlap(came[one], came[other]) for other in others)
                await street.leave(random.choice(street.inside))
            assert sorted(street.began) == sorted(came)
            for place, late in enumerate(street.began):
                assert not any(
                    int(early) > int(late) and overlap(came[early], came[late])
                    for early in street.began[:place]
                )
            await street.empty()

        asyncio.run(play())


def overlap(one: UUID, other: UUID) -> bool:
    """Say once more what overlaps: the one is above or below the other, or it is the same."""
    return one in PATHS[other] or other in PATHS[one]
