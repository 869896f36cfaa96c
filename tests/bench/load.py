"""What is planted and sent, and where it is counted: one vhost and one database for everybody."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self, TypeAlias
from uuid import UUID, uuid4

import aio_pika
import asyncpg
from aio_pika.abc import AbstractChannel
from pamqp.commands import Basic

from consumer.broker.topology import declare
from consumer.devstack.management import call
from tests.bench.contenders.shape import EXECUTOR_QUEUE
from tests.bench.roster import Contender
from tests.bench.running import Running, started
from tests.support.wire import Wire, form

Row: TypeAlias = tuple[UUID, str, UUID | None]
"""A workspace: its id, its name of eight characters, and its parent."""
REPLIES, SUMMARIES = "bench.replies", "bench.summaries"
_ID, _WORKSPACE = "-" * 36, "+" * 36
_LOOK = 0.002
_PATIENCE = 300.0
_OURS = "lifecycle.operation, lifecycle.target, lifecycle.inbox, lifecycle.outbox"
_AROUND_A_TASK = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


class Place:
    """A vhost with its queues, and a database."""

    def __init__(
        self,
        urls: tuple[str, str],
        channel: AbstractChannel,
        database: "asyncpg.Connection[asyncpg.Record]",
        wire: Wire,
    ) -> None:
        self.amqp_url, self.database_url = urls
        self.channel, self.database, self.wire = channel, database, wire

    @classmethod
    @asynccontextmanager
    async def opened(cls, amqp_url: str, database_url: str) -> AsyncIterator[Self]:
        """Declare the program's topology, and queues that keep summaries and replies."""
        await declare(amqp_url)
        database, wire = await asyncpg.connect(database_url), await Wire.open(amqp_url)
        async with await aio_pika.connect(amqp_url) as broker:
            channel = await broker.channel()
            await channel.declare_queue(REPLIES, durable=True)
            summaries = await channel.declare_queue(SUMMARIES, durable=True)
            await summaries.bind("workspace.events", "workspace.*.summary")
            try:
                yield cls((amqp_url, database_url), channel, database, wire)
            finally:
                await database.close()
                await wire.close()

    @asynccontextmanager
    async def running(
        self, contender: Contender, scratch: Path, amqp_url: str | None = None
    ) -> AsyncIterator[Running]:
        """Run a contender here, from when it consumes until the block ends.

        `amqp_url`: of whoever stands before the broker.
        """
        environment = contender.environment(amqp_url or self.amqp_url, self.database_url)
        log = scratch / f"{contender.name}-{uuid4()}.log"
        async with started(contender.arguments, log, environment, contender.folder) as process:
            await process.until(contender.ready)
            yield process

    async def plant(self, trees: int, size: int) -> list[UUID]:
        """Plant so many trees of one size and nothing else; give their tops."""
        planted = [self.tree(size) for _ in range(trees)]
        await self.replant([row for _, rows in planted for row in rows])
        await self.database.execute("vacuum analyze workspaces")
        return [top for top, _ in planted]

    @staticmethod
    def tree(size: int) -> tuple[UUID, list[Row]]:
        """Make a tree with ten below each; give its top and its rows."""
        ids = [uuid4() for _ in range(size)]
        rows = [(one, f"w{i:07}", ids[(i - 1) // 10] if i else None) for i, one in enumerate(ids)]
        return ids[0], rows

    async def replant(self, rows: Sequence[Row]) -> None:
        """Put these workspaces where others were; what the program knows of those goes too."""
        await self.database.execute(f"truncate workspaces, {_OURS}")
        await self.database.copy_records_to_table(
            "workspaces", records=[(*row, "online", "http://w", "i-0123456789") for row in rows],
            columns=["id", "name", "parent_id", "status", "url", "instance_id"],
        )  # fmt: skip

    async def clear(self) -> None:
        """Empty the queues."""
        for name in (EXECUTOR_QUEUE, REPLIES, SUMMARIES):
            await (await self.channel.get_queue(name, ensure=False)).purge()

    async def send(self, contender: Contender, tops: Sequence[UUID], *, reply: bool) -> None:
        """Publish a command for each tree, as this contender reads it."""
        reply_to = REPLIES if reply else None
        await self.wire.publish(one for _, one in commands(contender, tops, reply_to))

    async def depth(self, queue: str) -> int:
        """Tell how many messages wait in a queue."""
        found = await self.channel.declare_queue(queue, passive=True)
        return found.declaration_result.message_count or 0

    async def arrived(self, **counts: int) -> None:
        """Wait until queues hold at least so many messages: `stops`, `summaries`, `replies`."""
        names = {"stops": EXECUTOR_QUEUE, "summaries": SUMMARIES, "replies": REPLIES}
        for name, count in counts.items():
            await self.held(names[name], count)

    async def held(self, queue: str, count: int) -> None:
        """Wait until a queue holds at least so many messages: only asking can tell."""
        async with asyncio.timeout(_PATIENCE):
            while await self.depth(queue) < count:  # noqa: ASYNC110 (see above)
                await asyncio.sleep(_LOOK)

    async def versions(self, management_url: str) -> dict[str, str]:
        """Tell what the servers are."""
        broker = await asyncio.to_thread(call, management_url, "GET", "overview")
        postgres = await self.database.fetchval("show server_version")
        return {"RabbitMQ": broker["rabbitmq_version"], "PostgreSQL": postgres.split()[0]}

    async def account(self, *, stops: int, summaries: int, replies: int) -> None:
        """See that the work was done: all paused, nothing missing, nothing double."""
        online = "select count(*) from workspaces where status <> 'paused'"
        assert await self.database.fetchval(online) == 0
        found = {name: await self.depth(name) for name in (EXECUTOR_QUEUE, SUMMARIES, REPLIES)}
        assert found == {EXECUTOR_QUEUE: stops, SUMMARIES: summaries, REPLIES: replies}


def commands(
    contender: Contender, tops: Sequence[UUID], reply_to: str | None
) -> Iterator[tuple[str, bytes]]:
    """Write a command for each tree, each with an id of its own; give both."""
    written = _task(reply_to) if contender.speaks == "celery" else _command(reply_to)
    ids = written.count(b"%b") - 1
    for top in tops:
        identity = str(uuid4())
        yield identity, written % (*[identity.encode()] * ids, str(top).encode())


def _command(reply_to: str | None) -> bytes:
    """Write the program's command; the ids come before the workspace."""
    body = json.dumps({"workspace_id": _WORKSPACE, "cascade": True}).encode()
    properties = Basic.Properties(
        content_type="application/json", delivery_mode=2, message_id=_ID, correlation_id=_ID,
        reply_to=reply_to, app_id="bench",
    )  # fmt: skip
    return form("workspace.commands", "workspace.pause", properties, body, [_ID, _WORKSPACE])


def _task(reply_to: str | None) -> bytes:
    """Write Celery's task (Celery documentation, Message Protocol, version 2)."""
    body = json.dumps([[_WORKSPACE, reply_to], {}, _AROUND_A_TASK]).encode()
    properties = Basic.Properties(
        content_type="application/json", content_encoding="utf-8", delivery_mode=2,
        headers={"lang": "py", "task": "workspace.pause", "id": _ID, "root_id": _ID},
        correlation_id=_ID,
    )  # fmt: skip
    return form("workspace.commands", "workspace.pause", properties, body, [_ID, _WORKSPACE])
