"""`replay`, its refusals, and the story that `operations --trail` tells."""

import asyncio
import json
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.conftest import Cli
from tests.support.caller import WireCaller
from tests.support.forest import Forest
from tests.support.program import environment


@pytest.mark.usefixtures("program")
async def test_a_trail_is_replayed_verified_and_told(
    cli: Cli, caller: WireCaller, forest: Forest, bucket_url: str, tmp_path: Path
) -> None:
    """Into a file and a queue, from where it ended; a story with who and why; a verdict."""
    top = await forest.plant("top", "top/below")
    refused = await caller.pause(top)
    told = await caller.pause(top, cascade=True, reason="budget", requested_by="kim")
    operation_id = told.data["operation_id"]
    await caller.hear("workspace.pause.settled", operation_id=operation_id)
    await caller.all_out()
    archive = {"LIFECYCLE_ARCHIVE_URL": bucket_url}
    assert (await cli("archive", "--once", **archive)).code == 0

    whole, state = tmp_path / "whole", tmp_path / "state"
    ran = await cli("replay", "--into", whole, "--state", state, **archive)
    assert ran.code == 0, ran.err
    lines = whole.read_bytes().splitlines(keepends=True)
    assert ran.err == f"{len(lines)} messages replayed into {whole}\n"
    again = await cli("replay", "--into", whole, "--state", state, **archive)
    assert (again.code, whole.read_bytes()) == (0, b"".join(lines)), again.err
    twice = await cli("replay", "--into", whole, **archive)
    assert (twice.code, "exists" in twice.err) == (1, True)

    mine = await cli("replay", "--operation", operation_id, "--into", "stdout", **archive)
    kinds = [json.loads(line)["routing_key"] for line in mine.out.splitlines()]
    assert kinds[0] == "workspace.pause"
    assert sorted(kinds[1:]) == [
        *["workspace.pause.settled", "workspace.pause.summary"],
        *["workspace.stop"] * 2,
        *["workspace.stopped"] * 2,
    ]

    await caller.channel.declare_queue("mine")
    into = await cli("replay", "--type", refused.type, "--into", "queue:mine", **archive)
    assert into.err.endswith("2 messages replayed into queue:mine\n")
    replayed = await caller.take("mine")
    assert replayed.message_id == refused.event["id"]
    assert replayed.headers["x-original-exchange"] == "workspace.events"

    story = (await cli("operations", operation_id, "--trail", **archive)).out.splitlines()
    assert len(story) == 7
    assert f"tests  workspace.pause {top} cascade=true  for kim: budget" in story[0]
    assert any("workspace.pause.summary: 2 paused" in line for line in story)
    assert sum("i-below" in line for line in story) == 1
    assert "workspace.pause.settled: 2 succeeded" in story[-1]

    fine = await cli("replay", "--verify", **archive)
    assert (fine.code, "nothing found" in fine.out) == (0, True), fine.out
    await forest.connection.execute("update workspaces set status = 'online' where id = $1", top)
    found = await cli("replay", "--verify", "--json", **archive)
    assert found.code == 6
    (finding,) = json.loads(found.out)["findings"]
    assert finding["kind"] == "other-status"
    assert (await cli("archive", "--repair", **archive)).out == "0 operations repaired\n"


async def test_commands_are_executed_again_only_when_it_was_typed(
    cli: Cli, caller: WireCaller, forest: Forest, amqp_url: str, database_url: str
) -> None:
    """A command that the database lost is carried out; one that it knows stays without effect."""
    top = await forest.plant("top")
    await caller.send("workspace.pause", {"workspace_id": top}, message_id="m")
    await caller.send("workspace.stop", {"workspace_id": top}, message_id="n")
    queue = await caller.channel.get_queue("lifecycle.commands")
    await queue.purge()
    execute = ("replay", "--into", "exchange:workspace.commands", "--type", "workspace.pause")
    for missing in (execute[:3], (*execute[:3], "--execute"), execute):
        ran = await cli(*missing)
        assert ran.code == 2, ran
    wrong = await typed("yes", amqp_url, database_url, *execute, "--execute")
    assert (wrong[0], "not confirmed" in wrong[1]) == (2, True)
    right = await typed("workspace.commands", amqp_url, database_url, *execute, "--execute")
    assert (right[0], "1 message replayed" in right[1]) == (0, True), right
    taken = await caller.take("lifecycle.commands")
    assert (taken.message_id, taken.headers["x-original-routing-key"]) == ("m", "workspace.pause")
    await forest.connection.execute("insert into lifecycle.pruning values (now())")
    pruned = await cli(*execute, "--execute")
    assert (pruned.code, "is pruned" in pruned.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say --into"),
        (("--into", "queue:lifecycle.commands"), "Take a queue of your own"),
        (("--into", "queue:lifecycle.executor"), "Take a queue of your own"),
        (("--into", "queue:"), "Take a queue of your own"),
        (("--into", "exchange:"), "an exchange of your own"),
        (("--into", "exchange:workspace.events"), "an exchange of your own"),
        (("--into", "exchange:lifecycle.dead-letter"), "an exchange of your own"),
        (
            ("--into", "exchange:workspace.commands", "--execute", "--type", "workspace.stop"),
            "only --type workspace.pause or --type workspace.resume",
        ),
        (("--into", "stdout", "--execute"), "--execute goes with"),
        (("--into", "stdout", "--source", "s3"), "LIFECYCLE_ARCHIVE_URL is not set"),
        (("--into", "stdout", "--from", "noon"), "is no time such as"),
        (("--verify", "--into", "stdout"), "--verify reads the whole trail"),
    ],
)
async def test_what_cannot_be_asked_is_refused(
    cli: Cli, arguments: tuple[str, ...], said: str
) -> None:
    """With exit code 2 and the way out, before anything is read."""
    ran = await cli("replay", *arguments)
    assert ran.code == 2
    assert said in " ".join(ran.err.split())


@pytest.mark.usefixtures("caller")
async def test_what_is_not_there_is_named(cli: Cli) -> None:
    """A queue that nobody declared; an operation that the trail does not tell of."""
    ran = await cli("replay", "--into", "queue:none")
    assert (ran.code, ran.err) == (
        1, "workspace-lifecycle: there is no queue 'none': declare it first\n",
    )  # fmt: skip
    unknown = uuid4()
    told = await cli("operations", unknown, "--trail")
    assert (told.code, told.err) == (
        4, f"workspace-lifecycle: the trail has nothing of {unknown}\n",
    )  # fmt: skip


async def typed(
    text: str, amqp_url: str, database_url: str, *arguments: str
) -> tuple[int | None, str]:
    """Run a verb, and type one line."""
    urls = {"LIFECYCLE_AMQP_URL": amqp_url, "LIFECYCLE_DATABASE_URL": database_url}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "consumer", *arguments),
        env=environment(**urls),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await asyncio.wait_for(process.communicate(text.encode() + b"\n"), 60)
    return process.returncode, err.decode()
