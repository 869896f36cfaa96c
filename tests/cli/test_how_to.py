"""docs/how-to.md: what it says of a lost broker and of a lost database is what happens."""

import shlex
from collections.abc import Callable

import asyncpg

from consumer.devstack.lease import database, vhost
from consumer.devstack.stack import Stack
from consumer.settings import Settings
from tests.cli.conftest import Cli
from tests.cli.test_replay import typed
from tests.contract.answering import paused
from tests.support.caller import WireCaller
from tests.support.documented import block
from tests.support.forest import Forest
from tests.support.program import running

Make = Callable[..., Settings]
COPIED = "id, name, parent_id, status, url, instance_id"


async def test_after_losing_the_broker(
    cli: Cli, settings_of: Make, stack: Stack, forest: Forest, caller: WireCaller
) -> None:
    """Stops that lay there time out; undo and the pause once more give new orders."""
    top = await forest.plant("top", "top/below")
    async with running(settings_of(settle_timeout=1), ("commands", "relay")):
        operation = await paused(caller, top)
        await caller.all_out()
    with vhost(stack) as url:
        broker = {"LIFECYCLE_AMQP_URL": url}
        assert (await cli("declare", **broker)).code == 0
        assert (await cli("doctor", LIFECYCLE_EXECUTOR="simulated", **broker)).code == 0
        async with running(settings_of(amqp_url=url)):
            watched = await cli("watch", operation, **broker)
            assert (watched.code, "2 timed out" in watched.out) == (5, True), watched.out
            undone = await cli("resume", top, "--undo", operation, "--wait", **broker)
            again = await cli("pause", top, "--cascade", "--wait", **broker)
    for ran in (undone, again):
        assert (ran.code, "settled: 2 succeeded" in ran.out) == (0, True), ran.err


async def test_after_losing_the_database(
    settings_of: Make,
    stack: Stack,
    enum_template: str,
    cli: Cli,
    amqp_url: str,
    forest: Forest,
    caller: WireCaller,
) -> None:
    """What the backup has forgotten is named, and carried out again; its late stop is parked."""
    top = await forest.plant("top", "top/below")
    rows = [tuple(row) for row in await forest.connection.fetch(f"select {COPIED} from workspaces")]
    async with running(settings_of(), ("commands", "relay")):
        operation = await paused(caller, top)
        await caller.all_out()
    with database(stack, enum_template) as url:
        restored = await asyncpg.connect(url)
        await restored.executemany(
            f"insert into workspaces ({COPIED}) values ($1, $2, $3, $4, $5, $6)", rows
        )
        verified = await cli("replay", "--verify", LIFECYCLE_DATABASE_URL=url)
        assert verified.code == 6
        assert f"unknown-operation  operation {operation} is in the trail" in verified.out
        async with running(settings_of(database_url=url)):
            _, *execute = shlex.split(block("sh", "--execute", "how-to.md").replace("\\\n", ""))
            code, said = await typed("workspace.commands", amqp_url, url, *execute)
            assert code == 0, said
            (settled,) = await caller.hear("workspace.pause.settled")
        letters = await cli("dead-letters", "list", "--reason", "fence")
        found = await restored.fetch("select status::text from workspaces")
        await restored.close()
    assert settled.data["succeeded_count"] == 2
    assert settled.data["operation_id"] != operation
    assert [row[0] for row in found] == ["paused"] * 2
    assert letters.err == "2 dead letters\n", letters
