"""Work 8: what it costs to have nothing to do: CPU, statements, and what goes to the broker."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest
from pamqp.base import Frame
from pamqp.heartbeat import Heartbeat

from consumer.devstack.stack import Stack
from tests.bench.load import Place
from tests.bench.measure import SCALE, Report
from tests.bench.roster import ROSTER
from tests.broker.tap import tap_before

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]

_WORK = "8 idle"
_SECONDS = max(10.0, 60.0 * SCALE)
_SETTLING = 15.0
"""Seconds until the figures have all of the start: PostgreSQL gathers them up to ten after a
session's last transaction."""
_OTHERS = ("faststream", "celery", "aiopika")
_TRANSACTIONS = """
select xact_commit + xact_rollback from pg_stat_database where datname = $1
"""


class Server:
    """What PostgreSQL says of one database."""

    def __init__(self, stack: Stack, place: Place) -> None:
        self._stack, self._place = stack, place

    async def transactions(self) -> int:
        """Tell how many transactions there were; asking is not among them."""
        watcher = await asyncpg.connect(self._stack.database_url)
        found = await watcher.fetchval(_TRANSACTIONS, self._place.database_url.rpartition("/")[2])
        await watcher.close()
        return int(found)


async def test_idle(stack: Stack, place: Place, report: Report, tmp_path: Path) -> None:
    """A minute of the others, then a minute of ours, with nothing to do."""
    server = Server(stack, place)
    found: dict[str, list[float]] = {}
    async with AsyncExitStack() as processes:
        others = [
            (name, await processes.enter_async_context(place.running(ROSTER[name], tmp_path)))
            for name in _OTHERS
        ]
        await asyncio.sleep(_SETTLING)
        before, around = [one.cpu() for _, one in others], await server.transactions()
        await asyncio.sleep(_SECONDS)
        around = await server.transactions() - around
        for (name, one), was in zip(others, before, strict=True):
            found[name] = [100 * (one.cpu() - was) / _SECONDS]
    async with (
        tap_before(place.amqp_url) as tap,
        place.running(ROSTER["ours"], tmp_path, tap.url) as ours,
    ):
        await asyncio.sleep(_SETTLING)
        was, transactions = ours.cpu(), await server.transactions()
        heartbeats, methods = len(tap.methods(Heartbeat)), len(tap.methods(Frame))
        await asyncio.sleep(_SECONDS)
        found = {"ours": [100 * (ours.cpu() - was) / _SECONDS], **found}
        transactions = await server.transactions() - transactions
        heartbeats = len(tap.methods(Heartbeat)) - heartbeats
        methods = len(tap.methods(Frame)) - methods
    cpu = report.compare(_WORK, "CPU, percent of a core", "%", found, "aiopika")["ours"]
    report.note(_WORK, "transactions of the database", transactions, "")
    report.note(_WORK, "transactions of the database", around, "", "without it")
    report.note(_WORK, "heartbeats to the broker", heartbeats, "")
    report.aim(_WORK, "percent of a core", cpu, "at most", 0.5)
    report.aim(_WORK, "transactions beyond those without it", transactions - around, "at most", 0)
    report.aim(_WORK, "methods to the broker beside heartbeats", methods, "at most", 0)
