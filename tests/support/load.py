"""Commands without end, drawn by a seed, on trees of three; and what was sent of them."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import cycle
from random import Random
from typing import Any
from uuid import UUID, uuid4

import aio_pika
import asyncpg
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractQueue
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

HEARD, REPLIES = "trial.heard", "trial.replies"
_KINDS: Sequence[tuple[int, str, Mapping[str, Any]]] = (
    (4, "workspace.pause", {"cascade": True}),
    (4, "workspace.resume", {"cascade": True}),
    (1, "workspace.pause", {}),
    (1, "workspace.pause", {"cascade": True, "dry_run": True}),
    (1, "workspace.pause", {"cascad": True}),
    (1, "workspace.resume", {"workspace_id": "00000000-0000-4000-8000-000000000000"}),
)
_AGAIN = 0.1
_PATIENCE = 10.0
_AWAY = (AMQPError, ChannelInvalidStateError, OSError, TimeoutError, RuntimeError)


class Load:
    """Sends commands and keeps count of what the broker took.

    Attributes:
        roots: the workspaces that are named.
        sent: how often each command was sent, by its id.
        wanted: those, and the one that the broker has not taken yet.

    """

    def __init__(self, urls: Sequence[str], roots: Sequence[UUID], seed: int) -> None:
        self.roots, self.sent, self.wanted = roots, Counter[str](), set[str]()
        self._urls, self._random = cycle(urls), Random(seed)
        self._turn = asyncio.Lock()
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._last: tuple[str, bytes, str] | None = None

    @property
    def channel(self) -> AbstractChannel:
        """The channel that is open now."""
        assert self._channel is not None
        return self._channel

    async def open(self) -> None:
        """Connect, as often as it takes, to one node after the other where there are several."""
        while True:
            await self.close()
            with suppress(*_AWAY):
                async with asyncio.timeout(_PATIENCE):
                    self._connection = await aio_pika.connect(next(self._urls))
                    self._channel = await self._connection.channel(on_return_raises=True)
                    await self._channel.get_exchange("workspace.commands")
                    return
            await asyncio.sleep(0.2)

    async def close(self) -> None:
        """Let the connection go, if there is one."""
        if self._connection is not None:
            with suppress(*_AWAY):
                async with asyncio.timeout(_PATIENCE):
                    await self._connection.close()
            self._connection = None

    async def send(self, count: int) -> None:
        """Publish so many commands, each until it is confirmed; one in ten was sent before."""
        for _ in range(count):
            async with self._turn:
                kind, body, identity = self._drawn()
                self.wanted.add(identity)
                message = aio_pika.Message(
                    body, message_id=identity, app_id="load", reply_to=REPLIES, delivery_mode=2
                )
                while not await self._taken(kind, message):
                    await self.open()
                self.sent[identity] += 1

    async def _taken(self, kind: str, message: aio_pika.Message) -> bool:
        with suppress(*_AWAY):
            async with asyncio.timeout(_PATIENCE):
                exchange = await self.channel.get_exchange("workspace.commands", ensure=False)
                await exchange.publish(message, kind)
                return True
        return False

    def _drawn(self) -> tuple[str, bytes, str]:
        if self._last is not None and self._random.random() < _AGAIN:
            return self._last
        weights = [weight for weight, *_ in _KINDS]
        ((_, kind, fields),) = self._random.choices(_KINDS, weights)
        data = {"workspace_id": str(self._random.choice(self.roots)), **fields}
        self._last = kind, json.dumps(data).encode(), str(uuid4())
        return self._last


@asynccontextmanager
async def loading(
    url: str,
    connection: "asyncpg.Connection[asyncpg.Record]",
    seed: int,
    trees: int = 20,
    others: Sequence[str] = (),
) -> AsyncIterator[Load]:
    """Plant the trees, and have everything that is said kept in queues of the trial's own.

    `others` are further nodes of the broker's cluster.
    """
    rows: list[tuple[UUID, str, UUID | None]] = []
    for number in range(trees):
        root, child = uuid4(), uuid4()
        rows += [(root, f"r{number}", None), (child, f"c{number}", root)]
        rows.append((uuid4(), f"g{number}", child))
    await connection.executemany(
        "insert into workspaces (id, name, parent_id, status, instance_id)"
        " values ($1, $2, $3, 'online', 'i-' || $2)",
        rows,
    )
    sent = Load([url, *others], [row[0] for row in rows if row[2] is None], seed)
    await sent.open()
    try:
        heard = await kept(sent.channel, HEARD)
        for exchange in ("workspace.events", "workspace.commands"):
            await heard.bind(exchange, "#")
        await kept(sent.channel, REPLIES)
        yield sent
    finally:
        await sent.close()


async def kept(channel: AbstractChannel, name: str) -> AbstractQueue:
    """Declare a queue that keeps what it gets."""
    return await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
