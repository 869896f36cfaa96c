"""contract.md, undo: what a pause changed is put back, each to what it was."""

import pytest

from tests.contract.answering import counts, orders, paused, resumed, rows_of, say
from tests.support.caller import WireCaller
from tests.support.forest import Forest

ASLEEP = ("offline", "failed", "hibernated")


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_an_undo_puts_back_each_to_what_it_was(caller: WireCaller, forest: Forest) -> None:
    """What ran gets a start command, what did not is only set back; what was paused stays so."""
    top = await forest.plant(
        "top", "top/deg:degraded", "top/pro:provisioning", "top/off:offline", "off/hib:hibernated",
        "hib/fai:failed", "top/was:paused", "top/gone:removed",
    )  # fmt: skip
    before = await forest.statuses()
    operation = await paused(caller, top)
    answer = await resumed(caller, top, undo=operation)
    assert (answer.data["resumed_count"], answer.data["not_restored"]) == (6, [])
    asleep = {name: before[name] for name in ("off", "hib", "fai", "was", "gone")}
    ran = dict.fromkeys(["top", "deg", "pro"], "provisioning")
    assert await forest.statuses() == ran | asleep
    starts = await orders(caller, answer.data["operation_id"], 3, "workspace.start")
    assert starts.keys() == ran.keys()
    await say(caller, "started", starts["top"])
    await say(caller, "start.failed", starts["deg"])
    await say(caller, "started", starts["pro"])
    (settled,) = await caller.hear("workspace.resume.settled")
    assert (settled.data["target_count"], *counts(settled)) == (6, 5, 1, 0, 0)
    await caller.all_out()
    assert len(await caller.hear("workspace.start", 3)) == 3
    assert await forest.statuses() == ran | asleep | {"deg": "paused"}


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_an_undo_of_what_did_not_run_settles_at_once(
    caller: WireCaller, forest: Forest
) -> None:
    """Where nothing has to be started there is no command, and all of it has succeeded."""
    top = await forest.plant("top:hibernated", "top/a:offline", "top/b:failed")
    before = await rows_of(forest)
    operation = await paused(caller, top)
    undone = (await resumed(caller, top, undo=operation)).data["operation_id"]
    (settled,) = await caller.hear("workspace.resume.settled", operation_id=undone)
    assert (settled.data["target_count"], *counts(settled)) == (3, 3, 0, 0, 0)
    await caller.all_out()
    assert not [one for one in caller.heard if one.type == "workspace.start"]
    assert await rows_of(forest) == before


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_an_undo_twice_changes_nothing_the_second_time(
    caller: WireCaller, forest: Forest
) -> None:
    """The second one finds nothing as the pause left it, says so, and sends no command."""
    top = await forest.plant("top", "top/a:offline", "top/b:degraded")
    operation = await paused(caller, top)
    await resumed(caller, top, undo=operation)
    await caller.hear("workspace.start", 2)
    before = await forest.snapshot()
    again = await resumed(caller, top, undo=operation)
    assert (again.data["resumed_count"], again.data["workspaces"]) == (0, [])
    assert {one["name"] for one in again.data["not_restored"]} == {"top", "a", "b"}
    undone = again.data["operation_id"]
    (settled,) = await caller.hear("workspace.resume.settled", operation_id=undone)
    assert settled.data["target_count"] == 0
    await caller.all_out()
    assert len(await caller.hear("workspace.start", 2)) == 2
    assert await forest.snapshot() == before


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_an_undo_leaves_alone_what_changed_since_and_lists_it(
    caller: WireCaller, forest: Forest
) -> None:
    """A failed stop, a later command, the platform's own hand: each is told with its reason."""
    names = ("kept", "failed", "again", "moved", "left", "erased")
    top = await forest.plant("top", *(f"top/{name}" for name in names))
    operation = await paused(caller, top)
    for name, order in (await orders(caller, operation, 7)).items():
        await say(caller, "stop.failed" if name == "failed" else "stopped", order)
    await caller.hear("workspace.pause.settled", operation_id=operation)
    await forest.connection.execute(
        "update workspaces set parent_id = null where name in ('left', 'again');"
        "update workspaces set status = 'online' where name = 'moved';"
        "delete from workspaces where name = 'erased'"
    )
    await resumed(caller, forest.ids["again"])
    await paused(caller, forest.ids["again"])
    answer = await resumed(caller, top, undo=operation)
    assert [one["name"] for one in answer.data["workspaces"]] == ["top", "kept"]
    reasons = {one["name"]: one["reason"] for one in answer.data["not_restored"]}
    assert reasons == {
        "failed": "it is no longer paused",
        "moved": "it is no longer paused",
        "again": "a later command changed it",
        "left": "it is no longer below the named workspace",
        "erased": "it no longer exists",
    }
    assert await forest.statuses() == {
        "top": "provisioning", "kept": "provisioning", "failed": "online", "moved": "online",
        "again": "paused", "left": "paused",
    }  # fmt: skip


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_an_undo_before_the_results_of_its_pause_is_not_undone_by_them(
    caller: WireCaller, forest: Forest
) -> None:
    """The pause's stops may still fail or succeed: what the undo did is newer, and stays."""
    top = await forest.plant("top", "top/a:offline", "top/b")
    operation = await paused(caller, top)
    stops = await orders(caller, operation, 3)
    answer = await resumed(caller, top, undo=operation)
    for order in stops.values():
        await say(caller, "stop.failed", order)
    (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
    assert counts(settled) == (0, 3, 0, 0)
    after = {"top": "provisioning", "a": "offline", "b": "provisioning"}
    assert await forest.statuses() == after
    undone = answer.data["operation_id"]
    starts = await orders(caller, undone, 2, "workspace.start")
    set_back = {**starts["top"], "workspace_id": str(forest.ids["a"])}
    for order in (set_back, *starts.values()):
        await say(caller, "start.failed", order)
    (ended,) = await caller.hear("workspace.resume.settled", operation_id=undone)
    assert counts(ended) == (1, 2, 0, 0)
    assert await forest.statuses() == {"top": "paused", "a": "offline", "b": "paused"}
