"""`Gather` shares round trips, `Turns` keeps order where it matters and nowhere else."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from consumer.gather import Gather, Turns
from consumer.message import UnavailableError


async def test_what_comes_together_is_done_together_and_in_order() -> None:
    """Callers that come while a batch is at work share the next one, oldest first."""
    batches: list[list[int]] = []
    release = asyncio.Event()

    async def work(items: Sequence[int]) -> Sequence[int]:
        batches.append(list(items))
        await release.wait()
        return [item * 10 for item in items]

    gather = Gather(work, most=3)
    done: list[int] = []

    async def call(item: int) -> None:
        done.append(await gather(item))

    calls = [asyncio.create_task(call(i)) for i in range(6)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    release.set()
    await asyncio.gather(*calls)
    assert sorted(item for batch in batches for item in batch) == list(range(6))
    assert done == [0, 10, 20, 30, 40, 50]
    assert max(map(len, batches)) <= 3
    assert await gather(9) == 90


async def test_a_bad_item_fails_its_own_caller_alone() -> None:
    """A batch that fails is tried one by one."""

    async def work(items: Sequence[int]) -> Sequence[int]:
        if 2 in items:
            raise LookupError(str(items))
        return items

    gather = Gather(work, most=10)
    results = await asyncio.gather(*(gather(i) for i in range(4)), return_exceptions=True)
    assert [isinstance(one, LookupError) for one in results] == [False, False, True, False]


async def test_unavailable_fails_the_batch_without_trying_one_by_one() -> None:
    """A server that is away is asked once, not once an item."""
    asked: list[int] = []

    async def work(items: Sequence[int]) -> Sequence[int]:
        asked.append(len(items))
        raise UnavailableError("away")

    gather = Gather(work, most=10)
    results = await asyncio.gather(*(gather(i) for i in range(4)), return_exceptions=True)
    assert all(isinstance(one, UnavailableError) for one in results)
    assert sum(asked) == 4


async def test_a_caller_that_went_away_holds_nobody_up() -> None:
    """A cancelled caller's item is done, and the others get theirs."""
    release = asyncio.Event()

    async def work(items: Sequence[int]) -> Sequence[int]:
        await release.wait()
        return items

    gather = Gather(work, most=10)
    gone, stays = asyncio.create_task(gather(1)), asyncio.create_task(gather(2))
    await asyncio.sleep(0)
    gone.cancel()
    release.set()
    assert await stays == 2
    with pytest.raises(asyncio.CancelledError):
        await gone


async def turn(turns: Turns, log: list[str], name: str, root: UUID, *above: UUID) -> None:
    """Take a turn and note when it began."""
    async with turns.take(root, frozenset({root, *above})):
        log.append(name)
        await asyncio.sleep(0.01)
        if name.startswith("bad"):
            raise LookupError(name)
        log.append(f"{name} over")


async def test_overlapping_ones_keep_their_order_and_disjoint_ones_do_not_wait() -> None:
    """Above, below and the same wait for the earlier one; a sibling goes at once."""
    turns, log = Turns(), list[str]()
    top, left, right = uuid4(), uuid4(), uuid4()
    await asyncio.gather(
        turn(turns, log, "left", left, top),
        turn(turns, log, "right", right, top),
        turn(turns, log, "top", top),
        turn(turns, log, "again", left, top),
    )
    assert log[:2] == ["left", "right"]
    assert log.index("top") > log.index("left over")
    assert log.index("top") > log.index("right over")
    assert log.index("again") > log.index("top over")


async def test_a_turn_that_fails_or_is_cancelled_frees_the_next() -> None:
    """Nobody waits for ever behind one that went wrong."""
    turns, log, top = Turns(), list[str](), uuid4()
    bad = asyncio.create_task(turn(turns, log, "bad", top))
    gone = asyncio.create_task(turn(turns, log, "gone", top))
    last = asyncio.create_task(turn(turns, log, "last", top))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(bad, gone, last, return_exceptions=True)
    assert log == ["bad", "last", "last over"]
