"""The topology is the contract's, word by word."""

from typing import Any
from urllib.parse import urlsplit

import aio_pika
import pytest

from consumer.broker.connection import connected
from consumer.broker.topology import TopologyError, declare, declare_on
from consumer.devstack.server import free_ports
from consumer.message import UnavailableError
from schemas.topology import QUEUES
from tests.broker.conftest import Management
from tests.broker.tools import Bystander, bystander

WORK = {
    "lifecycle.commands": {
        ("workspace.commands", "workspace.pause"),
        ("workspace.commands", "workspace.resume"),
    },
    "lifecycle.executor": {
        ("workspace.commands", "workspace.stop"),
        ("workspace.commands", "workspace.start"),
    },
    "lifecycle.results": {
        ("workspace.events", "workspace.stopped"),
        ("workspace.events", "workspace.started"),
        ("workspace.events", "workspace.stop.failed"),
        ("workspace.events", "workspace.start.failed"),
    },
}


async def _queues(management: Management, url: str) -> dict[str, Any]:
    vhost = urlsplit(url).path.strip("/")
    return {one["name"]: one for one in await management("GET", f"queues/{vhost}")}


async def _bindings(management: Management, url: str, queue: str) -> set[tuple[str, str]]:
    vhost = urlsplit(url).path.strip("/")
    found = await management("GET", f"queues/{vhost}/{queue}/bindings")
    return {(one["source"], one["routing_key"]) for one in found if one["source"]}


async def test_exchanges_are_durable_topics(declared_url: str, management: Management) -> None:
    """The three exchanges are durable topic exchanges."""
    vhost = urlsplit(declared_url).path.strip("/")
    found = {one["name"]: one for one in await management("GET", f"exchanges/{vhost}")}
    for name in ("workspace.commands", "workspace.events", "lifecycle.dead-letter"):
        assert (found[name]["type"], found[name]["durable"]) == ("topic", True)


async def test_there_are_no_other_queues(declared_url: str, management: Management) -> None:
    """The queues are those of the contract and no others."""
    assert set(await _queues(management, declared_url)) == {
        *WORK,
        *(f"{name}.dead" for name in WORK),
        "lifecycle.audit",
    }


@pytest.mark.parametrize("name", WORK)
async def test_work_queues_are_quorum_queues_that_lose_nothing(
    declared_url: str, management: Management, name: str
) -> None:
    """A work queue is a quorum queue with a delivery limit that dead-letters at least once."""
    queue = (await _queues(management, declared_url))[name]
    assert queue["durable"]
    assert queue["arguments"] == {
        "x-queue-type": "quorum",
        "x-delivery-limit": 1000,
        "x-dead-letter-exchange": "lifecycle.dead-letter",
        "x-dead-letter-routing-key": name,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


@pytest.mark.parametrize(("name", "bindings"), WORK.items())
async def test_work_queues_take_the_contracts_types(
    declared_url: str, management: Management, name: str, bindings: set[tuple[str, str]]
) -> None:
    """A work queue is bound to exactly the message types that the contract names for it."""
    assert await _bindings(management, declared_url, name) == bindings


@pytest.mark.parametrize("name", WORK)
async def test_dead_queues_are_bound_by_the_queues_own_name(
    declared_url: str, management: Management, name: str
) -> None:
    """A dead queue is a quorum queue that takes what its work queue could not have handled."""
    queue = (await _queues(management, declared_url))[f"{name}.dead"]
    assert queue["arguments"]["x-queue-type"] == "quorum"
    bindings = await _bindings(management, declared_url, f"{name}.dead")
    assert bindings == {("lifecycle.dead-letter", name)}


async def test_the_audit_stream_takes_everything(declared_url: str, management: Management) -> None:
    """The audit trail is a stream bound with `#` to both exchanges."""
    queue = (await _queues(management, declared_url))["lifecycle.audit"]
    assert queue["arguments"] == {"x-queue-type": "stream"}
    bindings = await _bindings(management, declared_url, "lifecycle.audit")
    assert bindings == {("workspace.commands", "#"), ("workspace.events", "#")}


async def test_declaring_again_changes_nothing(wire: Bystander, declared_url: str) -> None:
    """A second declaration keeps what the queues hold."""
    await wire.send()
    await declare(declared_url)
    assert await wire.count("lifecycle.commands") == 1


async def test_a_deleted_queue_comes_back(wire: Bystander, declared_url: str) -> None:
    """A declaration over an open link brings back what was deleted."""
    await wire.channel.queue_delete("lifecycle.results")
    async with connected(declared_url, "test") as link:
        await declare_on(link)
        assert not link.lost.done()
    assert await wire.count("lifecycle.results") == 0


@pytest.mark.parametrize("arguments", [{"x-queue-type": "quorum"}, {"x-queue-type": "classic"}])
async def test_a_queue_with_other_arguments_is_named_and_kept(
    amqp_url: str, arguments: dict[str, Any]
) -> None:
    """A mismatch names the queue, the argument, both values and the way out; nothing is deleted."""
    said = "queue 'lifecycle.commands'.* has x-[a-z-]+ = [a-z]+ and we need [a-z.-]+. .*delete"
    async with bystander(amqp_url) as wire:
        queue = await wire.channel.declare_queue(
            "lifecycle.commands", durable=True, arguments=arguments
        )
        await wire.channel.default_exchange.publish(aio_pika.Message(b""), queue.name)
        with pytest.raises(TopologyError, match=said):
            await declare(amqp_url)
        assert await wire.count("lifecycle.commands") == 1


async def test_an_exchange_of_another_type_is_named(amqp_url: str) -> None:
    """An exchange of another type is reported like a queue."""
    async with bystander(amqp_url) as wire:
        await wire.channel.declare_exchange("workspace.events", "fanout", durable=True)
        with pytest.raises(
            TopologyError, match=r"exchange 'workspace.events'.*type = fanout and we need topic"
        ):
            await declare(amqp_url)


async def test_a_broker_that_is_away_is_unavailable_at_once() -> None:
    """The start learns at once that the broker is away, and decides itself whether to wait."""
    (port,) = free_ports(1)
    with pytest.raises(UnavailableError):
        await declare(f"amqp://guest:guest@127.0.0.1:{port}/")


def test_dead_queues_are_declared_before_those_that_dead_letter_to_them() -> None:
    """At-least-once dead-lettering waits for a target, so the targets come first."""
    names = [queue.name for queue in QUEUES]
    assert all(names.index(f"{name}.dead") < names.index(name) for name in WORK)
