"""A program as a process, what it was sent by hand, and the account of what became of all of it."""

import asyncio
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aio_pika
import asyncpg
from aio_pika.abc import AbstractChannel

from consumer.audit.lines import decode, encode
from consumer.broker.stream import Stream
from schemas.catalog import AUDIT_STREAM, DEAD_LETTER
from schemas.topology import QUEUES, WORK_QUEUES, dead
from tests.support.byhand import Hand, Raw
from tests.support.caller import PATIENCE, WireCaller
from tests.support.hostile import OPERATION, WORKSPACE
from tests.support.program import Process, environment, process

COMMANDS, EXECUTOR, RESULTS = WORK_QUEUES
HANDLED: Mapping[str, tuple[str, ...]] = {
    COMMANDS: ("operation.recorded", "answer.repeated"),
    EXECUTOR: ("order.carried_out", "order.failed", "order.fenced", "order.unknown"),
    RESULTS: ("result.taken",),
}
"""What is said of a message that had an outcome, by the queue it came from."""
_ANSWERED = ("order.carried_out", "order.failed", "order.fenced")
_BAD = ("failed", "retried", "unsettled", "lost", "paused", "logged", "refused", "dropped")
"""Verbs of facts that tell of a message which did more than end in one of two places."""
_FORESEEN = {"order.failed", "order.refused", "result.refused", "reply.refused", "reply.dropped"}


class Ordeal:
    """Sends by hand, and keeps count.

    Attributes:
        sent: how many messages each queue was given, as the broker said.
        perhaps: how many more it may have: the broker ended the connection over them. RabbitMQ 3.10
            does so over a decimal, which it cannot put into a stream; the queue has it by then.
        said: how often the program said each fact; bad: what it should not have said.

    """

    def __init__(
        self,
        program: Process,
        caller: WireCaller,
        hand: Hand,
        connection: "asyncpg.Connection[asyncpg.Record]",
        amqp_url: str,
    ) -> None:
        self.program, self.caller = program, caller
        self.sent: Counter[str] = Counter()
        self.perhaps: Counter[str] = Counter()
        self.said: Counter[str] = Counter()
        self.bad: list[Mapping[str, Any]] = []
        self.hearing = asyncio.create_task(self._hear())
        self._hand, self._connection, self._amqp_url = hand, connection, amqp_url
        self._operation = "00000000-0000-4000-8000-000000000000"

    async def weather(self, storm: Iterable[Raw]) -> None:
        """Send a storm; see each message in one place, and good commands still answered."""
        for message in storm:
            await self.send(message)
        await self.settled()
        await self.is_well()
        await self.settled()
        assert self.bad == []

    async def send(self, message: Raw) -> None:
        """Send one message, and note the queues that have it."""
        body = message.body.replace(OPERATION, self._operation.encode())
        taken = await self._hand.send(replace(message, body=body))
        (self.sent if taken else self.perhaps).update(_queues(message))

    async def is_well(self) -> None:
        """See a pause of another workspace answered, carried out and settled."""
        (top,) = await self._connection.fetch(
            "insert into workspaces (id, name, status, instance_id)"
            " values (gen_random_uuid(), 'good', 'online', 'i-good') returning id"
        )
        answer = await self.caller.pause(top["id"])
        assert answer.type == "workspace.pause.summary"
        self._operation = answer.data["operation_id"]
        await self.caller.hear("workspace.pause.settled", operation_id=self._operation)
        self.caller.heard.clear()
        self.sent[COMMANDS] += 1

    async def settled(self) -> None:
        """Wait until every message is in one place, and nothing is left to be published."""
        end = time.monotonic() + PATIENCE
        while missing := await self._missing():
            if self.hearing.done():
                self.hearing.result()
                raise AssertionError("the program has ended")
            assert time.monotonic() < end, f"not where it should be: {missing}"
            await asyncio.sleep(0.02)

    async def _missing(self) -> Mapping[str, int]:
        """Tell, by queue, how many messages have no outcome yet; negative: more than one."""
        commanded, outbox = await self._connection.fetchrow(
            "select (select count(*) from lifecycle.target where commanded),"
            " (select count(*) from lifecycle.outbox)"
        )  # type: ignore[misc]  # a query without a table has a row
        wanted = Counter(self.sent)
        wanted[EXECUTOR] += commanded
        wanted[RESULTS] += sum(self.said[fact] for fact in _ANSWERED)
        for queue in WORK_QUEUES:
            wanted[queue] -= sum(self.said[fact] for fact in HANDLED[queue])
            wanted[queue] -= await depth(self.caller.channel, dead(queue))
        for queue in WORK_QUEUES:
            wanted[queue] += min(self.perhaps[queue], max(0, -wanted[queue]))
        left = {queue: count for queue, count in wanted.items() if count}
        return left | ({"outbox": outbox} if outbox else {})

    async def ends_well(self) -> None:
        """See the program end in order, with nothing in hand; and what it leaves behind read."""
        self.program.process.send_signal(signal.SIGTERM)
        await self.hearing
        assert await self.program.process.wait() == 0
        assert [await depth(self.caller.channel, queue) for queue in WORK_QUEUES] == [0, 0, 0]
        await self._can_be_read()

    async def _can_be_read(self) -> None:
        """See that the trail is read whole and in order, and the dead letters shown on lines."""
        stream = Stream(self._amqp_url, AUDIT_STREAM)
        end = await stream.end()
        assert end is not None
        records = [one async for batch in stream.read("first", until=end) for one in batch]
        assert [one.offset for one in records] == [*range(end + 1)]
        for one in records:
            assert encode(decode(encode(one))) == encode(one)
        lines = await _said_by("dead-letters", "list", LIFECYCLE_AMQP_URL=self._amqp_url)
        assert [line for line in lines if not line.isprintable()] == []

    async def _hear(self) -> None:
        """Read what it says: each line a JSON object in ASCII, without a control character."""
        assert self.program.process.stderr is not None
        async for line in self.program.process.stderr:
            text = line.decode("ascii").removesuffix("\n")
            assert text.isprintable(), text
            fact = json.loads(text)
            self.said[fact["event"]] += 1
            if fact["event"].rpartition(".")[2] in _BAD and fact["event"] not in _FORESEEN:
                self.bad.append(fact)


def _queues(message: Raw) -> set[str]:
    """List the work queues that a message goes to, or whose dead letter it is."""
    keys = {message.routing_key}
    if b"\x02CCA" in message.properties and b"workspace.stop" in message.properties:
        keys.add(b"workspace.stop")
    bound = {(one.name, *binding) for one in QUEUES for binding in one.bindings}
    bound |= {(name, exchange, name) for name in WORK_QUEUES for exchange in ("", DEAD_LETTER)}
    return {
        name
        for name, exchange, key in bound
        if exchange == message.exchange and key.encode() in keys and name in WORK_QUEUES
    }


async def depth(channel: AbstractChannel, queue: str) -> int:
    """Count what is ready in a queue."""
    declared = await channel.declare_queue(queue, passive=True)
    return declared.declaration_result.message_count or 0


async def _said_by(*arguments: str, **variables: str) -> list[str]:
    """Run a verb to its good end; give the lines that it prints."""
    verb = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "consumer",
        *arguments,
        env=environment(**variables),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await verb.communicate()
    assert verb.returncode == 0
    return out.decode().split("\n")


@asynccontextmanager
async def ordeal(amqp_url: str, database_url: str, **variables: str) -> AsyncIterator[Ordeal]:
    """Run a program, plant what the storms name, and open what is needed around it."""
    connection, hand = await asyncpg.connect(database_url), Hand(amqp_url)
    await connection.execute(
        "insert into workspaces (id, name, status, instance_id) values ($1, 'top', 'online', 'i')",
        WORKSPACE,
    )
    try:
        async with (
            await aio_pika.connect(amqp_url) as at_broker,
            process(amqp_url, database_url, LIFECYCLE_LOG_LEVEL="debug", **variables) as program,
        ):
            await program.until("program.started")
            caller = await WireCaller.on(at_broker, listen=False)
            await caller.events.bind("workspace.events", "workspace.pause.settled")
            one = Ordeal(program, caller, hand, connection, amqp_url)
            try:
                yield one
            finally:
                one.hearing.cancel()
                await asyncio.wait([one.hearing])
    finally:
        await hand.close()
        await connection.close()
