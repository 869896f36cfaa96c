"""A Prometheus of one's own, with the program's configuration; it ends with whoever started it."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import aiohttp
import yaml

from consumer.devstack.server import HOST, Guarded, free_ports, start

SHIPPED = Path(str(files("consumer.telemetry"))) / "prometheus"
PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
NONE = "Prometheus is not installed (Debian: apt-get install prometheus)"
EVERY = 1.0
"""Seconds between two scrapes, and between two evaluations of the rules, where that is tested."""
_PATIENCE, _GLANCE = 60.0, 0.5

Labels = Mapping[str, str]
Point = tuple[float, float]


@dataclass(frozen=True)
class Prometheus:
    """A server that answers; `began` is when it was asked first, `every` how often it scrapes."""

    url: str
    began: float
    session: aiohttp.ClientSession
    every: float

    async def get(self, path: str, **asked: str) -> Any:
        """Ask its API; give the data of its answer."""
        async with self.session.get(f"{self.url}/api/v1/{path}", params=asked) as answer:
            told = await answer.json()
            assert told["status"] == "success", told
            return told["data"]

    async def now(self, query: str, at: float | None = None) -> Sequence[tuple[Labels, float]]:
        """Ask for the value of each series at present, or `at` a Unix time."""
        when = {} if at is None else {"time": f"{at:.3f}"}
        found = (await self.get("query", query=query, **when))["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]

    async def course(
        self, query: str, begin: float, end: float, step: float
    ) -> Sequence[tuple[Labels, Sequence[Point]]]:
        """Ask for the values of each series over a time, in Unix seconds."""
        span = {"start": f"{begin:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        found = (await self.get("query_range", query=query, **span))["result"]
        return [(one["metric"], [(at, float(v)) for at, v in one["values"]]) for one in found]

    async def until(self, query: str) -> None:
        """Wait until a query finds anything."""
        async with asyncio.timeout(_PATIENCE):
            while not await self.now(query):  # noqa: ASYNC110 - only asking can tell
                await asyncio.sleep(_GLANCE)

    async def scraped(self) -> None:
        """Wait until what has happened by now was scraped, twice, and the rules evaluated."""
        since = time.time() + self.every
        await self.until(f"min(timestamp(lifecycle_ready)) > {since}")
        async with asyncio.timeout(_PATIENCE):
            while not await self._evaluated(since):  # noqa: ASYNC110 - the same
                await asyncio.sleep(_GLANCE)

    async def rules(self) -> Sequence[Mapping[str, Any]]:
        """Give each rule with its health."""
        groups = (await self.get("rules"))["groups"]
        return [rule for group in groups for rule in group["rules"]]

    async def firing(self) -> set[str]:
        """Name the alerts that fire."""
        alerts = (await self.get("alerts"))["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}

    async def _evaluated(self, since: float) -> bool:
        told = [rule["lastEvaluation"] for rule in await self.rules()]
        return min(datetime.fromisoformat(one).timestamp() for one in told) > since + self.every


@asynccontextmanager
async def prometheus(*targets: str, every: float = EVERY) -> AsyncIterator[Prometheus]:
    """Run one for the time of a block: the shipped files, scraping these `every` so many seconds.

    An alert fires as soon as its expression holds: nobody waits for a quarter of an hour here.
    """
    folder = Path(mkdtemp(prefix="workspace-lifecycle-prometheus-"))
    (port,) = free_ports(1)
    _configure(folder, targets, every)
    server = _started(folder, port)
    try:
        async with aiohttp.ClientSession() as session:
            await _ready(session, f"http://{HOST}:{port}", server)
            yield Prometheus(f"http://{HOST}:{port}", time.time(), session, every)
    finally:
        await asyncio.to_thread(server.stop)


def _started(folder: Path, port: int) -> Guarded:
    assert PROMETHEUS is not None
    command = [
        PROMETHEUS,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={HOST}:{port}",
    ]
    return start(command, log=folder / "log", folder=folder)


def _configure(folder: Path, targets: Sequence[str], every: float) -> None:
    """Write the shipped files with other places and shorter times."""
    rules = yaml.safe_load((SHIPPED / "rules.yml").read_text())
    for group in rules["groups"]:
        group["rules"] = [{k: v for k, v in rule.items() if k != "for"} for rule in group["rules"]]
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    config = yaml.safe_load((SHIPPED / "prometheus.yml").read_text())
    config["global"] = dict.fromkeys(config["global"], f"{every:.0f}s")
    config["rule_files"] = [str(folder / "rules.yml")]
    (ours,) = config["scrape_configs"]
    ours["static_configs"] = [{"targets": [*targets]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))


async def _ready(session: aiohttp.ClientSession, url: str, server: Guarded) -> None:
    async with asyncio.timeout(_PATIENCE):
        while True:
            assert server.process.poll() is None, server.tail()
            try:
                async with session.get(f"{url}/-/ready") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.1)
