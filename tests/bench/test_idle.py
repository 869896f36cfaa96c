"""Work 8: what it costs to have nothing to do: CPU, statements, and what goes to the broker."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from consumer.devstack.management import call
from consumer.devstack.stack import Stack
from tests.bench.load import Place
from tests.bench.measure import SCALE, Report
from tests.bench.roster import ROSTER

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]

_WORK = "8 idle"
_SECONDS = max(10.0, 60.0 * SCALE)
_SETTLING = 15.0
"""Seconds until the figures have all of the start: the broker gathers them every five, PostgreSQL
up to ten after a session's last transaction."""
_HEARTBEAT = 8
"""Bytes of a heartbeat's frame (AMQP 0-9-1, section 4.2.3)."""
_OTHERS = ("faststream", "celery", "aiopika")
_TRANSACTIONS = """
select xact_commit + xact_rollback from pg_stat_database where datname = $1
"""


class Servers:
    """What broker and database say of one vhost and one database."""

    def __init__(self, stack: Stack, place: Place) -> None:
        self._stack, self._place = stack, place

    async def transactions(self) -> int:
        """Tell how many transactions there were; asking is not among them."""
        watcher = await asyncpg.connect(self._stack.database_url)
        found = await watcher.fetchval(_TRANSACTIONS, self._place.database_url.rpartition("/")[2])
        await watcher.close()
        return int(found)

    async def received(self) -> tuple[int, int]:
        """Tell how many packets and bytes the broker got from the program."""
        vhost = self._place.amqp_url.rpartition("/")[2]
        path = f"vhosts/{vhost}/connections"
        found = await asyncio.to_thread(call, self._stack.management_url, "GET", path)
        mine = [
            one
            for one in found
            if one["client_properties"].get("connection_name", "").startswith("workspace-lifecycle")
        ]
        assert mine
        return sum(one["recv_cnt"] for one in mine), sum(one["recv_oct"] for one in mine)


async def test_idle(stack: Stack, place: Place, report: Report, tmp_path: Path) -> None:
    """A minute of the others, then a minute of ours, with nothing to do."""
    servers = Servers(stack, place)
    found: dict[str, list[float]] = {}
    async with AsyncExitStack() as processes:
        others = [
            (name, await processes.enter_async_context(place.running(ROSTER[name], tmp_path)))
            for name in _OTHERS
        ]
        await asyncio.sleep(_SETTLING)
        before, around = [one.cpu() for _, one in others], await servers.transactions()
        await asyncio.sleep(_SECONDS)
        around = await servers.transactions() - around
        for (name, one), was in zip(others, before, strict=True):
            found[name] = [100 * (one.cpu() - was) / _SECONDS]
    async with place.running(ROSTER["ours"], tmp_path) as ours:
        await asyncio.sleep(_SETTLING)
        was, transactions, (packets, octets) = (
            ours.cpu(),
            await servers.transactions(),
            await servers.received(),
        )
        await asyncio.sleep(_SECONDS)
        found = {"ours": [100 * (ours.cpu() - was) / _SECONDS], **found}
        transactions = await servers.transactions() - transactions
        packets, octets = (
            now - then
            for now, then in zip(await servers.received(), (packets, octets), strict=True)
        )
    cpu = report.compare(_WORK, "CPU, percent of a core", "%", found, "aiopika")["ours"]
    report.note(_WORK, "transactions of the database", transactions, "")
    report.note(_WORK, "transactions of the database", around, "", "without it")
    report.note(_WORK, "packets to the broker", packets, "")
    beyond = octets - _HEARTBEAT * packets
    report.aim(_WORK, "percent of a core", cpu, "at most", 0.5)
    report.aim(_WORK, "transactions beyond those without it", transactions - around, "at most", 0)
    report.aim(_WORK, "bytes to the broker beyond heartbeats", beyond, "at most", 0)
