"""`operations`: the list, one operation, and text from outside that commands no terminal."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from consumer.operation import Operation
from consumer.store.targets import expire_targets, settle_targets
from tests.cli.conftest import Cli
from tests.store.carried import Carried, pause
from tests.support.forest import Forest
from tests.support.one import record_operation

BEGAN = datetime(2020, 5, 28, 9, 30, tzinfo=UTC)
NOBODY = "00000000-0000-4000-8000-000000000000"
HOSTILE = "[bold]\x1b]0;owned\x07\x9b31m\nsecond line\u202eback\u2028[/]:skull:"


SHOWN = "[bold]\ufffd]0;owned\ufffd\ufffd31m\ufffdsecond line\ufffdback\ufffd[/]:skull:"
COMMANDS = re.compile("\x1b[^[]|[\x00-\x09\x0b-\x1a\x7f-\x9f\u202e\u2028]")
"""What a terminal would obey, but for the colours that rich itself writes."""


async def record(forest: Forest, number: int, **changes: Any) -> UUID:
    """Record an operation of the minute `number`, refused unless it is said otherwise."""
    recorded_at = BEGAN + timedelta(minutes=number)
    row = Operation(
        operation_id=UUID(int=number), action="pause", workspace_id=None, source="/billing",
        app_id="billing", message_id=f"m-{number}", correlation_id=None, traceparent=None,
        cascade=None, undo=None, requested_by=None, reason=None, outcome="rejected", status=409,
        code="descendants_exist", deprecated=False, generation=None,
        answer_type="workspace.pause.rejected", answer=b"answer", target_count=0, open_count=0,
        recorded_at=recorded_at, deadline=recorded_at,
    )  # fmt: skip
    await record_operation(forest.connection, replace(row, **changes))
    return row.operation_id


async def half_settled(forest: Forest) -> Carried:
    """Carry a pause of four: one succeeded, one failed, one was superseded, one is open."""
    carried = await pause(forest.connection, await forest.plant("top", "top/a", "top/b", "top/c"))
    await settle_targets(
        forest.connection,
        [
            carried.result(forest.ids["top"]),
            carried.result(forest.ids["a"], "failed"),
            carried.result(forest.ids["b"], "superseded"),
        ],
    )
    return carried


def known(text: str) -> Mapping[str, str]:
    """Read what is told of one operation, by name."""
    lines = [line for line in text.splitlines() if not line.startswith(" ")]
    return {line[:12].strip(): line[14:] for line in lines}


async def test_the_list_tells_each_operation_in_a_line(cli: Cli, forest: Forest) -> None:
    """Newest first: id, time, action, workspace, who, outcome, counts, state."""
    top = await forest.plant("top")
    carried = {"outcome": "carried", "status": 200, "code": None, "workspace_id": top}
    await record(forest, 1, requested_by="ops")
    await record(forest, 2, **carried, target_count=5)
    await record(forest, 3, **carried, target_count=2, open_count=1, action="resume")
    await record(forest, 4, outcome="previewed", status=200, code=None, workspace_id=UUID(int=9))
    ran = await cli("operations")
    some, every = "carried  2 targets: 1 succeeded, 1 open", "carried  5 targets: 5 succeeded"
    refused = "rejected 409 descendants_exist"
    assert ran.code == 0
    assert ran.out.splitlines() == [
        f"{UUID(int=4)}  2020-05-28T09:34:00Z  pause  {UUID(int=9)}  billing  previewed 200",
        f"{UUID(int=3)}  2020-05-28T09:33:00Z  resume  top  billing  {some}  open",
        f"{UUID(int=2)}  2020-05-28T09:32:00Z  pause  top  billing  {every}  settled after 0.0 s",
        f"{UUID(int=1)}  2020-05-28T09:31:00Z  pause  -  billing (ops)  {refused}",
    ]


async def test_a_list_without_operations_is_empty(cli: Cli) -> None:
    """Where nothing has been asked for yet there is nothing to list, and no error."""
    listed, as_json = await cli("operations"), await cli("operations", "--json")
    assert (listed.code, listed.out) == (0, "")
    assert (as_json.code, json.loads(as_json.out)) == (0, [])


async def test_the_list_can_be_narrowed(cli: Cli, forest: Forest) -> None:
    """--limit, --open and --workspace, alone and together."""
    carried = await half_settled(forest)
    below = forest.ids["a"]
    await record(forest, 1, workspace_id=below)
    await record(forest, 2)

    async def listed(*options: object) -> list[str]:
        found = json.loads((await cli("operations", "--json", *options)).out)
        return [one["operation_id"] for one in found]

    newest, named = str(carried.operation_id), str(UUID(int=1))
    assert await listed("--limit", 2) == [newest, str(UUID(int=2))]
    assert await listed("--open") == [newest]
    assert await listed("--workspace", below) == [newest, named]
    assert await listed("--workspace", below, "--open") == [newest]
    assert await listed("--workspace", NOBODY) == []


async def test_one_operation_is_told_whole(cli: Cli, forest: Forest) -> None:
    """The command, the outcome, the counts, and the targets that are not well."""
    carried = await half_settled(forest)
    ran = await cli("operations", carried.operation_id)
    told = known(ran.out)
    assert ran.code == 0
    assert told["operation"] == str(carried.operation_id)
    assert told["workspace"] == f"top  {forest.ids['top']}"
    assert (told["app id"], told["source"], told["message id"]) == ("tests", "tests", "m")
    assert (told["cascade"], told["outcome"], told["settled"]) == ("true", "carried", "not yet")
    assert told["state"] == "open"
    assert told["counts"] == "4 targets: 1 succeeded, 1 failed, 1 superseded, 1 open"
    generation = f"generation {carried.recorded.generation}"
    assert [line for line in ran.out.splitlines() if line.startswith("  ")] == [
        f"  a  {forest.ids['a']}  i-a  {generation}  failed  refused: no",
        f"  c  {forest.ids['c']}  i-c  {generation}  open",
    ]


async def test_a_refused_one_has_its_command_and_no_counts(cli: Cli, forest: Forest) -> None:
    """Who asked, why and for what is kept of a refused command too."""
    operation_id = await record(
        forest, 1, reason="budget", requested_by="ops", undo=UUID(int=7), cascade=False
    )
    told = known((await cli("operations", operation_id)).out)
    assert told == {
        "operation": str(operation_id),
        "action": "pause",
        "workspace": "unknown",
        "cascade": "false",
        "undo": str(UUID(int=7)),
        "app id": "billing",
        "source": "/billing",
        "message id": "m-1",
        "requested by": "ops",
        "reason": "budget",
        "outcome": "rejected 409 descendants_exist",
        "recorded": "2020-05-28T09:31:00Z",
    }


async def test_all_lists_every_target(cli: Cli, forest: Forest) -> None:
    """--all has those that succeeded too, in the contract's order."""
    carried = await half_settled(forest)
    ran = await cli("operations", carried.operation_id, "--all", "--json")
    found = json.loads(ran.out)
    outcomes = {one["name"]: one["outcome"] for one in found["targets"]}
    assert outcomes == {"top": "succeeded", "a": "failed", "b": "superseded", "c": None}
    assert list(outcomes) == ["top", "a", "b", "c"]
    shown = await cli("operations", carried.operation_id, "--all")
    assert f"  top  {forest.ids['top']}" in shown.out
    assert shown.out.splitlines()[-1] == "  4 in all"


async def test_more_than_a_hundred_are_cut_and_counted(cli: Cli, forest: Forest) -> None:
    """The list of what is not well ends at 100 and says of how many; --all does not end."""
    top = await forest.plant("top", *(f"top/w{number:03}" for number in range(120)))
    carried = await pause(forest.connection, top, seconds=-1)
    await expire_targets(forest.connection)
    shown = await cli("operations", carried.operation_id)
    lines = [line for line in shown.out.splitlines() if line.startswith("  ")]
    generation = f"generation {carried.recorded.generation}"
    assert lines[99:] == [
        f"  w098  {forest.ids['w098']}  i-w098  {generation}  timed out",
        "  ... 100 of 121 that failed, timed out or are open",
    ]
    cut = json.loads((await cli("operations", carried.operation_id, "--json")).out)
    whole = json.loads((await cli("operations", carried.operation_id, "--json", "--all")).out)
    assert (len(cut["targets"]), cut["targets_truncated"]) == (100, True)
    assert (len(whole["targets"]), whole["targets_truncated"]) == (121, False)


async def test_json_has_a_stable_shape(cli: Cli, forest: Forest) -> None:
    """The list and the one have the same members, times in RFC 3339, and the one its targets."""
    carried = await half_settled(forest)
    (listed,) = json.loads((await cli("operations", "--json")).out)
    one = json.loads((await cli("operations", carried.operation_id, "--json")).out)
    assert {name: one[name] for name in listed} == listed
    assert set(one) - set(listed) == {"targets", "targets_truncated"}
    assert list(listed) == [
        "operation_id", "action", "workspace_id", "name", "source", "app_id", "message_id",
        "correlation_id", "cascade", "undo", "requested_by", "reason", "outcome", "status", "code",
        "deprecated", "target_count", "succeeded_count", "failed_count", "superseded_count",
        "timed_out_count", "open_count", "recorded_at", "deadline", "settled_at",
    ]  # fmt: skip
    assert list(one["targets"][0]) == [
        "workspace_id", "name", "instance_id", "generation", "previous_status", "commanded",
        "outcome", "code", "detail", "settled_at",
    ]  # fmt: skip
    assert listed["recorded_at"].endswith("Z")
    assert datetime.fromisoformat(listed["recorded_at"]).tzinfo == UTC


async def test_an_unknown_operation_is_one_line_and_four(cli: Cli) -> None:
    """An id that nobody gave out is named, on standard error alone."""
    ran = await cli("operations", NOBODY)
    assert (ran.code, ran.out) == (4, "")
    assert ran.err == f"workspace-lifecycle: there is no operation {NOBODY}\n"


async def test_an_unmigrated_database_is_one_line(cli: Cli, platform_database_url: str) -> None:
    """Where there is no history yet, the line names the command that makes room for it."""
    ran = await cli("operations", "--database-url", platform_database_url)
    assert (ran.code, ran.out) == (1, "")
    assert "run `workspace-lifecycle migrate`" in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize("color", [None, "1"], ids=["piped", "coloured"])
async def test_text_from_outside_commands_no_terminal(
    cli: Cli, forest: Forest, color: str | None
) -> None:
    """Names, reasons and details are shown as they are written, less what a terminal would obey."""
    carried = await half_settled(forest)
    await forest.connection.execute("update lifecycle.target set name = $1, detail = $1", HOSTILE)
    await forest.connection.execute("update workspaces set name = $1", HOSTILE)
    await forest.connection.execute(
        "update lifecycle.operation set reason = $1, requested_by = $1, app_id = $1", HOSTILE
    )
    listed = await cli("operations", FORCE_COLOR=color)
    one = await cli("operations", carried.operation_id, FORCE_COLOR=color)
    assert len(listed.out.splitlines()) == 1
    for text in (listed.out, one.out):
        assert not COMMANDS.search(text)
        assert SHOWN in text
    as_json = await cli("operations", carried.operation_id, "--json")
    assert json.loads(as_json.out)["reason"] == HOSTILE
    assert as_json.out.isascii()
