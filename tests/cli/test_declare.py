"""`declare`: an administrator's verb, after which nobody else configures anything."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import pytest

from consumer.devstack.management import call
from consumer.devstack.stack import Stack
from consumer.settings import Settings
from tests.cli.conftest import Cli
from tests.support.caller import WireCaller
from tests.support.documented import Users, block, documented_users
from tests.support.forest import Forest
from tests.support.program import running


async def test_an_administrator_declares_for_the_others(
    cli: Cli, stack: Stack, amqp_url: str, settings_of: Callable[..., Settings]
) -> None:
    """After `declare` a user without any right to configure runs the program."""
    assert (await cli("declare", LIFECYCLE_DATABASE_URL=None)).out == "the topology is declared\n"
    with documented_users(stack.management_url, amqp_url) as urls:
        async with running(settings_of(amqp_url=urls["lifecycle"])):
            pass
        ran = await cli("doctor", LIFECYCLE_AMQP_URL=urls["lifecycle"], LIFECYCLE_EXECUTOR="none")
    assert ran.code == 0, ran.out
    assert "this user may not compare it" in ran.out


@pytest.mark.usefixtures("program")
async def test_people_can_do_their_work(
    cli: Cli, users: Users, caller: WireCaller, forest: Forest, tmp_path: Path
) -> None:
    """Asking and waiting, dead letters, and the trail."""
    top, url = await forest.plant("top"), {"LIFECYCLE_AMQP_URL": users["ops"]}
    assert (await cli("pause", top, "--wait", **url)).code == 0
    await caller.send("workspace.stopped", b"nonsense", exchange="workspace.events")
    await caller.send("workspace.pause", {"workspace_id": top}, message_id="asked")
    await caller.hear("workspace.pause.summary", 2, workspace_id=top)
    ran = await cli("dead-letters", "requeue", "--all", **url)
    assert (ran.code, ran.err) == (0, "1 requeued, 0 kept\n")
    ran = await cli("replay", "--into", tmp_path / "trail", "--type", "workspace.pause", **url)
    assert ran.err == f"2 messages replayed into {tmp_path / 'trail'}\n"


async def test_what_triggers_need_is_declared_where_there_are_some(
    cli: Cli, stack: Stack, amqp_url: str, tmp_path: Path
) -> None:
    """Their queue and its bindings, once the exchange is there; nobody else's exchange ever."""
    path = tmp_path / "triggers.toml"
    path.write_text(block("toml", "[[trigger]]", "triggers.md"))
    given = {"LIFECYCLE_TRIGGERS_FILE": str(path), "LIFECYCLE_DATABASE_URL": None}
    ran = await cli("declare", **given)
    assert (ran.code, "no exchange 'billing'" in ran.err) == (1, True)
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange("billing", "topic")
        assert (await cli("declare", **given)).code == 0
        bound = await asyncio.to_thread(
            call,
            stack.management_url,
            "GET",
            f"queues/{urlsplit(amqp_url).path[1:]}/lifecycle.triggers/bindings",
        )
    assert [(one["source"], one["routing_key"]) for one in bound if one["source"]] == [
        (exchange.name, "billing.budget.exceeded")
    ]
