"""Everything is read at the end, and each command accounted for: Jepsen's total queue.

A run is valid only if nothing is lost and nothing is there that nobody asked for. A message that
came more than once under one id is counted; an effect under two ids is an error.
"""

import asyncio
import json
import math
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aio_pika
import asyncpg
from aio_pika.abc import AbstractChannel

from schemas.topology import WORK_QUEUES, dead, with_dead
from tests.support.load import HEARD, REPLIES, Load

ANSWERS = (".rejected", ".summary", ".previewed")
_ORDERS = {"workspace.stop", "workspace.start"}
_PATIENCE = 120.0
_OPEN = """
select o.operation_id, o.action, o.recorded_at, o.open_count, t.workspace_id, t.generation
from lifecycle.operation o left join lifecycle.target t
    on t.operation_id = o.operation_id and t.outcome is null
where o.settled_at is null and o.outcome = 'carried' limit 5
"""
_SESSIONS = """
select pid, state, wait_event, left(query, 60) as query, locktype, classid, objid, granted
from pg_stat_activity left join pg_locks using (pid)
where datname = current_database() and (locktype = 'advisory' or locktype is null)
"""


@dataclass
class Account:
    """What became of every command.

    Attributes:
        lost: what should be there and is not.
        unexpected: what is there and should not be.
        doubled: effects that there are two of.
        repeated: messages that came once more under their id: at least once, and counted.

    """

    sent: int = 0
    outcomes: int = 0
    repeated: int = 0
    lost: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)

    def valid(self) -> bool:
        """Tell whether every promise was kept."""
        return not (self.lost or self.unexpected or self.doubled)


class _Trail:
    """What was heard, first under each id."""

    def __init__(self, messages: list[tuple[str, Mapping[str, Any]]]) -> None:
        self.first: dict[str, Mapping[str, Any]] = {}
        self.order: list[Mapping[str, Any]] = []
        for identity, event in messages:
            if identity not in self.first:
                self.first[identity] = event
                self.order.append(event)
        self.repeated = len(messages) - len(self.first)
        self.answers: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        self.orders: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        self.ends: Counter[str] = Counter()
        for event in self.order:
            operation = event["data"]["operation_id"]
            if event["type"].endswith(ANSWERS):
                self.answers[event["causationid"]].append(event)
            elif event["type"] in _ORDERS:
                self.orders[operation].append(event["data"])
            elif event["type"].endswith(".settled"):
                self.ends[operation] += 1


async def drained(load: Load, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Wait until nothing is on its way: no command, no result, no outbox row, nothing open.

    As long as it becomes less there is no hurry. A queue does not tell what a consumer has in
    hand: a command is done when it is recorded.
    """
    left = (
        "select (select $1 - count(distinct message_id) from lifecycle.operation)"
        " + (select count(*) from lifecycle.outbox)"
        " + (select count(*) from lifecycle.operation where settled_at is null"
        " and outcome = 'carried')"
    )
    quiet, end, least = 0, time.monotonic() + _PATIENCE, math.inf
    while quiet < 3:
        ready = {queue: await _ready(load.channel, queue) for queue in WORK_QUEUES}
        unfinished = await connection.fetchval(left, len(load.sent))
        if unfinished < least:
            least, end = unfinished, time.monotonic() + _PATIENCE
        if time.monotonic() > end:
            raise AssertionError(await _unfinished(load, ready, connection))
        quiet = 0 if any(ready.values()) or unfinished else quiet + 1
        await asyncio.sleep(0.1)


async def _unfinished(
    load: Load, ready: Mapping[str, int], connection: "asyncpg.Connection[asyncpg.Record]"
) -> str:
    """Tell all that is known of what does not end."""
    recorded = "select distinct message_id from lifecycle.operation"
    known = {row["message_id"] for row in await connection.fetch(recorded)}
    letters = {queue: await _ready(load.channel, dead(queue)) for queue in WORK_QUEUES}
    told = {
        "ready": ready,
        "dead letters": letters,
        "without an outcome": sorted(set(load.sent) - known),
        "in the outbox": await connection.fetch("select * from lifecycle.outbox limit 5"),
        "open": await connection.fetch(_OPEN),
        "sessions": await connection.fetch(_SESSIONS),
    }
    return f"nothing goes on: {told}"


async def account(
    load: Load, channel: AbstractChannel, connection: "asyncpg.Connection[asyncpg.Record]"
) -> Account:
    """Read every queue and table after a full drain, the program being over; settle the account."""
    found = Account(sent=len(load.sent))
    trail = _Trail(
        [
            (message.message_id or "", event)
            for message in await _all(channel, HEARD)
            if (event := json.loads(message.body)).get("specversion")
        ]
    )
    found.repeated = trail.repeated
    _answers(found, load, trail)
    _effects(found, trail)
    _sequence(found, trail)
    _replies(found, load, trail, await _all(channel, REPLIES))
    await _tables(found, load, connection)
    for queue in with_dead(WORK_QUEUES):
        if count := await _ready(channel, queue):
            found.unexpected.append(f"{count} messages left in {queue}")
    return found


def _answers(found: Account, load: Load, trail: _Trail) -> None:
    """Each command has exactly one outcome."""
    found.outcomes = sum(map(len, trail.answers.values()))
    found.lost += [f"no answer to {one}" for one in load.sent if one not in trail.answers]
    found.unexpected += [f"an answer to {one}" for one in trail.answers if one not in load.sent]
    found.doubled += [
        f"{len(several)} outcomes of {one}"
        for one, several in trail.answers.items()
        if len(several) > 1
    ]


def _effects(found: Account, trail: _Trail) -> None:
    """Each affected workspace has one command, each operation one settlement, none without one."""
    told = set()
    for event, *_ in trail.answers.values():
        data = event["data"]
        if not event["type"].endswith(".summary"):
            continue
        operation = data["operation_id"]
        told.add(operation)
        wanted = Counter(one["workspace_id"] for one in data["workspaces"])
        sent = Counter(one["workspace_id"] for one in trail.orders[operation])
        found.lost += [f"no command for {one} of {operation}" for one in wanted - sent]
        found.doubled += [f"a command too many for {one} of {operation}" for one in sent - wanted]
        if data[f"{data['action']}d_count"] != len(wanted):
            found.unexpected.append(f"the count of {operation} is not that of its list")
        if trail.ends[operation] == 0:
            found.lost.append(f"no settlement of {operation}")
        if trail.ends[operation] > 1:
            found.doubled.append(f"{trail.ends[operation]} settlements of {operation}")
    for operation in {*trail.orders, *trail.ends} - told:
        if trail.orders[operation] or trail.ends[operation]:
            found.unexpected.append(f"{operation} acts without a summary")


def _sequence(found: Account, trail: _Trail) -> None:
    """Commands for one workspace leave in the order in which they took effect."""
    newest: dict[str, int] = {}
    for event in trail.order:
        if event["type"] in _ORDERS:
            workspace, generation = event["data"]["workspace_id"], event["data"]["generation"]
            if generation <= newest.get(workspace, -1):
                found.unexpected.append(f"{workspace} got generation {generation} too late")
            newest[workspace] = generation


def _replies(
    found: Account,
    load: Load,
    trail: _Trail,
    replies: list[aio_pika.abc.AbstractIncomingMessage],
) -> None:
    """Whoever asked was answered, each time, and with the very words of the event."""
    counted = Counter(message.correlation_id for message in replies)
    for identity, times in load.sent.items():
        if counted[identity] < times:
            found.lost.append(f"{times} askings of {identity}, {counted[identity]} replies")
    for message in replies:
        (answer, *_) = trail.answers.get(message.correlation_id or "", [{}])
        if json.loads(message.body) != answer:
            found.unexpected.append(f"the reply to {message.correlation_id} is another one")


async def _tables(
    found: Account, load: Load, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Each command is recorded once, and each workspace is what its last operation made it."""
    rows = await connection.fetch(
        "select message_id, count(*) as count from lifecycle.operation group by 1"
    )
    recorded = {row["message_id"]: row["count"] for row in rows}
    found.lost += [f"no record of {one}" for one in load.sent if one not in recorded]
    found.doubled += [f"{count} records of {one}" for one, count in recorded.items() if count > 1]
    wrong = await connection.fetch(
        "select w.id, w.status::text, o.action from workspaces w join lateral ("
        " select * from lifecycle.target t where t.workspace_id = w.id"
        " order by generation desc limit 1) t on true"
        " join lifecycle.operation o using (operation_id)"
        " where w.status::text <> case o.action when 'pause' then 'paused' else 'provisioning' end"
    )
    found.unexpected += [f"{row['id']} is {row['status']} after a {row['action']}" for row in wrong]
    untouched = await connection.fetch(
        "select w.id from workspaces w where w.status::text <> 'online' and not exists"
        " (select from lifecycle.target t where t.workspace_id = w.id)"
    )
    found.unexpected += [f"{row['id']} was changed without a record" for row in untouched]


async def _ready(channel: AbstractChannel, queue: str) -> int:
    declared = await channel.declare_queue(queue, passive=True)
    return declared.declaration_result.message_count or 0


async def _all(channel: AbstractChannel, queue: str) -> list[aio_pika.abc.AbstractIncomingMessage]:
    """Take everything out of a queue that nobody publishes to any more."""
    declared = await channel.get_queue(queue, ensure=False)
    taken: list[aio_pika.abc.AbstractIncomingMessage] = []
    while count := await _ready(channel, queue):
        wanted = len(taken) + count
        async with asyncio.timeout(_PATIENCE), declared.iterator(no_ack=True) as messages:
            async for message in messages:
                taken.append(message)
                if len(taken) == wanted:
                    break
    return taken
