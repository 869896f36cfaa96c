"""Least privilege at the broker: the documented users can do their work, and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused

from consumer import app
from consumer.audit.bucket import Bucket
from consumer.broker.connection import RefusedError
from consumer.client import LifecycleClient
from consumer.devstack.stack import Stack
from consumer.observe import listening as watching
from consumer.rules import Grant, Rules
from consumer.settings import Settings
from consumer.store.pool import Database
from schemas.commands import StopWorkspace
from schemas.events import Summary
from tests.broker.tools import Facts
from tests.contract.answering import paused
from tests.support.caller import WireCaller
from tests.support.documented import Users, block
from tests.support.forest import Forest
from tests.support.program import running
from tests.support.users import user_on


async def test_the_program_does_all_its_work_without_configuring_anything(
    settings_of: Callable[..., Settings],
    users: Users,
    caller: WireCaller,
    forest: Forest,
    pool: Database,
    bucket_url: str,
) -> None:
    """Commands, replies of both kinds, orders, results, the archive, and dead letters."""
    settings = settings_of(amqp_url=users["lifecycle"], archive_url=bucket_url)
    direct, named = await forest.plant("direct"), await forest.plant("named")
    async with running(settings):
        async with LifecycleClient(users["billing"], source="billing") as client:
            summary = await client.pause(direct)
        assert isinstance(summary, Summary)
        async with await aio_pika.connect(users["orders"]) as connection:
            answer = await (await WireCaller.on(connection, listen=False)).pause(named)
        assert answer.data["paused_count"] == 1
        for operation in (str(summary.operation_id), answer.data["operation_id"]):
            await caller.hear("workspace.pause.settled", operation_id=operation)
        await caller.send("workspace.stopped", b"nonsense", exchange="workspace.events")
        assert (await caller.take("lifecycle.results.dead")).body == b"nonsense"
    assert await app.archiver_of(settings, pool, Bucket(bucket_url)).once() > 0


async def test_an_executor_of_ones_own_needs_two_names(
    settings_of: Callable[..., Settings], users: Users, caller: WireCaller, forest: Forest
) -> None:
    """The one of docs/executor.md reads its queue and writes results, also past a policy file."""
    recipe: dict[str, Any] = {}
    exec(compile(block("python executor", "execute", "executor.md"), "executor.md", "exec"), recipe)

    async def carry_out(kind: str, order: StopWorkspace) -> dict[str, object]:
        return {"detail": f"{kind} {order.name}"}

    rules = Rules(require_user_id=False, default=Grant(cascade=True), executors=("executor-*",))
    settings = settings_of(amqp_url=users["lifecycle"], executor="none", policy_file=rules)
    async with running(settings):
        executing = asyncio.ensure_future(recipe["execute"](users["executor"], carry_out))
        operation = await paused(caller, await forest.plant("top"))
        (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
        executing.cancel()
        await asyncio.wait([executing])
    assert settled.data["succeeded_count"] == 1


Attempt = Callable[[AbstractChannel], Awaitable[Any]]


def publishing(exchange: str, key: str) -> Attempt:
    """Give an attempt to publish."""

    async def attempt(channel: AbstractChannel) -> None:
        where = (
            await channel.get_exchange(exchange, ensure=False)
            if exchange
            else channel.default_exchange
        )
        await where.publish(aio_pika.Message(b"{}"), key)

    return attempt


def consuming(queue: str) -> Attempt:
    """Give an attempt to read a queue."""

    async def attempt(channel: AbstractChannel) -> None:
        await (await channel.get_queue(queue, ensure=False)).get(fail=False)

    return attempt


def listening(exchange: str) -> Attempt:
    """Give an attempt to hear what is published."""

    async def attempt(channel: AbstractChannel) -> None:
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(exchange, "#")

    return attempt


async def declaring(channel: AbstractChannel) -> None:
    """Attempt to declare a queue of one's own."""
    await channel.declare_queue(f"own-{uuid4()}")


async def deleting(channel: AbstractChannel) -> None:
    """Attempt to delete one of the program's queues."""
    await channel.queue_delete("lifecycle.audit")


COMMANDS, EVENTS, DEAD = "workspace.commands", "workspace.events", "lifecycle.dead-letter"
ATTEMPTS: dict[str, tuple[Attempt, str]] = {
    "declare": (declaring, "lifecycle billing orders executor"),
    "delete": (deleting, "lifecycle billing ops"),
    "order a stop": (publishing(COMMANDS, "workspace.stop"), "billing orders"),
    "send a command": (publishing(COMMANDS, "workspace.pause"), "executor"),
    "say a result": (publishing(EVENTS, "workspace.stopped"), "billing orders"),
    "say that it settled": (publishing(EVENTS, "workspace.pause.settled"), "executor billing"),
    "write to any queue": (publishing("", "lifecycle.commands"), "billing executor ops"),
    "write dead letters": (publishing(DEAD, "x"), "billing executor ops"),
    "read commands": (consuming("lifecycle.commands"), "billing executor"),
    "read orders": (consuming("lifecycle.executor"), "billing ops"),
    "read results": (consuming("lifecycle.results"), "executor"),
    "read dead letters": (consuming("lifecycle.commands.dead"), "lifecycle billing"),
    "hear events": (listening(EVENTS), "orders"),
}
REFUSED = {
    f"{name} may not {what}": (name, attempt)
    for what, (attempt, names) in ATTEMPTS.items()
    for name in names.split()
}


@pytest.mark.parametrize(("name", "attempt"), REFUSED.values(), ids=REFUSED)
async def test_nobody_may_do_more(users: Users, name: str, attempt: Attempt) -> None:
    """The broker refuses what a user has no business to do."""
    async with await aio_pika.connect(users[name]) as connection:
        channel = await connection.channel()
        with pytest.raises(ChannelAccessRefused):
            await attempt(channel)


async def test_what_is_missing_is_named_with_who_has_to_declare_it(
    settings_of: Callable[..., Settings], users: Users, caller: WireCaller
) -> None:
    """The start ends: a program that may not declare cannot wait for itself to do it."""
    await caller.channel.queue_delete("lifecycle.results")
    with pytest.raises(RefusedError, match=r"no queue 'lifecycle\.results': .*lifecycle declare`"):
        async with running(settings_of(amqp_url=users["lifecycle"])):
            pass


async def test_without_the_default_exchange_nobody_is_answered_and_all_else_goes_on(
    settings_of: Callable[..., Settings], stack: Stack, caller: WireCaller, forest: Forest,
    declared_url: str,
) -> None:  # fmt: skip
    """A reply that the broker refuses is given up alone."""
    facts, top = Facts(), await forest.plant("top")
    rights = {"configure": "^$", "write": r"^(workspace|lifecycle)\.", "read": r"^lifecycle\."}
    with user_on(stack.management_url, declared_url, "mute", rights) as url:
        async with running(settings_of(amqp_url=url)):
            with watching(facts.listen):
                asked = {"workspace_id": top}
                await caller.send("workspace.pause", asked, reply_to=caller.replies.name)
                await caller.hear("workspace.pause.settled", workspace_id=top)
                (dropped,) = await facts.wait("reply.dropped")
    assert dropped["why"] == "the broker refused it"
