"""The walks and the locks over the platform's tree."""

import asyncio
from uuid import UUID

import asyncpg
import pytest

from consumer.store.pool import Connection, Database
from consumer.store.statements import load
from consumer.store.tree import lineage, lock_tree
from tests.support.forest import Forest
from tests.support.one import plan_cascade


@pytest.fixture
async def forest(connection: "asyncpg.Connection[asyncpg.Record]") -> Forest:
    """Give an empty forest."""
    return Forest(connection)


async def held(pool: Database, workspace_id: UUID, release: asyncio.Event) -> None:
    """Hold a command's locks until told."""

    async def work(connection: Connection) -> None:
        await lock_tree(connection, workspace_id)
        await release.wait()

    await pool.run(work)


async def locks_at_once(pool: Database, first: UUID, second: UUID) -> bool:
    """Tell whether a second command gets its locks while a first one holds its own."""
    release = asyncio.Event()
    one = asyncio.create_task(held(pool, first, release))
    while not await _locks(pool):  # noqa: ASYNC110 (only asking can tell)
        await asyncio.sleep(0.005)
    free = asyncio.Event()
    free.set()
    two = asyncio.create_task(held(pool, second, free))
    done, _ = await asyncio.wait([two], timeout=0.5)
    release.set()
    await asyncio.gather(one, two)
    return bool(done)


async def _locks(pool: Database) -> int:
    async with pool.connection() as connection:
        row = await connection.fetchrow(
            "select count(*) as n from pg_locks where locktype = 'advisory' and granted"
            " and database = (select oid from pg_database where datname = current_database())"
        )
    assert row is not None
    return int(row["n"])


@pytest.mark.parametrize(
    ("first", "second", "at_once"),
    [
        ("top", "top", False),
        ("top", "leaf", False),
        ("leaf", "top", False),
        ("left", "right", True),
        ("leaf", "right", True),
        ("top", "other", True),
    ],
)
async def test_commands_wait_exactly_where_their_trees_overlap(
    pool: Database, forest: Forest, first: str, second: str, at_once: bool
) -> None:
    """The same workspace, above and below wait; siblings and other trees do not."""
    await forest.plant("top", "top/left", "top/right", "left/leaf", "other")
    assert await locks_at_once(pool, forest.ids[first], forest.ids[second]) is at_once


@pytest.mark.parametrize(("second", "at_once"), [("d99", False), ("d80", False), ("other", True)])
async def test_a_very_deep_tree_is_locked_with_few_locks(
    pool: Database, forest: Forest, second: str, at_once: bool
) -> None:
    """Below 64 levels the topmost workspace stands for all: still correct, still few locks."""
    chain = ["d0", *(f"d{i}/d{i + 1}" for i in range(99)), "other"]
    await forest.plant(*chain)
    assert await locks_at_once(pool, forest.ids["d70"], forest.ids[second]) is at_once
    assert await locks_at_once(pool, forest.ids["d3"], forest.ids[second]) is at_once


async def test_a_chain_of_three_thousand_is_walked(pool: Database, forest: Forest) -> None:
    """Depth costs rows, not stack."""
    top = await forest.plant("d0", *(f"d{i}/d{i + 1}" for i in range(3000)))
    async with pool.connection() as connection:
        plan = await plan_cascade(connection, top, "pause", 10)
        paths = await lineage(connection, [forest.ids["d3000"]])
    assert (plan.descendant_count, len(plan.descendants)) == (3000, 10)
    assert len(paths[forest.ids["d3000"]]) == 3001


async def test_a_cycle_above_ends_the_walk(pool: Database, forest: Forest) -> None:
    """A cycle that leads into the named workspace is met once and reported."""
    await forest.plant("a", "a/b", "b/c", "c/named")
    await forest.connection.execute(
        "update workspaces set parent_id = $1 where name = 'a'", forest.ids["c"]
    )
    async with pool.connection() as connection:
        plan = await plan_cascade(connection, forest.ids["named"], "resume", 10)
    assert plan.cycle_at in {forest.ids[name] for name in "abc"}
    assert plan.descendant_count == 0


async def test_the_walk_uses_the_index_on_parent_id(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """Cost grows with the subtree, not with the table: no sequential scan over a big one."""
    await connection.execute(
        "insert into workspaces (name, status) select 'w' || i, 'online'"
        " from generate_series(1, 50000) i"
    )
    await connection.execute(
        "update workspaces set parent_id = (select id from workspaces where name = 'w1')"
        " where name in (select 'w' || i from generate_series(2, 20) i)"
    )
    await connection.execute("analyze workspaces")
    top = await connection.fetchval("select id from workspaces where name = 'w1'")
    await connection.execute(
        "prepare walk (uuid[], text[], integer[], integer) as " + load("tree")["plan_cascades"]
    )
    values = f"'{{{top}}}', '{{pause}}', '{{10}}', null"
    lines = await connection.fetch(f"explain analyze execute walk ({values})")
    text = "\n".join(line[0] for line in lines)
    assert "workspaces_parent_id" in text
    assert "Seq Scan on workspaces" not in text
