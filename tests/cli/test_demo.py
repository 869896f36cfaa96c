"""`demo`: the incident, on whatever stack there is."""

import asyncio
import re
from pathlib import Path

import asyncpg

from consumer.devstack.management import call
from consumer.devstack.stack import Stack
from tests.cli.conftest import Cli
from tests.support.terminal import at_a_terminal


def servers(stack: Stack) -> dict[str, str]:
    """Have the demo play on servers that are there."""
    return {
        "LIFECYCLE_AMQP_URL": stack.amqp_url,
        "LIFECYCLE_MANAGEMENT_URL": stack.management_url,
        "LIFECYCLE_DATABASE_URL": stack.database_url,
        "AWS_ENDPOINT_URL": stack.aws_url,
    }


async def test_the_demo_plays_the_incident_and_leaves_nothing_behind(
    cli: Cli, stack: Stack, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Rejected with the list, carried out on demand, undone, repeated, deprecated; then gone."""
    ran = await cli("demo", **servers(stack))
    assert ran.code == 0, ran.err
    told = [
        "409 descendants_exist",
        "5 would be paused",
        "EC2 says: stopped, stopped, stopped, stopped, stopped",
        "word for word; no second stop",
        "EC2 says: running, running, running, running, running",
        "X-Molecule-Implicit-Cascade: deprecated",
    ]
    places = [ran.out.find(text) for text in told]
    assert places == sorted(places)
    assert min(places) > 0
    vhosts = await asyncio.to_thread(call, stack.management_url, "GET", "vhosts")
    databases = await connection.fetch("select datname as name from pg_database")
    of_others = {one["name"] for one in [*vhosts, *databases]}
    assert not [name for name in of_others if str(ran.pid) in re.split("[-_]", name)]


async def test_what_is_kept_can_be_used_as_it_is_printed(cli: Cli, stack: Stack) -> None:
    """The lines for another shell are all that the verbs need there; Ctrl-C ends it."""
    async with at_a_terminal("demo", "--keep", **servers(stack)) as screen:
        await screen.shows("Ctrl-C ends it all")
        assert "make demo KEEP=1" not in screen.text
        printed = dict(re.findall(r'^export (\w+)="(.*)"\r$', screen.text, re.MULTILINE))
        folder = Path(printed.pop("PATH").removesuffix(":$PATH"))
        ran = await cli("doctor", **printed)
        screen.interrupt()
        assert await screen.ended() == 0
    assert (folder / "workspace-lifecycle").is_file()
    assert (ran.code, "wrong" in ran.out) == (0, False)
