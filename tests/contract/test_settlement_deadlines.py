"""contract.md, deadlines: what came too late still corrects, and is told."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from consumer import app
from consumer.settings import Settings
from tests.broker.tools import Facts
from tests.contract.answering import (
    Order,
    corrected,
    counts,
    orders,
    ours,
    paused,
    resumed,
    rows_of,
    say,
)
from tests.support.caller import WireCaller
from tests.support.forest import Forest
from tests.support.program import process, running

ASLEEP = ("offline", "failed", "hibernated")


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none", settle_timeout=0.5)
async def test_what_passed_its_deadline_is_caused_by_the_command(
    caller: WireCaller, forest: Forest
) -> None:
    """A settlement without a last result follows from the command itself."""
    top = await forest.plant("top")
    identity = str(uuid4())
    answer = await caller.ask("workspace.pause", {"workspace_id": top}, message_id=identity)
    operation = answer.data["operation_id"]
    (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
    assert counts(settled) == (0, 0, 0, 1)
    assert settled.event["causationid"] == settled.event["correlationid"] == identity


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none", settle_timeout=0.5)
async def test_late_results_correct_the_table_and_are_told(
    caller: WireCaller, forest: Forest, facts: Facts
) -> None:
    """What was heard after the deadline leaves timed_out_count and gives back what it must."""
    top = await forest.plant("top", "top/a:degraded", "top/b:hibernated", "b/c")
    before = await rows_of(forest)
    operation = await paused(caller, top, reason="why", requested_by="who")
    stops = await orders(caller, operation, 4)
    (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
    assert counts(settled) == (0, 0, 0, 4)
    late = {
        await say(caller, "stop.failed", stops["b"], detail="asleep"),
        await say(caller, "stopped", stops["top"], detail="at last"),
        await say(caller, "stop.failed", stops["a"]),
        await say(caller, "stop.failed", stops["c"], code="superseded"),
    }
    events = await corrected(caller, operation, 4)
    told = {one["name"]: one for event in events for one in event.data["corrections"]}
    shape = ("workspace_id", "outcome", "detail", "restored_status")
    assert {name: tuple(one[key] for key in shape) for name, one in told.items()} == {
        "top": (str(top), "succeeded", "at last", None),
        "a": (str(forest.ids["a"]), "failed", None, "degraded"),
        "b": (str(forest.ids["b"]), "failed", "asleep", "hibernated"),
        "c": (str(forest.ids["c"]), "superseded", None, None),
    }
    assert (told["a"]["code"], told["top"]["code"]) == ("refused", None)
    assert counts(events[-1]) == (1, 2, 1, 0)
    assert {one.event["causationid"] for one in events} <= late
    for event in events:
        expected = {"reason": "why", "requested_by": "who", "status": 200, "target_count": 4}
        assert {key: event.data[key] for key in expected} == expected
        assert event.event["correlationid"] == settled.event["correlationid"]
    await _again(caller, facts, stops)
    await caller.all_out()
    assert len(await corrected(caller, operation, 4)) == len(events)
    assert ours(caller, operation).count("workspace.pause.settled") == 1
    statuses = {"top": "paused", "a": "degraded", "b": "hibernated", "c": "paused"}
    assert await forest.statuses() == statuses
    changed = {str(forest.ids["top"]), str(forest.ids["c"])}
    rows = zip(before, await rows_of(forest), strict=True)
    assert {json.loads(was[0])["id"] for was, row in rows if was != row} == changed


async def _again(caller: WireCaller, facts: Facts, stops: Mapping[str, Order]) -> None:
    """Say it all once more, and the opposite too."""
    for order in stops.values():
        await say(caller, "stopped", order)
        await say(caller, "stop.failed", order)
    await facts.wait("result.taken", 3 * len(stops))


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none", settle_timeout=0.5)
async def test_each_correction_has_an_id_of_its_own(caller: WireCaller, forest: Forest) -> None:
    """Corrected events that come one after the other are told apart by whoever has seen one."""
    top = await forest.plant("top", *(f"top/w{i}" for i in range(4)))
    operation = await paused(caller, top)
    stops = await orders(caller, operation, 5)
    await caller.hear("workspace.pause.settled", operation_id=operation)
    caused = []
    for order in stops.values():
        caused.append(await say(caller, "stopped", order))
        await corrected(caller, operation, len(caused))
    events = await corrected(caller, operation, 5)
    assert [one.event["causationid"] for one in events] == caused
    assert [one.data["timed_out_count"] for one in events] == [4, 3, 2, 1, 0]
    assert [one.data["succeeded_count"] for one in events] == [1, 2, 3, 4, 5]
    ids = [one.event["id"] for one in caller.heard if one.event.get("operationid") == operation]
    assert len(ids) == len(set(ids))
    assert [one.message.message_id for one in events] == [one.event["id"] for one in events]


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none", settle_timeout=0.5)
async def test_a_late_failure_gives_nothing_back_where_a_newer_command_stands(
    caller: WireCaller, forest: Forest
) -> None:
    """The correction is told all the same, and says that it restored nothing."""
    top = await forest.plant("top")
    operation = await paused(caller, top)
    stops = await orders(caller, operation, 1)
    await caller.hear("workspace.pause.settled", operation_id=operation)
    await resumed(caller, top)
    await say(caller, "stop.failed", stops["top"])
    (event,) = await corrected(caller, operation, 1)
    (correction,) = event.data["corrections"]
    assert (correction["outcome"], correction["restored_status"]) == ("failed", None)
    assert await forest.statuses() == {"top": "provisioning"}


@pytest.mark.parametrize("roles", [app.ROLES, ("commands", "relay", "settlement")])
async def test_an_executor_that_does_not_answer_stops_nothing_else(
    amqp_url: str, database_url: str, caller: WireCaller, forest: Forest, roles: Sequence[str]
) -> None:
    """Slow beyond every deadline, or not there: commands are answered, and the end is told."""
    top, other = (
        await forest.plant("top", *(f"top/w{i}" for i in range(29))),
        await forest.plant("o"),
    )
    settings = {"LIFECYCLE_SIMULATED_DELAY": "3600", "LIFECYCLE_SETTLE_TIMEOUT": "2"}
    async with process(amqp_url, database_url, roles=",".join(roles), **settings) as program:
        await program.until("program.started")
        operation = await paused(caller, top)
        await orders(caller, operation, 30)
        assert (await caller.pause(top)).data["paused_count"] == 0
        assert await paused(caller, other) != operation
        (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
        assert counts(settled) == (0, 0, 0, 30)
        assert (await caller.pause(uuid4())).data["code"] == "workspace_not_found"


async def test_results_that_race_the_deadline_are_counted_once(
    caller: WireCaller, forest: Forest, facts: Facts, settings_of: Callable[..., Settings]
) -> None:
    """Just in time or just too late, under two programs: each operation settles exactly once."""
    tops = [await forest.plant(f"t{i}", f"t{i}/c{i}") for i in range(30)]
    settings = settings_of(executor="none", settle_timeout=1.0)
    async with running(settings), running(settings):
        operations = [await paused(caller, top) for top in tops]
        stops = [await orders(caller, one, 2) for one in operations]
        first = (await caller.hear("workspace.stop"))[0].data["deadline"]
        await _until(datetime.fromisoformat(first) - timedelta(milliseconds=20))
        for order in (order for both in stops for order in both.values()):
            await say(caller, "stopped", order)
        await facts.wait("result.taken", 2 * len(tops))
        await caller.hear("workspace.pause.settled", len(tops))
        await caller.all_out()
    settled = {one.data["operation_id"]: one for one in caller.heard if "settled" in one.type}
    assert len([one for one in caller.heard if one.type.endswith("settled")]) == len(tops)
    for operation in operations:
        late = settled[operation].data["timed_out_count"]
        assert counts(settled[operation]) == (2 - late, 0, 0, late)
        events = await corrected(caller, operation, late)
        assert sum(len(one.data["corrections"]) for one in events) == late
        assert not late or counts(events[-1]) == (2, 0, 0, 0)


async def _until(moment: datetime) -> None:
    """Let time pass: a deadline is nothing that could be heard coming."""
    left = moment - datetime.now(moment.tzinfo)
    await asyncio.sleep(max(left.total_seconds(), 0))
