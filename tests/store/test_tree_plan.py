"""What a plan tells: the whole set below, its order, its digest, cycles, and who stands above."""

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest

from consumer.operation import Plan
from consumer.store.pool import STEADY, opened
from consumer.store.statements import load
from consumer.store.tree import Look, lineage, lock_tree, plan_cascades, plan_undo
from schemas.events import Action
from tests.store.carried import blocked, operation, pause, resume
from tests.support.forest import Forest
from tests.support.one import plan_cascade


async def plan(forest: Forest, name: str, action: Action = "pause", most: int = 100) -> Plan:
    """Plan an action on a workspace by name."""
    return await plan_cascade(forest.connection, forest.ids[name], action, most)


def names(found: Plan) -> Sequence[str]:
    """Give the names of the listed descendants, in order."""
    return [one.name for one in found.descendants]


async def test_a_pause_finds_what_stands_below_any_status(either: Forest) -> None:
    """Nothing is hidden behind a paused or removed workspace; those two alone do not change."""
    await either.plant(
        "top", "top/p:paused", "top/r:removed", "p/a:offline", "r/b:failed", "a/c:hibernated",
        "b/d:paused", "d/e:provisioning", "top/f:degraded",
    )  # fmt: skip
    found = await plan(either, "top")
    assert names(found) == ["f", "a", "b", "c", "e"]
    assert found.descendant_count == 5
    assert found.named_changes
    assert (found.exists, found.name, found.status) == (True, "top", "online")


async def test_a_resume_finds_what_stands_below_running_ones(either: Forest) -> None:
    """Only what is paused is resumed, at any depth below anything."""
    await either.plant("top", "top/a", "a/b:paused", "b/c:removed", "c/d:paused", "a/e:offline")
    found = await plan(either, "top", "resume")
    assert names(found) == ["b", "d"]
    assert not found.named_changes


async def test_each_listed_workspace_is_told_whole(forest: Forest) -> None:
    """A descendant comes with its status, its parent, its depth and its running tasks."""
    await forest.plant("top", "top/a:degraded")
    await forest.connection.execute("update workspaces set active_tasks = 3 where name = 'a'")
    (one,) = (await plan(forest, "top")).descendants
    assert one.workspace_id == forest.ids["a"]
    assert (one.name, one.status, one.depth, one.active_tasks) == ("a", "degraded", 1, 3)
    assert one.parent_id == forest.ids["top"]


@pytest.mark.parametrize("name", ["gone", "nowhere"])
async def test_what_is_removed_or_was_never_there_does_not_exist(forest: Forest, name: str) -> None:
    """A removed workspace is as good as none, whatever stands below it."""
    await forest.plant("gone:removed", "gone/a", "nowhere")
    await forest.connection.execute("delete from workspaces where name = 'nowhere'")
    assert not (await plan(forest, name)).exists


async def test_the_list_is_ordered_by_depth_then_by_the_names_bytes(forest: Forest) -> None:
    """Upper case before lower, digits before both, and no locale's opinion."""
    await forest.plant("top", "top/b", "top/B", "top/a", "top/ä", "top/10", "top/9", "a/A", "b/-")
    found = await plan(forest, "top")
    assert names(found) == ["10", "9", "B", "a", "b", "ä", "-", "A"]
    assert [one.depth for one in found.descendants] == [1] * 6 + [2] * 2


async def test_the_list_is_cut_and_the_count_is_whole(forest: Forest) -> None:
    """max_listed bounds what comes up; count and digest are of the whole set."""
    await forest.plant("top", *(f"top/w{i:02}" for i in range(30)))
    whole, cut = await plan(forest, "top"), await plan(forest, "top", most=7)
    assert names(cut) == [f"w{i:02}" for i in range(7)]
    assert (cut.descendant_count, whole.descendant_count) == (30, 30)
    assert cut.tree_etag == whole.tree_etag


async def test_the_etag_stays_while_the_set_does(forest: Forest) -> None:
    """Another name, another running status, another parent or a stranger change nothing."""
    await forest.plant("top", "top/a", "top/b", "b/c", "b/p:paused", "other")
    before = (await plan(forest, "top")).tree_etag
    for change in (
        "name = 'z' where name = 'c'",
        "status = 'degraded' where name = 'a'",
        "active_tasks = 9 where name = 'a'",
        "parent_id = (select id from workspaces where name = 'a') where name = 'z'",
        "status = 'removed' where name = 'p'",
        "status = 'paused' where name = 'other'",
    ):
        await forest.connection.execute(f"update workspaces set {change}")
        assert (await plan(forest, "top")).tree_etag == before, change


@pytest.mark.parametrize(
    "change",
    [
        "status = 'paused' where name = 'a'",
        "status = 'online' where name = 'p'",
        "status = 'removed' where name = 'c'",
        "parent_id = null where name = 'c'",
        "parent_id = (select id from workspaces where name = 'top') where name = 'other'",
        "status = 'paused' where name = 'top'",
    ],
)
async def test_the_etag_changes_with_the_set(forest: Forest, change: str) -> None:
    """One more or one fewer, the named one included, is another digest; back again, the first."""
    await forest.plant("top", "top/a", "top/b", "b/c", "b/p:paused", "other")
    before = (await plan(forest, "top")).tree_etag
    async with forest.connection.transaction():
        transaction = forest.connection.transaction()
        await transaction.start()
        await forest.connection.execute(f"update workspaces set {change}")
        assert (await plan(forest, "top")).tree_etag != before
        await transaction.rollback()
    assert (await plan(forest, "top")).tree_etag == before


async def test_the_etag_of_a_plan_is_that_of_what_is_changed(either: Forest) -> None:
    """Plan and change mean the same set, for pause and for resume."""
    top = await either.plant("top", "top/a", "a/b:paused", "b/c:offline")
    planned = await plan(either, "top")
    assert (await pause(either.connection, top)).recorded.tree_etag == planned.tree_etag
    planned = await plan(either, "top", "resume")
    resumed = (await resume(either.connection, top)).recorded
    assert (resumed.tree_etag, resumed.count) == (planned.tree_etag, 4)


@pytest.mark.parametrize(
    ("loop", "named", "below"),
    [
        ("a/a", "a", ["b", "c"]),
        ("a/b", "a", ["b", "c"]),
        ("a/b", "b", ["a", "c"]),
        ("a/c", "a", ["b", "c"]),
        ("a/c", "b", ["c", "a"]),
    ],
)
async def test_a_cycle_through_the_named_one_ends_the_walk(
    forest: Forest, loop: str, named: str, below: Sequence[str]
) -> None:
    """A loop to itself, over two or three: each workspace is met once, and the cycle is told."""
    await forest.plant("a", "a/b", "b/c")
    child, parent = loop.split("/")
    await forest.connection.execute(
        "update workspaces set parent_id = $2 where id = $1", forest.ids[child], forest.ids[parent]
    )
    found = await plan(forest, named)
    assert sorted(names(found)) == sorted(below)
    assert found.cycle_at in {forest.ids[name] for name in "abc"}


@pytest.mark.parametrize("tail", [0, 1, 2, 3, 5, 8])
@pytest.mark.parametrize("loop", [1, 2, 3, 5, 8])
async def test_a_cycle_above_the_named_one_ends_the_climb(
    forest: Forest, tail: int, loop: int
) -> None:
    """However long the way into the cycle and the cycle are, it is met and told as one of it."""
    await forest.plant("r0", *(f"r{i}/r{i + 1}" for i in range(loop + tail)))
    await forest.connection.execute(
        "update workspaces set parent_id = $2 where id = $1",
        forest.ids["r0"],
        forest.ids[f"r{loop - 1}"],
    )
    named = f"r{loop + tail}"
    found = await plan(forest, named, "resume")
    assert found.cycle_at in {forest.ids[f"r{i}"] for i in range(loop)}
    above = await lineage(forest.connection, [forest.ids[named]])
    assert above[forest.ids[named]] == frozenset(forest.ids.values())
    async with forest.connection.transaction():
        await lock_tree(forest.connection, forest.ids[named])


async def test_without_a_cycle_none_is_told(forest: Forest) -> None:
    """A chain and a wide tree are no cycles, wherever one stands in them."""
    await forest.plant("d0", *(f"d{i}/d{i + 1}" for i in range(20)), "d3/side")
    for name in ("d0", "d1", "d10", "d20", "side"):
        assert (await plan(forest, name)).cycle_at is None


async def test_the_nearest_paused_ancestor_is_named(forest: Forest) -> None:
    """Of several above the nearest counts, also behind running ones; what is below does not."""
    await forest.plant("far:paused", "far/near:paused", "near/run", "run/named:paused")
    await forest.connection.execute(
        "insert into workspaces (name, status, parent_id) values ('child', 'paused', $1)",
        forest.ids["named"],
    )
    above = (await plan(forest, "named", "resume")).paused_ancestor
    assert above is not None
    assert (above.workspace_id, above.name) == (forest.ids["near"], "near")
    assert (await plan(forest, "far", "resume")).paused_ancestor is None


async def test_on_a_cycle_nothing_stands_above(forest: Forest) -> None:
    """What is above is below as well there, and goes with the named one."""
    await forest.plant("a:paused", "a/b:paused")
    await forest.connection.execute(
        "update workspaces set parent_id = $1 where name = 'a'", forest.ids["b"]
    )
    found = await plan(forest, "a", "resume")
    assert found.paused_ancestor is None
    assert names(found) == ["b"]


async def test_lineage_gives_everybody_above_and_leaves_strangers_out(forest: Forest) -> None:
    """Each one that exists with itself and all above it, in one statement for many."""
    await forest.plant("top", "top/a", "a/b", "other")
    ids = forest.ids
    missing = await operation(forest.connection)
    found = await lineage(forest.connection, [ids["b"], ids["top"], missing, ids["b"]])
    assert found == {
        ids["b"]: frozenset({ids["b"], ids["a"], ids["top"]}),
        ids["top"]: frozenset({ids["top"]}),
    }


async def test_two_resumes_under_one_ancestor_do_not_wait(
    forest: Forest, second: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Shared locks above, an exclusive one each: both carry while neither has committed."""
    await forest.plant("top", "top/a:paused", "top/b:paused", "a/c:paused")
    await second.execute("set lock_timeout = '5s'")
    async with forest.connection.transaction(), second.transaction():
        await lock_tree(forest.connection, forest.ids["a"])
        await resume(forest.connection, forest.ids["a"])
        await lock_tree(second, forest.ids["b"])
        await resume(second, forest.ids["b"])
    assert set((await forest.statuses()).values()) == {"online", "provisioning"}


async def test_who_waited_for_a_tree_plans_on_what_was_left(
    forest: Forest,
    second: "asyncpg.Connection[asyncpg.Record]",
    third: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """A command that met another one's lock sees what that one committed."""
    top = await forest.plant("top", "top/a")
    transaction = forest.connection.transaction()
    await transaction.start()
    await lock_tree(forest.connection, top)
    await pause(forest.connection, top)
    async with second.transaction():
        waiting = asyncio.create_task(lock_tree(second, forest.ids["a"]))
        await blocked(third, forest.connection.get_server_pid())
        await transaction.commit()
        await waiting
        found = await plan_cascade(second, forest.ids["a"], "pause", 10)
    assert (found.status, found.named_changes) == ("paused", False)


async def test_the_locks_end_with_the_transaction(
    forest: Forest, second: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Neither commit nor rollback leaves a lock behind."""
    top = await forest.plant("top")
    await second.execute("set lock_timeout = '5s'")
    async with forest.connection.transaction():
        await lock_tree(forest.connection, top)
    transaction = forest.connection.transaction()
    await transaction.start()
    await lock_tree(forest.connection, top)
    await transaction.rollback()
    async with second.transaction():
        await lock_tree(second, top)


async def test_an_undo_lists_what_it_leaves_alone_and_why(either: Forest) -> None:
    """Set, count and digest are what the pause left; the rest is told with its reason."""
    top = await either.plant(
        "top", "top/kept", "top/later", "top/moved", "top/away", "top/dead", "top/was:paused"
    )
    earlier = await pause(either.connection, top)
    await resume(either.connection, either.ids["later"])
    await pause(either.connection, either.ids["later"])
    for change in (
        "update workspaces set status = 'offline' where name = 'moved'",
        "update workspaces set parent_id = null where name = 'away'",
        "delete from workspaces where name = 'dead'",
    ):
        await either.connection.execute(change)
    found = await plan_undo(either.connection, top, earlier.operation_id, 100)
    assert names(found) == ["kept"]
    assert (found.named_changes, found.descendant_count, found.undo_known) == (True, 1, True)
    assert {one.name: one.reason for one in found.not_restored or ()} == {
        "later": "a later command changed it",
        "moved": "it is no longer paused",
        "away": "it is no longer below the named workspace",
        "dead": "it no longer exists",
    }


async def test_an_undo_knows_only_a_pause_of_this_very_workspace(forest: Forest) -> None:
    """A resume, another workspace's pause and an unknown id are no pauses to be undone."""
    top = await forest.plant("top", "top/a")
    paused = await pause(forest.connection, top)
    resumed = await resume(forest.connection, top)
    stranger = await operation(forest.connection)
    known = [
        (await plan_undo(forest.connection, named, one, 10)).undo_known
        for named, one in (
            (top, paused.operation_id),
            (forest.ids["a"], paused.operation_id),
            (top, resumed.operation_id),
            (top, stranger),
        )
    ]
    assert known == [True, False, False, False]


@pytest.mark.parametrize(
    ("noun", "name", "types", "values"),
    [
        (
            "tree",
            "plan_cascades",
            "uuid[], text[], integer[], integer",
            "'{$top}', '{pause}', '{10}', 500",
        ),
        ("tree", "lock_tree", "uuid", "'$top'"),
        ("tree", "try_lock_trees", "uuid[]", "'{$top}'"),
        ("targets", "pause_targets", "uuid[], uuid[], integer", "'{$top}', '{$top}', 10"),
        ("targets", "resume_targets", "uuid[], uuid[], integer", "'{$top}', '{$top}', 10"),
    ],
)
async def test_a_command_reads_its_own_tree_and_no_more(
    connection: "asyncpg.Connection[asyncpg.Record]", noun: str, name: str, types: str, values: str
) -> None:
    """Among 200,000 workspaces a tree of 21 is found by index, whichever plan is cached."""
    await connection.execute(
        "insert into workspaces (name, status) select 'w' || i, 'online'"
        " from generate_series(1, 200000) i"
    )
    top = await connection.fetchval("select id from workspaces where name = 'w1'")
    await connection.execute(
        "update workspaces set parent_id = $1"
        " where name in (select 'w' || i from generate_series(2, 21) i)",
        top,
    )
    await connection.execute("analyze workspaces")
    for setting, value in STEADY.items():
        await connection.execute(f"set {setting} = {value}")
    await connection.execute(f"prepare measured ({types}) as {load(noun)[name]}")
    for mode in ("force_custom_plan", "force_generic_plan"):
        await connection.execute(f"set plan_cache_mode = {mode}")
        execute = f"execute measured ({values.replace('$top', str(top))})"
        async with connection.transaction():
            rows = await connection.fetch(f"explain {execute}")
        text = "\n".join(row[0] for row in rows)
        assert "Seq Scan on workspaces" not in text, mode
        assert "workspaces_p" in text, mode


async def test_a_statement_is_planned_once_for_all_its_calls(
    database_url: str, forest: Forest
) -> None:
    """A walk is over before it would be planned anew; nothing here depends on the values."""
    top = await forest.plant("top", "top/a")
    asked = "select generic_plans, custom_plans from pg_prepared_statements where statement = $1"
    async with (
        opened(database_url, 1, steady=True) as database,
        database.connection() as connection,
    ):
        for _ in range(3):
            await plan_cascades(connection, [Look(top, "pause", 10)])
        (row,) = await connection.fetch(asked, load("tree")["plan_cascades"])
    assert tuple(row) == (3, 0)
