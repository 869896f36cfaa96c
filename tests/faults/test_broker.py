"""The broker does what brokers do: restarts, alarms, deletions, kills, nacks, silence."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import aio_pika
import asyncpg
import pytest
from aio_pika.exceptions import DeliveryError

from consumer.broker.topology import declare
from consumer.devstack.containers import engine_answers
from consumer.devstack.packages import installed
from consumer.devstack.stack import OwnNode, own_node
from schemas.topology import WORK_QUEUES
from tests.broker.gate import gate_before
from tests.support.checker import drained
from tests.support.harm import harmed
from tests.support.load import Load, loading
from tests.support.program import process
from tests.support.ready import Ready
from tests.support.siege import Urls
from tests.support.threads import beside_the_loop
from tests.support.trial import A_ROUND, SEED, SETTINGS, Trying, settled

_ALONE = pytest.mark.skipif(
    installed() is None and not engine_answers(), reason="no RabbitMQ to start and stop here"
)
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@asynccontextmanager
async def nacking(url: str) -> AsyncIterator[None]:
    """Have the broker refuse every event, after others took it: a full queue among them."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        full = await channel.declare_queue(
            "trial.full",
            durable=True,
            arguments={"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"},
        )
        with suppress(DeliveryError):  # the limit is a soft one: some pass before it holds
            while True:
                filling = aio_pika.Message(b"", delivery_mode=2)
                await channel.default_exchange.publish(filling, full.name)
        for kind in ("workspace.*.summary", "workspace.*.rejected", "workspace.*.settled"):
            await full.bind("workspace.events", kind)
        yield
        await full.delete(if_unused=False, if_empty=False)


async def test_a_queue_that_refuses_holds_up_and_loses_nothing(urls: Urls, sent: Load) -> None:
    """What is nacked is published again, under its id, until it is taken."""

    async def harm(_: Ready) -> None:
        async with nacking(urls.amqp):
            await sent.send(A_ROUND)
            await asyncio.sleep(1)

    await harmed(urls, sent, harm, range(2))
    found = await settled(urls, sent)
    assert found.valid(), found
    assert found.repeated > 0


async def test_deleted_queues_are_declared_and_consumed_again(
    urls: Urls, sent: Load, connection: Connection
) -> None:
    """The broker cancels the consumers; the program comes back by itself."""
    settings = SETTINGS | {"LIFECYCLE_LOG_LEVEL": "info"}
    async with process(urls.amqp, urls.database, **settings) as program:
        await program.until("program.started")
        for queue in WORK_QUEUES:
            await sent.send(A_ROUND)
            await drained(sent, connection)
            await sent.channel.queue_delete(queue)
            while (await program.until("consumer.started"))["queue"] != queue:
                pass
        await sent.send(A_ROUND)
        await drained(sent, connection)
    found = await settled(urls, sent)
    assert found.valid(), found


async def test_a_silence_longer_than_the_heartbeat_is_noticed(urls: Urls, sent: Load) -> None:
    """A network that takes and gives nothing: the connection is given up, and another opened."""
    async with gate_before(f"{urls.amqp}?heartbeat=1") as gate:

        async def harm(ready: Ready) -> None:
            gate.freeze()
            await ready.until(503)
            gate.cut()
            gate.thaw()

        await harmed(urls, sent, harm, range(1), gate.url)
    found = await settled(urls, sent)
    assert found.valid(), found


@pytest.fixture
async def node() -> AsyncIterator[OwnNode]:
    """Start a node of the test's own, to be stopped and started again."""
    async with beside_the_loop(own_node(lambda _: None)) as node:
        yield node


@pytest.fixture
async def alone(node: OwnNode, database_url: str) -> Urls:
    """Give a broker that nobody else uses."""
    await declare(node.amqp)
    return Urls(node.amqp, database_url)


async def restarted(node: OwnNode) -> None:
    """Stop the node in order, and start it again."""
    await asyncio.to_thread(node.ctl, "stop_app")
    await asyncio.to_thread(node.down)
    await asyncio.to_thread(node.up)


async def killed(node: OwnNode) -> None:
    """Kill the node with SIGKILL, and start it again."""
    await asyncio.to_thread(node.down)
    await asyncio.to_thread(node.up)


async def alarmed(node: OwnNode, connection: Connection, ready: Ready) -> None:
    """Have the node believe that it has no memory left, until the program has told so.

    It is told to who publishes, so something is kept in hand until the node believes it.
    """
    async with connection.transaction():
        await connection.execute("lock table workspaces")
        await asyncio.sleep(_IN_HAND)
        await asyncio.to_thread(node.ctl, "set_vm_memory_high_watermark", "0")
        while "memory" not in await asyncio.to_thread(node.ctl, "eval", _ALARMS):
            pass
    await ready.until(503, "memory")
    await asyncio.to_thread(node.ctl, "set_vm_memory_high_watermark", "0.6")


async def bereft(node: OwnNode) -> None:
    """Kill every channel within the broker, which closes what they were on."""
    await asyncio.to_thread(node.ctl, "eval", "[exit(P, kill) || P <- rabbit_channel:list()].")


def _harms(
    node: OwnNode, connection: Connection
) -> Mapping[str, Callable[[Ready], Awaitable[None]]]:
    return {
        "broker restarted": lambda _: restarted(node),
        "broker killed": lambda _: killed(node),
        "memory alarm": lambda ready: alarmed(node, connection, ready),
        "channels killed": lambda _: bereft(node),
    }


_HARMS = ("broker restarted", "memory alarm", "channels killed")
_ALARMS = "rabbit_alarm:get_alarms()."
_IN_HAND = 0.5
"""Seconds in which the load sends some commands."""
_SETTLING = 10.0
"""Seconds: RabbitMQ 3.10 loses for good a stream that was declared a moment before a SIGKILL."""


@_ALONE
@pytest.mark.timeout(300)
async def test_after_restart_alarm_and_killed_channels_it_consumes_again(
    alone: Urls, node: OwnNode, connection: Connection
) -> None:
    """Each once, and readiness tells of it; the program lives through all of them."""
    async with loading(alone.amqp, connection, SEED) as sent:
        for harm in _HARMS:
            await harmed(alone, sent, _harms(node, connection)[harm], range(1))
        found = await settled(alone, sent)
    assert found.valid(), found


@_ALONE
@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("harm", [*_HARMS, "broker killed"])
async def test_harmed_again_and_again(
    alone: Urls, node: OwnNode, connection: Connection, trial: Trying, harm: str
) -> None:
    """One kind many times over; FAULTS_SEED replays it."""
    async with loading(alone.amqp, connection, SEED) as sent:
        await asyncio.sleep(_SETTLING)
        async with trial(harm, alone, sent) as going:
            await harmed(alone, sent, _harms(node, connection)[harm], going.again())


@pytest.mark.faults
@pytest.mark.timeout(3600)
async def test_nacked_again_and_again(urls: Urls, sent: Load, trial: Trying) -> None:
    """A queue that refuses every event for a second, many times over."""

    async def harm(_: Ready) -> None:
        async with nacking(urls.amqp):
            await sent.send(A_ROUND)
            await asyncio.sleep(1)

    async with trial("publishes nacked", urls, sent) as going:
        await harmed(urls, sent, harm, going.again())
