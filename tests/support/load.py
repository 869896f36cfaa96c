"""Commands without end, drawn by a seed, on trees of three; and what was sent of them."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID, uuid4

import aio_pika
import asyncpg
from aio_pika.abc import AbstractChannel, AbstractQueue

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


@dataclass
class Load:
    """Sends commands and keeps count of what the broker took.

    Attributes:
        sent: how often each command was sent, by its id.

    """

    channel: AbstractChannel
    roots: Sequence[UUID]
    random: Random
    sent: Counter[str] = field(default_factory=Counter)
    _last: tuple[str, bytes, str] | None = None

    async def send(self, count: int) -> None:
        """Publish so many commands, confirmed; one in ten is one that was sent before."""
        exchange = await self.channel.get_exchange("workspace.commands", ensure=False)
        for _ in range(count):
            kind, body, identity = self._drawn()
            message = aio_pika.Message(
                body, message_id=identity, app_id="load", reply_to=REPLIES, delivery_mode=2
            )
            await exchange.publish(message, kind)
            self.sent[identity] += 1

    def _drawn(self) -> tuple[str, bytes, str]:
        if self._last is not None and self.random.random() < _AGAIN:
            return self._last
        weights = [weight for weight, *_ in _KINDS]
        ((_, kind, fields),) = self.random.choices(_KINDS, weights)
        data = {"workspace_id": str(self.random.choice(self.roots)), **fields}
        self._last = kind, json.dumps(data).encode(), str(uuid4())
        return self._last


async def load(
    channel: AbstractChannel,
    connection: "asyncpg.Connection[asyncpg.Record]",
    seed: int,
    trees: int = 20,
) -> Load:
    """Plant the trees, and have everything that is said kept in queues of the trial's own."""
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
    heard = await kept(channel, HEARD)
    for exchange in ("workspace.events", "workspace.commands"):
        await heard.bind(exchange, "#")
    await kept(channel, REPLIES)
    return Load(channel, [row[0] for row in rows if row[2] is None], Random(seed))


async def kept(channel: AbstractChannel, name: str) -> AbstractQueue:
    """Declare a queue that keeps what it gets."""
    return await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
