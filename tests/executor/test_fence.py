"""Fence: what was not decided so, what a later command has overtaken, and one asker at a time."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from consumer.executor.fence import Fence
from consumer.executor.port import Order
from consumer.store.pool import Database
from tests.executor.orders import order
from tests.store.carried import Carried, pause, resume, undo
from tests.support.forest import Forest
from tests.support.one import pause_targets, resume_targets


@pytest.fixture
async def forest(connection: "asyncpg.Connection[asyncpg.Record]") -> Forest:
    """Give an empty forest."""
    return Forest(connection)


def of(workspace_id: UUID, generation: int) -> Order:
    """Make an order of a generation."""
    return order(workspace_id=workspace_id, generation=generation)


async def test_only_the_newest_command_of_a_workspace_passes(
    pool: Database, forest: Forest
) -> None:
    """Each order is told of its own workspace, many in one question, in their order."""
    top = await forest.plant("top", "top/a")
    first = await pause_targets(forest.connection, top, uuid4(), 10)
    second = await resume_targets(forest.connection, forest.ids["a"], uuid4(), 10)
    fence = Fence(pool)
    orders = [
        of(forest.ids["a"], first.generation),
        of(top, first.generation),
        of(forest.ids["a"], second.generation),
        of(uuid4(), 1),
    ]
    assert await fence.newest(orders) == [False, True, True, True]


async def decided(forest: Forest, carried: Carried, name: str) -> Order:
    """Give the order that was decided for a workspace, as the relay would send it."""
    row = await forest.connection.fetchrow(
        "select t.*, o.deadline from lifecycle.target t join lifecycle.operation o"
        " using (operation_id) where t.operation_id = $1 and t.workspace_id = $2",
        carried.operation_id,
        forest.ids[name],
    )
    assert row is not None
    return Order(
        action="stop" if carried.action == "pause" else "start",
        **{one: row[one] for one in ("operation_id", "workspace_id", "name", "instance_id")},
        **{one: row[one] for one in ("runtime", "generation", "deadline")},
    )


async def test_an_order_stands_as_it_was_decided(pool: Database, forest: Forest) -> None:
    """The newest, what a later command has overtaken, and a start: many in one question."""
    top = await forest.plant("top", "top/a")
    paused = await pause(forest.connection, top)
    resumed = await resume(forest.connection, forest.ids["a"])
    orders = [
        await decided(forest, paused, "top"),
        await decided(forest, paused, "a"),
        await decided(forest, resumed, "a"),
    ]
    fence = Fence(pool)
    told = await asyncio.gather(*(fence.standing(one) for one in orders))
    assert [one.kind for one in told] == ["newest", "overtaken", "newest"]


FORGED: dict[str, dict[str, Any]] = {
    "a huge generation": {"generation": 2**62},
    "an older generation": {"generation": 0},
    "another operation": {"operation_id": uuid4()},
    "another workspace": {"workspace_id": uuid4()},
    "another machine": {"instance_id": "i-other"},
    "no machine": {"instance_id": None},
    "a machine that is nobody's": {"runtime": "external"},
    "a later deadline": {"deadline": datetime(2999, 1, 1, tzinfo=UTC)},
    "a deadline that has passed": {"deadline": datetime(2000, 1, 1, tzinfo=UTC)},
    "the other action": {"action": "start"},
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
async def test_what_was_not_decided_so_in_every_part_is_unknown(
    pool: Database, forest: Forest, forged: dict[str, Any]
) -> None:
    """One wrong part makes it somebody's invention, overtaken or not."""
    top = await forest.plant("top")
    order = await decided(forest, await pause(forest.connection, top), "top")
    assert (await Fence(pool).standing(order)).kind == "newest"
    assert (await Fence(pool).standing(replace(order, **forged))).kind == "unknown"


async def test_a_workspace_that_was_only_set_back_was_never_ordered(
    pool: Database, forest: Forest
) -> None:
    """An undo puts back what did not run without a start: nobody may order one in its name."""
    top = await forest.plant("top:offline")
    undone = await undo(forest.connection, top, await pause(forest.connection, top))
    order = await decided(forest, undone, "top")
    assert (await Fence(pool).standing(order)).kind == "unknown"


async def test_who_holds_a_workspace_is_alone_with_it(pool: Database, forest: Forest) -> None:
    """A second process waits, and is told what has become of it since."""
    top = await forest.plant("top")
    first = await pause_targets(forest.connection, top, uuid4(), 10)
    fence, later = Fence(pool), Fence(pool)

    async def wait() -> list[bool]:
        async with later.held([of(uuid4(), 1), of(top, first.generation)]) as newest:
            return list(newest)

    async with fence.held([of(top, first.generation)]) as newest:
        assert newest == [True]
        waiting = asyncio.ensure_future(wait())
        await forest.waited_for()
        await resume_targets(forest.connection, top, uuid4(), 10)  # no command waits for holders
    assert await waiting == [True, False]


async def test_those_who_hold_several_never_wait_crosswise(pool: Database) -> None:
    """Whatever order they are named in, workspaces are held in one order: nobody deadlocks."""
    fence, ids = Fence(pool), [uuid4() for _ in range(20)]

    async def hold(turn: int) -> None:
        named = ids[turn:] + ids[:turn]
        async with fence.held([of(one, 1) for one in (*named, named[0])]):
            await asyncio.sleep(0)

    async with asyncio.timeout(20):
        await asyncio.gather(*(hold(turn) for turn in range(20)))
