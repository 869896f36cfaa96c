"""What pause, resume and undo change in the platform's table, column by column."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import TypeAdapter

from consumer.store.targets import newest
from schemas.events import Changed
from tests.store.carried import pause, resume, undo
from tests.support.forest import Forest

TREE = (
    "top", "top/a:degraded", "top/p:paused", "top/r:removed", "p/b:offline", "r/c:failed",
    "c/d:hibernated", "d/e:provisioning", "stranger", "stranger/q:paused",
)  # fmt: skip
CHANGED_BY_PAUSE = {"top", "a", "b", "c", "d", "e"}
Table = Mapping[str, Mapping[str, Any]]


async def table(forest: Forest) -> Table:
    """Read every column of every workspace, by name."""
    rows = await forest.connection.fetch("select *, status::text as status from workspaces")
    return {row["name"]: dict(row) for row in rows}


async def planted(forest: Forest) -> Table:
    """Plant the tree with something in every column, last updated long ago."""
    await forest.plant(*TREE)
    await forest.connection.execute(
        "update workspaces set role = 'r', tier = 2, active_tasks = 3, current_task = 't',"
        " last_heartbeat_at = '2020-01-02', created_at = '2020-01-01', updated_at = '2020-01-03'"
    )
    return await table(forest)


def differences(before: Table, after: Table) -> Mapping[str, set[str]]:
    """Name the columns that differ, by workspace."""
    assert before.keys() == after.keys()
    told = {name: {c for c in row if row[c] != after[name][c]} for name, row in before.items()}
    return {name: columns for name, columns in told.items() if columns}


async def test_a_pause_changes_status_url_and_updated_at_of_its_set(either: Forest) -> None:
    """Nothing else in these rows, and nothing in any other row, on either column type."""
    before = await planted(either)
    async with either.connection.transaction():
        carried = await pause(either.connection, either.ids["top"])
        now = await either.connection.fetchval("select now()")
        after = await table(either)
    told = differences(before, after)
    assert told.keys() == CHANGED_BY_PAUSE
    assert all(columns == {"status", "url", "updated_at"} for columns in told.values())
    changed = [after[name] for name in CHANGED_BY_PAUSE]
    assert {(one["status"], one["url"], one["updated_at"]) for one in changed} == {
        ("paused", "", now)
    }
    assert carried.recorded.count == carried.recorded.target_count == 6


async def test_a_resume_changes_status_and_updated_at_of_its_set(either: Forest) -> None:
    """Only what is paused, to provisioning; the URL is the platform's to set again."""
    before = await planted(either)
    async with either.connection.transaction():
        await resume(either.connection, either.ids["top"])
        now = await either.connection.fetchval("select now()")
        after = await table(either)
    assert differences(before, after) == {"p": {"status", "updated_at"}}
    assert (after["p"]["status"], after["p"]["updated_at"]) == ("provisioning", now)


async def test_an_undo_puts_each_back_to_what_it_was(either: Forest) -> None:
    """What ran is started; what did not run gets its own status and URL back, and no command."""
    before = await planted(either)
    top = either.ids["top"]
    earlier = await pause(either.connection, top)
    carried = await undo(either.connection, top, earlier)
    after = await table(either)
    assert {name: after[name]["status"] for name in before} == {
        "top": "provisioning", "a": "provisioning", "e": "provisioning",
        "b": "offline", "c": "failed", "d": "hibernated",
        "p": "paused", "r": "removed", "stranger": "online", "q": "paused",
    }  # fmt: skip
    ran, set_back = {"status", "url", "updated_at"}, {"status", "updated_at"}
    told = differences(before, after)
    assert told.keys() == CHANGED_BY_PAUSE
    assert all(told[name] <= ran for name in ("top", "a", "e"))
    assert all(told[name] <= set_back for name in ("b", "c", "d"))
    assert (carried.recorded.count, carried.recorded.target_count) == (6, 3)


async def test_an_undo_touches_nothing_the_pause_did_not(either: Forest) -> None:
    """A workspace paused before, or planted and paused after, stays paused."""
    await planted(either)
    top = either.ids["top"]
    earlier = await pause(either.connection, top)
    await either.plant("late:paused")
    await either.connection.execute("update workspaces set parent_id = $1 where name = 'late'", top)
    await undo(either.connection, top, earlier)
    statuses = await either.statuses()
    assert (statuses["p"], statuses["late"]) == ("paused", "paused")


async def test_an_undo_leaves_what_a_later_command_or_the_platform_changed(either: Forest) -> None:
    """Only what is still as that pause left it is put back."""
    top = await either.plant("top", "top/kept", "top/again", "top/moved")
    earlier = await pause(either.connection, top)
    await resume(either.connection, either.ids["again"])
    again = await pause(either.connection, either.ids["again"])
    await either.connection.execute("update workspaces set status = 'failed' where name = 'moved'")
    carried = await undo(either.connection, top, earlier)
    assert carried.recorded.count == 2
    assert await either.statuses() == {
        "top": "provisioning", "kept": "provisioning", "again": "paused", "moved": "failed",
    }  # fmt: skip
    told = await newest(either.connection, [either.ids["again"]], [again.recorded.generation])
    assert told == [True]


async def test_each_target_is_remembered_as_it_was_found(either: Forest) -> None:
    """Name, machine, earlier status and URL stand in the target: what compensation needs."""
    before = await planted(either)
    carried = await pause(either.connection, either.ids["top"])
    rows = await either.connection.fetch(
        "select * from lifecycle.target where operation_id = $1", carried.operation_id
    )
    assert {row["name"] for row in rows} == CHANGED_BY_PAUSE
    for row in rows:
        was = before[row["name"]]
        assert (row["workspace_id"], row["instance_id"]) == (was["id"], was["instance_id"])
        assert (row["previous_status"], row["previous_url"]) == (was["status"], was["url"])
        assert (row["commanded"], row["outcome"]) == (True, None)
    depths = {row["name"]: row["depth"] for row in rows}
    assert depths == {"top": 0, "a": 1, "b": 2, "c": 2, "d": 3, "e": 4}


async def test_what_changed_is_told_in_order_and_cut_with_the_count_whole(forest: Forest) -> None:
    """By depth, then the name's bytes, with the earlier status, for 100 of 130."""
    top = await forest.plant("top", *(f"top/w{i:03}:degraded" for i in range(129)))
    recorded = (await pause(forest.connection, top)).recorded
    assert recorded.count == 130
    changed = TypeAdapter(list[Changed]).validate_json(recorded.changed)
    assert [one.name for one in changed] == ["top", *(f"w{i:03}" for i in range(99))]
    assert {one.previous_status for one in changed[1:]} == {"degraded"}


@pytest.mark.parametrize("action", [pause, resume])
async def test_a_command_that_finds_nothing_to_change_changes_nothing(
    forest: Forest, action: Any
) -> None:
    """Twice is once: no row, no target, and the digest of the empty set."""
    top = await forest.plant("top", "top/a")
    first = await action(forest.connection, top)
    before = await forest.snapshot()
    again = await action(forest.connection, top)
    assert (again.recorded.count, again.recorded.changed) == (0, "[]")
    assert await forest.snapshot() == before
    assert again.operation_id != first.operation_id
    assert again.recorded.tree_etag != ""


async def test_generations_grow_with_every_command(forest: Forest) -> None:
    """Whatever the command, and on whichever tree, the later one has the higher number."""
    top, other = await forest.plant("top", "top/a"), await forest.plant("other")
    first = await pause(forest.connection, top)
    generations = [
        first.recorded.generation,
        (await undo(forest.connection, top, first)).recorded.generation,
        (await pause(forest.connection, other)).recorded.generation,
        (await pause(forest.connection, forest.ids["a"])).recorded.generation,
        (await resume(forest.connection, other)).recorded.generation,
    ]
    assert generations == sorted(set(generations))
    same = [forest.ids["a"]] * len(generations)
    told = await newest(forest.connection, same, generations)
    assert told == [False, False, False, True, True]
