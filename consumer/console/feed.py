"""What the page shows, read once for all who look, and told as it changes."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from typing import Any

from consumer.broker.ask import Caller, UnroutableError
from consumer.broker.connection import CLOSING, Backoff
from consumer.broker.depth import Depths
from consumer.message import UnavailableError
from consumer.store.forest import Node, forest
from consumer.store.history import Entry, open_operations, recent_operations, rejections
from consumer.store.migrate import check
from consumer.store.pool import Connection, opened
from consumer.store.waiting import waiting
from schemas.catalog import EVENTS, TRIGGERS_QUEUE
from schemas.strict import rfc3339
from schemas.topology import WORK_QUEUES, with_dead

_MOST_NODES, _MOST_OPERATIONS, _MOST_REJECTIONS = 10_000, 30, 20
_MOST_LISTED = 200
"""Descendants of a rejection that the page gets: the rest is counted."""
_QUIET = 5.0
"""Seconds after which to look although nothing was heard: the platform changes statuses too."""
_GATHERED = 0.3
"""Seconds in which what is heard is answered with one look."""
_UNREAD = 64
"""Messages a browser may be behind before it is let go; it comes back by itself."""

Message = tuple[str, str]
Parts = Mapping[str, Any]


class Feed:
    """Reads while anybody looks; each who looks gets all of it first, and then what changed."""

    def __init__(self, amqp_url: str, database_url: str) -> None:
        self._amqp_url, self._database_url = amqp_url, database_url
        self._depths = Depths(
            amqp_url,
            with_dead(WORK_QUEUES),
            optional=with_dead([TRIGGERS_QUEUE]),
        )
        self._told: dict[str, str] = {}
        self._looking: set[asyncio.Queue[Message | None]] = set()
        self._news = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Read until `stop`; those who look are told that it is over."""
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._look())]
        try:
            waiting = asyncio.create_task(stop.wait())
            await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            # Not again within the time that closing may take, or that is broken off.
            while running := [task for task in tasks if not task.done()]:
                for task in running:
                    task.cancel()
                await asyncio.wait(running, timeout=2 * CLOSING)
            await self._depths.close()
            for one in self._looking:
                one.put_nowait(None)

    @contextmanager
    def looking(self) -> Iterator[Callable[[], Awaitable[Message | None]]]:
        """Look for the time of a block: call for the next (part, JSON), None when it is over."""
        mine: asyncio.Queue[Message | None] = asyncio.Queue()
        for message in self._told.items():
            mine.put_nowait(message)
        self._looking.add(mine)
        self._news.set()
        try:
            yield mine.get
        finally:
            self._looking.discard(mine)

    async def _listen(self) -> None:
        """Be woken by what is said of operations; where the broker is away, look all the same."""
        backoff = Backoff()
        while True:
            with suppress(UnavailableError, UnroutableError):
                async with (
                    Caller(self._amqp_url, "workspace-lifecycle console") as caller,
                    caller.listen(EVENTS, "#") as heard,
                ):
                    backoff.reset()
                    async for _ in heard:
                        self._news.set()
            self._news.set()
            await asyncio.sleep(backoff.next())

    async def _look(self) -> None:
        backoff = Backoff()
        while True:
            try:
                async with opened(self._database_url, 1) as database:
                    async with database.connection() as connection:
                        await check(connection)
                    while True:
                        await self._wanted()
                        async with database.connection() as connection:
                            self._tell(await _read_store(connection) | {"database": None})
                        backoff.reset()
                        self._tell(await self._read_broker())
                        await self._pause()
            except UnavailableError as error:
                self._tell({"database": str(error)})
                await asyncio.sleep(backoff.next())

    async def _wanted(self) -> None:
        while not self._looking:
            self._news.clear()
            await self._news.wait()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_QUIET):
                await self._news.wait()
        await asyncio.sleep(_GATHERED)
        self._news.clear()

    async def _read_broker(self) -> dict[str, Any]:
        try:
            return {"queues": dict(await self._depths.read()), "broker": None}
        except UnavailableError as error:
            return {"broker": str(error)}

    def _tell(self, parts: Parts) -> None:
        """Tell everybody what is not as it was told before."""
        for part, value in parts.items():
            text = json.dumps(value, default=_plain)
            if self._told.get(part) == text:
                continue
            self._told[part] = text
            for one in tuple(self._looking):
                if one.qsize() >= _UNREAD:
                    self._looking.discard(one)
                    one.put_nowait(None)
                else:
                    one.put_nowait((part, text))


async def _read_store(connection: Connection) -> dict[str, Any]:
    """Read what the database tells: the forest, operations, rejections, what waits."""
    nodes = await forest(connection, None, _MOST_NODES)
    running = await open_operations(connection, _MOST_OPERATIONS, None)
    recent = await recent_operations(connection, _MOST_OPERATIONS)
    return {
        "forest": {"nodes": _nodes(nodes), "cut": len(nodes) == _MOST_NODES},
        "operations": _operations(running, recent),
        "rejections": [_rejection(*one) for one in await rejections(connection, _MOST_REJECTIONS)],
        "waiting": asdict(await waiting(connection)),
    }


def _nodes(nodes: Sequence[Node]) -> list[Sequence[Any]]:
    return [(n.workspace_id, n.parent_id, n.name, n.status, n.active_tasks) for n in nodes]


def _operations(running: Sequence[Entry], recent: Sequence[Entry]) -> list[dict[str, Any]]:
    """Put what is open before what is over, each once."""
    over = [one for one in recent if one.settled_at is not None and one.outcome == "carried"]
    return [asdict(one) for one in (*running, *over)][:_MOST_OPERATIONS]


def _rejection(app_id: str, answer: bytes) -> Mapping[str, Any]:
    """Give what was refused, to whom and why, with the first of what it listed."""
    event: dict[str, Any] = json.loads(answer)
    data: dict[str, Any] = event["data"]
    shown = {"descendants": data["descendants"][:_MOST_LISTED]}
    return data | shown | {"app_id": app_id, "time": event["time"]}


def _plain(value: object) -> str:
    return rfc3339(value) if isinstance(value, datetime) else str(value)
