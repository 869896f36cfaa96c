"""What the servers hold, read when somebody asks: what waits, what is parked, who is away."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Generic, TypeVar

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from consumer.broker.depth import Depths
from consumer.broker.stream import Stream
from consumer.observe import say
from consumer.store.archive import newest_marks
from consumer.store.pool import Database
from consumer.store.waiting import Waiting, waiting
from consumer.telemetry.metrics import Metrics
from schemas.catalog import TRIGGERS_QUEUE
from schemas.topology import WORK_QUEUES, dead

_FRESH, _FRESH_LAG = 3.0, 30.0
"""Seconds for which a reading holds. The stream's end is told over a connection of its own."""
_PATIENCE = 2.0
"""Seconds that a scrape waits for servers; Prometheus itself gives it ten."""
_SEARCHED = 100
_T = TypeVar("_T")


class Reading(Generic[_T]):
    """One thing that is read at most every `fresh` seconds, and never twice at once.

    Attributes:
        value: what was read last; None where that failed, or takes too long.

    """

    def __init__(self, read: Callable[[], Awaitable[_T]], fresh: float) -> None:
        self._read, self._fresh = read, fresh
        self._due = 0.0
        self._task: asyncio.Task[_T | None] | None = None
        self.value: _T | None = None

    def begin(self) -> "asyncio.Task[_T | None] | None":
        """Begin to read where that is due; give what is under way."""
        now = asyncio.get_running_loop().time()
        if self._task is None and now >= self._due:
            self._task = asyncio.create_task(self._reading(), name="reading for metrics")
            self._due = now + self._fresh
        return self._task

    def end(self) -> None:
        """Take what was read. What is still under way is known next time, and not before."""
        if self._task is None:
            return
        self.value = self._task.result() if self._task.done() else None
        if self._task.done():
            self._task = None

    async def close(self) -> None:
        """Break off what is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _reading(self) -> _T | None:
        try:
            return await self._read()
        except Exception as error:  # noqa: BLE001 (whatever it is, the rest can be scraped)
            say("reading.failed", why=str(error))
            return None


class Standing(Collector):
    """A service, and a collector of gauges. Idle and without a connection until asked.

    A server that is away fails no scrape and holds none up: what it would have told is left out.
    `archive`: this process writes the archive, and tells how far behind that is. A reading of the
    others holds for `fresh` seconds.
    """

    def __init__(
        self,
        metrics: Metrics,
        database: Database,
        depths: Depths,
        archive: Stream | None,
        is_ready: Callable[[], bool],
        *,
        fresh: float = _FRESH,
    ) -> None:
        self._metrics, self._database, self._depths = metrics, database, depths
        self._is_ready = is_ready
        self._waiting = Reading(self._read_waiting, fresh)
        self._queues = Reading(depths.read, fresh)
        self._lag = Reading(lambda: self._read_lag(archive), _FRESH_LAG) if archive else None
        metrics.registry.register(self)

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Do nothing until `stop`; then let go of the broker."""
        ready()
        await stop.wait()
        for reading in self._readings():
            await reading.close()
        await self._depths.close()

    async def page(self) -> bytes:
        """Give all metrics, with what the servers hold now."""
        tasks = [task for one in self._readings() if (task := one.begin()) is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=_PATIENCE)
        for reading in self._readings():
            reading.end()
        return self._metrics.text()

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Name nothing beforehand: what there is depends on who answers."""
        yield from ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the gauges of the last reading."""
        yield _gauge("ready", "1: it does its work, as /readyz says", float(self._is_ready()))
        up = GaugeMetricFamily("lifecycle_up", "1: the server answered", labels=["server"])
        up.add_metric(["database"], float(self._waiting.value is not None))
        up.add_metric(["broker"], float(self._queues.value is not None))
        yield up
        if self._waiting.value is not None:
            yield from _of_waiting(self._waiting.value)
        if self._queues.value is not None:
            yield from _of_queues(self._queues.value)
        if self._lag is not None and self._lag.value is not None:
            yield _gauge("archive_lag_messages", "Messages not yet archived", self._lag.value)

    def _readings(self) -> "list[Reading[Waiting] | Reading[Mapping[str, int]] | Reading[int]]":
        lag = [self._lag] if self._lag else []
        return [self._waiting, self._queues, *lag]

    async def _read_waiting(self) -> Waiting:
        async with self._database.connection() as connection:
            return await waiting(connection)

    async def _read_lag(self, stream: Stream) -> int:
        """Count what the stream holds behind the last cut that is written whole."""
        end = await stream.end()
        async with self._database.connection() as connection:
            marks = await newest_marks(connection, _SEARCHED)
        last = next((mark.last_offset for mark in marks if mark.manifest is not None), -1)
        return 0 if end is None else max(0, end - last)


def _of_waiting(found: Waiting) -> Iterator[GaugeMetricFamily]:
    yield _gauge("outbox_depth", "Outbox rows not yet published, to 10001", found.outbox)
    yield _gauge("outbox_oldest_age_seconds", "Age of the oldest of them", found.oldest or 0)
    yield _gauge("operations_open", "Operations that are not settled", found.open)


def _of_queues(found: Mapping[str, int]) -> Iterator[GaugeMetricFamily]:
    ready = GaugeMetricFamily(
        "lifecycle_queue_depth", "Messages ready in a queue", labels=["queue"]
    )
    parked = GaugeMetricFamily(
        "lifecycle_dead_letters", "Dead letters of a queue", labels=["queue"]
    )
    for queue in (*WORK_QUEUES, TRIGGERS_QUEUE):
        if queue in found:
            ready.add_metric([queue], found[queue])
        if dead(queue) in found:
            parked.add_metric([queue], found[dead(queue)])
    yield from (ready, parked)


def _gauge(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"lifecycle_{name}", help_text, value=value)
