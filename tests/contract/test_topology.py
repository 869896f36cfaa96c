"""contract.md, "Broker topology": every name, what it is, and what it holds."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import pytest

from consumer.broker.topology import TopologyError, declare
from consumer.devstack.management import call
from consumer.devstack.stack import Stack
from schemas.topology import QUEUES


async def ask(stack: Stack, amqp_url: str, what: str) -> list[dict[str, Any]]:
    """Ask the broker what this vhost holds."""
    path = f"{what}/{urlsplit(amqp_url).path[1:]}"
    found: list[dict[str, Any]] = await asyncio.to_thread(call, stack.management_url, "GET", path)
    return found


async def test_the_topology_is_the_contracts(stack: Stack, amqp_url: str) -> None:
    """Exchanges, quorum queues, the stream and their bindings are as the contract's table says."""
    await declare(amqp_url)
    await declare(amqp_url)
    exchanges = {
        one["name"]: (one["type"], one["durable"])
        for one in await ask(stack, amqp_url, "exchanges")
        if not one["name"].startswith("amq.") and one["name"]
    }
    assert exchanges == dict.fromkeys(
        ["workspace.commands", "workspace.events", "lifecycle.dead-letter"], ("topic", True)
    )
    queues = {one["name"]: one["arguments"] for one in await ask(stack, amqp_url, "queues")}
    kinds = {name: arguments["x-queue-type"] for name, arguments in queues.items()}
    working = ["lifecycle.commands", "lifecycle.executor", "lifecycle.results"]
    assert kinds == {
        **dict.fromkeys([*working, *(f"{name}.dead" for name in working)], "quorum"),
        "lifecycle.audit": "stream",
    }
    for name in working:
        assert queues[name]["x-delivery-limit"] > 0
        assert queues[name]["x-dead-letter-strategy"] == "at-least-once"
        assert queues[name]["x-overflow"] == "reject-publish"
        assert queues[name]["x-dead-letter-exchange"] == "lifecycle.dead-letter"


async def test_the_bindings_are_the_contracts(stack: Stack, amqp_url: str) -> None:
    """Each queue takes in exactly the message types of the contract's table."""
    await declare(amqp_url)
    bindings: dict[str, set[tuple[str, str]]] = {}
    for one in await ask(stack, amqp_url, "bindings"):
        if one["source"]:
            where = (one["source"], one["routing_key"])
            bindings.setdefault(one["destination"], set()).add(where)
    commands, events, dead = "workspace.commands", "workspace.events", "lifecycle.dead-letter"
    assert bindings == {
        "lifecycle.commands": {(commands, "workspace.pause"), (commands, "workspace.resume")},
        "lifecycle.executor": {(commands, "workspace.stop"), (commands, "workspace.start")},
        "lifecycle.results": {
            (events, "workspace.stopped"),
            (events, "workspace.started"),
            (events, "workspace.stop.failed"),
            (events, "workspace.start.failed"),
        },
        "lifecycle.audit": {(commands, "#"), (events, "#")},
        "lifecycle.commands.dead": {(dead, "lifecycle.commands")},
        "lifecycle.executor.dead": {(dead, "lifecycle.executor")},
        "lifecycle.results.dead": {(dead, "lifecycle.results")},
    }


async def test_a_mismatch_is_reported_by_name_and_argument_and_nothing_is_deleted(
    stack: Stack, amqp_url: str
) -> None:
    """A broker that holds a name with other arguments keeps it, and the operator learns which."""
    connection = await aio_pika.connect(amqp_url)
    channel = await connection.channel()
    (queue,) = (one for one in QUEUES if one.name == "lifecycle.executor")
    arguments = {**queue.arguments, "x-delivery-limit": 7}
    await channel.declare_queue(queue.name, durable=True, arguments=arguments)
    with pytest.raises(TopologyError, match=r"'lifecycle\.executor'.*x-delivery-limit = 7"):
        await declare(amqp_url)
    names = {one["name"] for one in await ask(stack, amqp_url, "queues")}
    assert "lifecycle.executor" in names
    await connection.close()
