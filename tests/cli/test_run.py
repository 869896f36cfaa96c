"""`run` refuses what it cannot run on, in one line that says what to do."""

import asyncio
import json

import aio_pika
import pytest

from schemas.topology import QUEUES
from tests.cli.conftest import Cli


async def test_missing_settings_are_named(cli: Cli) -> None:
    """Each missing variable is named."""
    ran = await cli("run", LIFECYCLE_AMQP_URL=None, LIFECYCLE_DATABASE_URL=None)
    assert ran.code == 2
    assert "LIFECYCLE_AMQP_URL: not set" in ran.err
    assert "LIFECYCLE_DATABASE_URL: not set" in ran.err


async def test_a_wrong_setting_is_named_without_its_value(cli: Cli) -> None:
    """A value that cannot be read is not repeated: it may be a secret in the wrong place."""
    ran = await cli("run", LIFECYCLE_MAX_BODY="s3cret")
    assert ran.code == 2
    assert "LIFECYCLE_MAX_BODY" in ran.err
    assert "s3cret" not in ran.err


async def test_a_token_that_is_too_short_is_told_how_long_it_has_to_be(cli: Cli) -> None:
    """In characters, and without it."""
    ran = await cli("run", LIFECYCLE_CONSOLE_TOKEN="s3cret")
    assert ran.code == 2
    assert "LIFECYCLE_CONSOLE_TOKEN: too short: 16 characters or more" in ran.err
    assert "s3cret" not in ran.err


async def test_a_misspelt_setting_is_logged(cli: Cli, platform_database_url: str) -> None:
    """Whoever started it without `doctor` finds it in the first line."""
    ran = await cli("run", LIFECYCLE_MAX_CASCDE="20", LIFECYCLE_DATABASE_URL=platform_database_url)
    told = json.loads(ran.err.splitlines()[0])
    assert (told["event"], told["level"]) == ("setting.unknown", "warning")
    assert (told["name"], told["meant"]) == ("LIFECYCLE_MAX_CASCDE", "LIFECYCLE_MAX_CASCADE")


async def test_an_unmigrated_database_is_refused(cli: Cli, platform_database_url: str) -> None:
    """The refusal names the command that mends it."""
    ran = await cli("run", LIFECYCLE_DATABASE_URL=platform_database_url)
    assert ran.code == 1
    assert "run `workspace-lifecycle migrate`" in ran.err.splitlines()[-1]


async def test_a_database_without_the_platforms_table_is_refused(
    cli: Cli, empty_database_url: str
) -> None:
    """A database that is not the platform's is named as such."""
    ran = await cli("run", LIFECYCLE_DATABASE_URL=empty_database_url)
    assert ran.code == 1
    assert "no table workspaces" in ran.err


async def test_a_topology_mismatch_is_refused(cli: Cli, amqp_url: str) -> None:
    """The queue and the argument are named."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        (queue,) = (one for one in QUEUES if one.name == "lifecycle.results")
        arguments = {**queue.arguments, "x-delivery-limit": 7}
        await channel.declare_queue(queue.name, durable=True, arguments=arguments)
        ran = await cli("run")
    assert ran.code == 1
    assert "'lifecycle.results'" in ran.err
    assert "x-delivery-limit = 7" in ran.err


async def test_a_wrong_password_is_refused_and_never_printed(cli: Cli, amqp_url: str) -> None:
    """Who is refused by the broker learns it at once; the password stays unsaid."""
    host = amqp_url.partition("@")[2]
    ran = await cli("run", LIFECYCLE_AMQP_URL=f"amqp://guest:hunter2@{host}")
    assert ran.code == 1
    assert "hunter2" not in ran.err + ran.out


async def test_an_unknown_role_is_named(cli: Cli) -> None:
    """--roles names the roles there are."""
    ran = await cli("run", "--roles", "commands,nonsense")
    assert ran.code == 2
    assert "commands, relay, settlement, executor" in ran.err


@pytest.mark.parametrize(
    ("verb", "where"), [("run", "LIFECYCLE_LISTEN"), ("console --listen", "--listen")]
)
async def test_an_address_that_is_taken_is_named(
    cli: Cli, database_url: str, verb: str, where: str
) -> None:
    """With what to change: the usual reason is a second process on one machine."""
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as taken:
        address = f"127.0.0.1:{taken.sockets[0].getsockname()[1]}"
        words = verb.split() + [address] * (where == "--listen")
        ran = await cli(*words, LIFECYCLE_DATABASE_URL=database_url, LIFECYCLE_LISTEN=address)
    said = f"cannot listen on {address}: Address already in use: see {where}"
    assert (ran.code, ran.err.splitlines()[-1]) == (1, f"workspace-lifecycle: {said}")


async def test_a_port_that_is_none_is_refused(cli: Cli) -> None:
    """Port 65536 and up would be another, modulo 65536."""
    ran = await cli("run", LIFECYCLE_LISTEN="127.0.0.1:65536")
    assert (ran.code, "LIFECYCLE_LISTEN: " in ran.err) == (2, True)
    ran = await cli("console", "--listen", "127.0.0.1:65536")
    assert (ran.code, "--listen" in ran.err) == (2, True)
