"""Fence: what a later command has overtaken, and one asker at a time for each workspace."""

import asyncio
from uuid import UUID, uuid4

import asyncpg
import pytest

from consumer.executor.fence import Fence
from consumer.executor.port import Order
from consumer.store.pool import Database
from consumer.store.targets import pause_targets, resume_targets
from tests.executor.orders import order
from tests.support.forest import Forest


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
    told = await asyncio.gather(*(fence.is_newest(one) for one in orders))
    assert told == [False, True, True, True]


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
