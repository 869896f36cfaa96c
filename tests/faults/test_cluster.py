"""A cluster of three nodes: one is killed, hangs or is cut off, all restart; nothing is lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from random import Random

import asyncpg
import pytest

from consumer.broker.topology import declare
from consumer.devstack.broker import Node, private_cluster, up
from consumer.devstack.packages import installed
from schemas.catalog import COMMANDS_QUEUE
from tests.support.harm import recovered, steady
from tests.support.load import Load, loading
from tests.support.program import Process, process
from tests.support.ready import Ready
from tests.support.siege import Urls
from tests.support.threads import beside_the_loop
from tests.support.trial import SEED, SETTINGS, Trying

Nodes = Sequence[Node]
Harm = Callable[[Nodes, Random], Awaitable[None]]
_TICKTIME = 12
"""Seconds after which nodes give one up that does not answer, give or take a quarter of it."""


def leader(nodes: Nodes) -> Node:
    """Give the node that leads the queue of commands."""
    told = nodes[0].ctl("--silent", "list_queues", "--no-table-headers", "name", "leader")
    names = dict(line.split("\t") for line in told.splitlines())
    return next(node for node in nodes if node.name == names[COMMANDS_QUEUE])


async def leader_killed(nodes: Nodes, _: Random) -> None:
    """Kill the node that leads the commands, and start it again."""
    node = await asyncio.to_thread(leader, nodes)
    await asyncio.to_thread(node.down)
    await asyncio.to_thread(node.up)


async def _hung(node: Node, seconds: float) -> None:
    node.pause()
    await asyncio.sleep(seconds)
    node.resume()


async def leader_hung_shortly(nodes: Nodes, _: Random) -> None:
    """Have the node hang for less than others need to notice."""
    await _hung(await asyncio.to_thread(leader, nodes), _TICKTIME / 2)


async def node_hung_for_long(nodes: Nodes, random: Random) -> None:
    """Have a node hang until the others go on without it."""
    await _hung(random.choice(nodes), _TICKTIME * 1.5)


async def cut_off(nodes: Nodes, random: Random) -> None:
    """Let a node and the two others not hear of each other, as in a network that is parted."""
    node = random.choice(nodes)
    others = ", ".join(f"'{other.name}'" for other in nodes if other is not node)

    async def told(change: str) -> str:
        return await asyncio.to_thread(node.ctl, "eval", f"[{change} || N <- [{others}]].")

    await told("{erlang:set_cookie(N, parted), erlang:disconnect_node(N)}")
    await asyncio.sleep(_TICKTIME)
    assert "true" not in await told("lists:member(N, nodes())")
    await told("erlang:set_cookie(N, erlang:get_cookie())")
    while "false" in await told("lists:member(N, nodes())"):  # noqa: ASYNC110 - cannot wake us
        await asyncio.sleep(1)


async def restarted_in_turn(nodes: Nodes, _: Random) -> None:
    """Stop each in order and start it again, as for an update."""
    for node in nodes:
        await asyncio.to_thread(node.ctl, "stop_app")
        await asyncio.to_thread(node.down)
        await asyncio.to_thread(node.up)


async def all_killed(nodes: Nodes, _: Random) -> None:
    """Kill all three, as when the power goes."""
    for node in nodes:
        await asyncio.to_thread(node.down)
    await asyncio.to_thread(up, nodes)


HARMS: Mapping[str, Harm] = {
    "cluster: leader killed": leader_killed,
    "cluster: leader hung for a moment": leader_hung_shortly,
    "cluster: node hung for long": node_hung_for_long,
    "cluster: node cut off": cut_off,
    "cluster: nodes restarted in turn": restarted_in_turn,
    "cluster: all nodes killed": all_killed,
}
_ALL_KNOWN = ", all of them known"
_TRIALS = (
    *HARMS,
    f"cluster: leader killed{_ALL_KNOWN}",
    f"cluster: nodes restarted in turn{_ALL_KNOWN}",
)


@pytest.fixture
async def nodes() -> AsyncIterator[Nodes]:
    """Start a cluster of the test's own."""
    async with beside_the_loop(private_cluster(lambda _: None, _TICKTIME)) as nodes:
        yield nodes


@pytest.fixture
async def alone(nodes: Nodes, database_url: str) -> Urls:
    """Declare the topology there, with a replica of each queue on each node."""
    await declare(nodes[0].amqp)
    return Urls(nodes[0].amqp, database_url)


@pytest.fixture
async def sent(
    nodes: Nodes, alone: Urls, connection: "asyncpg.Connection[asyncpg.Record]"
) -> AsyncIterator[Load]:
    """Give a load that goes to whichever node takes it."""
    others = [node.amqp for node in nodes[1:]]
    async with loading(alone.amqp, connection, SEED, others=others) as sent:
        yield sent


pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(installed() is None, reason="no RabbitMQ to start and stop here"),
]


def urls(nodes: Nodes, first: int, name: str) -> str:
    """Give what the program at a node is told: that node, or all of them with that one before."""
    known = (*nodes[first:], *nodes[:first])[: len(nodes) if name.endswith(_ALL_KNOWN) else 1]
    return ",".join(node.amqp for node in known)


@pytest.mark.parametrize("name", _TRIALS)
async def test_whatever_happens_to_a_cluster_nothing_is_lost_or_doubled(
    nodes: Nodes, alone: Urls, sent: Load, trial: Trying, name: str
) -> None:
    """Three programs, each at another node, live through it and go on by themselves."""
    readies = [Ready() for _ in nodes]
    harm = HARMS[name.removesuffix(_ALL_KNOWN)]
    async with trial(name, alone, sent) as going, AsyncExitStack() as exits:
        programs: list[Process] = []
        for place, ready in enumerate(readies):
            settings = SETTINGS | {"LIFECYCLE_LISTEN": ready.listen}
            running = process(urls(nodes, place, name), alone.database, **settings)
            programs.append(await exits.enter_async_context(running))
        for _ in going.again():
            for ready in readies:
                await ready.until(200)
            async with steady(sent):
                await asyncio.sleep(going.random.uniform(0, 0.3))
                await harm(nodes, going.random)
        await recovered(alone, sent)
        for program in programs:
            await program.lives()
