"""`pause` and `resume`: exit codes, the list, what to type next, JSON, waiting."""

import json
import re
from collections.abc import Callable

import pytest

from consumer.settings import Settings
from tests.cli.conftest import Cli
from tests.support.caller import WireCaller
from tests.support.forest import Forest
from tests.support.program import running


@pytest.mark.usefixtures("program")
async def test_a_rejection_prints_the_tree_and_what_to_type_next(cli: Cli, forest: Forest) -> None:
    """A 409 ends with exit code 9, the descendants as a tree, and the line that includes them."""
    top = await forest.plant("top", "top/a", "a/deep:degraded")
    ran = await cli("pause", top)
    assert ran.code == 9
    assert "409 descendants_exist" in ran.out
    assert f"└── deep  degraded  {forest.ids['deep']}" in ran.out
    command = ran.out.strip().splitlines()[-1].split()
    assert command[:4] == ["workspace-lifecycle", "pause", str(top), "--cascade"]
    assert "\x1b" not in ran.out
    again = await cli(*command[1:])
    assert (again.code, "3 paused" in again.out) == (0, True)


@pytest.mark.usefixtures("program")
async def test_the_exit_code_tells_the_status(cli: Cli, forest: Forest) -> None:
    """0 done, 4 not found, 9 refused by the tree, 12 by a condition, 2 malformed."""
    top = await forest.plant("top", "top/a")
    codes = {
        "no such": (await cli("pause", "00000000-0000-4000-8000-000000000000")).code,
        "never below": (await cli("pause", top, "--no-cascade")).code,
        "another tree": (await cli("pause", top, "--cascade", "--if-match", "x")).code,
        "cap": (await cli("pause", top, "--cascade", "--max-affected", "1")).code,
        "dry run": (await cli("pause", top, "--cascade", "--dry-run")).code,
        "not a uuid": (await cli("pause", "top")).code,
        "undo of nothing": (await cli("resume", top, "--undo", top)).code,
        "done": (await cli("pause", top, "--cascade")).code,
    }
    assert codes == {
        "no such": 4,
        "never below": 9,
        "another tree": 12,
        "cap": 9,
        "dry run": 0,
        "not a uuid": 2,
        "undo of nothing": 2,
        "done": 0,
    }


@pytest.mark.usefixtures("program")
async def test_json_is_the_events_data(cli: Cli, forest: Forest) -> None:
    """--json prints the data of the event and nothing else."""
    top = await forest.plant("top", "top/a")
    refused = await cli("pause", top, "--json")
    carried = await cli("pause", top, "--cascade", "--reason", "why", "--json")
    assert json.loads(refused.out)["code"] == "descendants_exist"
    assert json.loads(carried.out)["paused_count"] == 2
    assert json.loads(carried.out)["reason"] == "why"


@pytest.mark.usefixtures("program")
async def test_the_same_message_id_gets_the_same_answer(cli: Cli, forest: Forest) -> None:
    """--message-id sends a command again without effect."""
    top = await forest.plant("top")
    first = await cli("pause", top, "--message-id", "again", "--json")
    second = await cli("pause", top, "--message-id", "again", "--json")
    assert first.out == second.out


@pytest.mark.usefixtures("program")
async def test_wait_ends_with_the_settlement(cli: Cli, forest: Forest) -> None:
    """--wait goes on until every machine has an outcome."""
    top = await forest.plant("top", "top/a")
    ran = await cli("pause", top, "--cascade", "--wait")
    assert ran.code == 0
    assert "settled: 2 succeeded, 0 failed, 0 superseded, 0 timed out" in ran.out


@pytest.mark.usefixtures("program")
@pytest.mark.settings(simulated_failures=1.0)
async def test_wait_tells_failures_by_its_exit_code(cli: Cli, forest: Forest) -> None:
    """A machine that could not be stopped makes --wait end with 5, naming it."""
    top = await forest.plant("top")
    ran = await cli("pause", top, "--wait")
    assert ran.code == 5
    assert "top  simulated" in ran.out


async def test_no_answer_is_six(caller: WireCaller, cli: Cli, forest: Forest) -> None:
    """Without a running program the caller learns that the command may still be carried out."""
    await caller.channel.declare_queue("lifecycle.commands", passive=True)
    top = await forest.plant("top")
    ran = await cli("pause", top, "--timeout", "0.5")
    assert ran.code == 6
    assert "same message id" in ran.err


async def test_a_vhost_without_the_program_is_named(cli: Cli, forest: Forest) -> None:
    """Where nobody has ever declared the topology, the error says what to start."""
    top = await forest.plant("top")
    ran = await cli("pause", top)
    assert ran.code == 1
    assert "workspace-lifecycle run" in ran.err


async def test_a_vhost_without_the_program_is_told_in_one_line(cli: Cli) -> None:
    """The wrong vhost in the URL is the likely reason, and nothing else is printed."""
    ran = await cli("pause", "00000000-0000-4000-8000-000000000000")
    assert ran.code == 1
    assert [line[:38] for line in ran.err.splitlines()] == [
        "workspace-lifecycle: nobody listens to"
    ]


async def test_who_gets_no_answer_is_told_how_to_ask_again(
    cli: Cli, forest: Forest, declared_url: str, settings_of: Callable[..., Settings]
) -> None:
    """The line that is said to be safe to send again is: it has one effect, and the answer."""
    top = await forest.plant("top")
    ran = await cli("pause", top, "--timeout", "1", LIFECYCLE_AMQP_URL=declared_url)
    assert (ran.code, "doctor" in ran.err) == (6, True)
    (again,) = re.findall(r"--message-id \S+(?=\.)", ran.err)
    async with running(settings_of()):
        answered = await cli("pause", top, *again.split(), LIFECYCLE_AMQP_URL=declared_url)
    assert (answered.code, "1 paused" in answered.out) == (0, True)
    count = await forest.connection.fetchval("select count(*) from lifecycle.operation")
    assert count == 1
