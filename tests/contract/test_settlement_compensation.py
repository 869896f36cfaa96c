"""contract.md, compensation: what failed is what it was, where nothing newer stands."""

import pytest

from tests.broker.tools import Facts
from tests.contract.answering import counts, orders, paused, resumed, rows_of, say
from tests.support.caller import WireCaller
from tests.support.forest import Forest

ASLEEP = ("offline", "failed", "hibernated")


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_a_failed_stop_gives_back_each_status(caller: WireCaller, forest: Forest) -> None:
    """Whatever it was before the pause, and nothing else in its row changes."""
    await forest.plant("top", *(f"top/{status}:{status}" for status in ASLEEP), "top/degraded")
    await forest.connection.execute(
        "update workspaces set status = 'degraded' where name = 'degraded'"
    )
    before = await rows_of(forest)
    operation = await paused(caller, forest.ids["top"])
    assert set((await forest.statuses()).values()) == {"paused"}
    for order in (await orders(caller, operation, 5)).values():
        await say(caller, "stop.failed", order, code="broken", detail="it hums")
    (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
    assert counts(settled) == (0, 5, 0, 0)
    failures = [(one["name"], one["code"], one["detail"]) for one in settled.data["failures"]]
    names = ["top", *sorted([*ASLEEP, "degraded"])]
    assert failures == [(name, "broken", "it hums") for name in names]
    assert await rows_of(forest) == before


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_a_failed_start_is_paused_again(caller: WireCaller, forest: Forest) -> None:
    """Of two starts one failed: it is paused; the other is left to whoever reports it online."""
    top = await forest.plant("top:paused", "top/a:paused")
    operation = (await resumed(caller, top, cascade=True)).data["operation_id"]
    starts = await orders(caller, operation, 2, "workspace.start")
    await say(caller, "start.failed", starts["a"])
    await say(caller, "started", starts["top"])
    (settled,) = await caller.hear("workspace.resume.settled", operation_id=operation)
    assert counts(settled) == (1, 1, 0, 0)
    assert await forest.statuses() == {"top": "provisioning", "a": "paused"}


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_a_workspace_that_is_gone_or_removed_is_counted_and_not_brought_back(
    caller: WireCaller, forest: Forest
) -> None:
    """What the platform did since stands, and the operation settles all the same."""
    top = await forest.plant("top", "top/erased", "top/removed", "top/moved")
    operation = await paused(caller, top)
    stops = await orders(caller, operation, 4)
    await forest.connection.execute(
        "update workspaces set status = 'removed' where name = 'removed';"
        "update workspaces set status = 'offline' where name = 'moved';"
        "delete from workspaces where name = 'erased'"
    )
    for order in stops.values():
        await say(caller, "stop.failed", order)
    (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
    assert counts(settled) == (0, 4, 0, 0)
    names = [one["name"] for one in settled.data["failures"]]
    assert names == ["top", "erased", "moved", "removed"]
    assert await forest.statuses() == {"top": "online", "removed": "removed", "moved": "offline"}


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_only_the_newest_generation_is_given_back(
    caller: WireCaller, forest: Forest, facts: Facts
) -> None:
    """After pause, resume, pause the first two may fail as they like; the third gives back."""
    top = await forest.plant("top")
    first = await orders(caller, await paused(caller, top), 1)
    resume = (await resumed(caller, top)).data["operation_id"]
    second = await orders(caller, resume, 1, "workspace.start")
    operation = await paused(caller, top)
    third = await orders(caller, operation, 1)
    await say(caller, "stop.failed", first["top"])
    await say(caller, "start.failed", second["top"])
    await facts.wait("operation.settled", 2)
    assert await forest.statuses() == {"top": "paused"}
    await say(caller, "stop.failed", third["top"])
    await caller.hear("workspace.pause.settled", operation_id=operation)
    assert await forest.statuses() == {"top": "provisioning"}
