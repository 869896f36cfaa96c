"""What the servers hold, at /metrics: read when asked, and left out where a server is away."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import perf_counter
from typing import TYPE_CHECKING

import pytest

from consumer.broker.depth import Depths
from consumer.observe import listening
from consumer.store.pool import opened
from consumer.telemetry.metrics import Metrics
from consumer.telemetry.standing import Reading, Standing
from consumer.trigger import Trigger, Triggers
from schemas.topology import WORK_QUEUES, with_dead
from tests.broker.gate import Gate, gate_before
from tests.broker.tools import Facts
from tests.support.caller import WireCaller
from tests.support.documented import Users
from tests.support.fleet import launch
from tests.support.forest import Forest
from tests.support.front import Front
from tests.support.front import until as asked
from tests.support.scraping import Scrape, scrape
from tests.telemetry.conftest import Measured

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

Standings = Callable[..., AbstractAsyncContextManager[Standing]]
WORK = {*WORK_QUEUES}


async def test_what_waits_is_told(
    measured: Measured, caller: WireCaller, forest: Forest, database_url: str
) -> None:
    """Orders nobody takes, an operation they leave open, outbox rows without a relay."""
    assert database_url
    top = await forest.plant("top", "top/a", "top/b")
    async with measured("commands", executor="none") as listen:
        empty = await scrape(listen)
        assert empty.value("lifecycle_outbox_depth") == 0
        assert empty.value("lifecycle_outbox_oldest_age_seconds") == 0
        assert empty.value("lifecycle_operations_open") == 0
        await caller.send("workspace.pause", {"workspace_id": top, "cascade": True})
        await caller.send("no.such", b"{}", exchange="", routing_key="lifecycle.commands")
        await caller.send("workspace.stop", b"{}")
        found = await until(listen, "lifecycle_outbox_depth", 2)
        found = await until(listen, "lifecycle_dead_letters", 1, queue="lifecycle.commands")
    assert found.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert found.value("lifecycle_operations_open") == 1
    assert 0 < (found.value("lifecycle_outbox_oldest_age_seconds") or 0) < 60
    assert found.value("lifecycle_queue_depth", queue="lifecycle.executor") == 1
    assert found.value("lifecycle_dead_letters", queue="lifecycle.results") == 0
    assert {labels["queue"] for labels, _ in found.samples["lifecycle_queue_depth"]} == WORK
    assert {labels["queue"] for labels, _ in found.samples["lifecycle_dead_letters"]} == WORK
    assert found.value("lifecycle_up", server="database") == 1
    assert found.value("lifecycle_up", server="broker") == 1
    assert found.value("lifecycle_ready") == 1
    assert "lifecycle_archive_lag_messages" not in found.samples


async def test_events_that_wait_for_a_trigger_are_told(
    measured: Measured, caller: WireCaller, database_url: str
) -> None:
    """By every process that has the file; and the first that is parked is counted from 0."""
    assert database_url
    rule = Trigger(name="n", exchange="billing", routing_key="#", action="pause", workspace="$.id")
    await caller.channel.declare_exchange("billing", "topic", durable=True)
    async with measured("commands", triggers_file=Triggers(trigger=(rule,))) as listen:
        await caller.send("spent", b"{}", exchange="", routing_key="lifecycle.triggers")
        found = await until(listen, "lifecycle_queue_depth", 1, queue="lifecycle.triggers")
    assert found.value("lifecycle_dead_letters", queue="lifecycle.triggers") == 0
    assert found.value("lifecycle_deliveries_parked_total", queue="lifecycle.triggers") == 0


async def until(listen: str, name: str, value: float, **labels: str) -> Scrape:
    """Scrape until a gauge has a value."""
    found = await scrape(listen)
    async with asyncio.timeout(45):
        while found.value(name, **labels) != value:
            await asyncio.sleep(0.5)
            found = await scrape(listen)
    return found


async def test_calls_throttles_confirms_and_settlement_are_told(
    measured: Measured, caller: WireCaller, forest: Forest, front: Front, aws: "EC2Client"
) -> None:
    """Of a pause that EC2 first takes no notice of, and that ends well."""
    top = await forest.plant("top", "top/a", "top/b")
    statement = "update workspaces set instance_id = $1 where name = $2"
    machines = zip(launch(aws, 3), ("top", "a", "b"), strict=True)
    await forest.connection.executemany(statement, [*machines])
    front.refusals["StopInstances"] = (503, "RequestLimitExceeded")
    async with measured(executor="ec2") as listen:
        answer = await caller.pause(top, cascade=True)
        await asked(lambda: front.asked.count("StopInstances") > 1)  # so the first was refused
        front.refusals.clear()
        operation = answer.data["operation_id"]
        await caller.hear("workspace.pause.settled", operation_id=operation)
        # What was done is counted after it was done, and may be heard of before that.
        orders = {"action": "stop", "outcome": "carried_out", "code": ""}
        await until(listen, "lifecycle_executor_orders_total", 3, **orders)
        await until(listen, "lifecycle_results_total", 3, outcome="succeeded")
        settlement = "lifecycle_operation_settlement_seconds"
        await until(listen, f"{settlement}_count", 1, action="pause")
        # Three stops, the summary, its reply and the settled event.
        found = await until(listen, "lifecycle_outbox_published_total", 6)
    calls = "lifecycle_executor_calls_total"
    assert (found.value(calls, call="stop", outcome="throttled") or 0) >= 1
    assert (found.value(calls, call="stop", outcome="ok") or 0) >= 1
    assert (found.value(calls, call="look", outcome="ok") or 0) >= 2
    assert 0 < (found.value(f"{settlement}_sum", action="pause") or 0) < 60
    assert 0 < (found.value("lifecycle_outbox_confirm_duration_seconds_sum") or 0) < 60


async def test_how_far_the_archive_is_behind_is_told(
    measured: Measured, caller: WireCaller, forest: Forest, bucket_url: str
) -> None:
    """In messages, where this process archives."""
    top = await forest.plant("top")
    async with measured(archive_url=bucket_url, archive_every=600.0) as listen:
        await caller.pause(top)
        found = await scrape(listen)
        assert (found.value("lifecycle_archive_lag_messages") or 0) > 0
    facts = Facts()
    with listening(facts.listen):
        async with measured(archive_url=bucket_url, archive_every=0.2) as listen:
            await facts.wait("archive.finished")
            found = await until(listen, "lifecycle_archive_lag_messages", 0)
    assert (found.value("lifecycle_archive_records_total") or 0) > 0
    assert (found.value("lifecycle_archive_finished_timestamp_seconds") or 0) > 1e9


async def test_the_documented_user_may_look(measured: Measured, users: Users) -> None:
    """The program's least rights are enough, save for dead letters on a broker that hides them."""
    async with measured(amqp_url=users["lifecycle"]) as listen:
        found = await scrape(listen)
    assert found.value("lifecycle_up", server="broker") == 1
    assert {labels["queue"] for labels, _ in found.samples["lifecycle_queue_depth"]} == WORK
    shown = {labels["queue"] for labels, _ in found.samples.get("lifecycle_dead_letters", ())}
    assert shown in ({*WORK}, set())


@pytest.fixture
async def broker(declared_url: str) -> AsyncIterator[Gate]:
    """Put a gate before the broker."""
    async with gate_before(declared_url) as gate:
        yield gate


@pytest.fixture
async def postgres(database_url: str) -> AsyncIterator[Gate]:
    """Put a gate before the database."""
    async with gate_before(database_url) as gate:
        yield gate


@pytest.fixture
def standing_of(broker: Gate, postgres: Gate) -> Standings:
    """Run the service behind both gates."""

    @asynccontextmanager
    async def run(fresh: float) -> AsyncIterator[Standing]:
        stop = asyncio.Event()
        async with opened(postgres.url, 2) as database:
            depths = Depths(broker.url, with_dead(WORK_QUEUES))
            service = Standing(Metrics(), database, depths, None, lambda: True, fresh=fresh)
            task = asyncio.create_task(service.run(lambda: None, stop))
            yield service
            stop.set()
            await task

    return run


async def read(standing: Standing) -> tuple[Scrape, float]:
    """Scrape, and tell how long that took."""
    began = perf_counter()
    text = await standing.page()
    return Scrape.of(text.decode()), perf_counter() - began


OF = {"broker": "lifecycle_queue_depth", "database": "lifecycle_outbox_depth"}


@pytest.mark.parametrize(("server", "other"), [("broker", "database"), ("database", "broker")])
async def test_a_server_that_is_away_neither_fails_nor_holds_up_a_scrape(
    standing_of: Standings, broker: Gate, postgres: Gate, server: str, other: str
) -> None:
    """Its gauges are left out, the other's are there; and once it is back, all are."""
    gate = {"broker": broker, "database": postgres}[server]
    async with standing_of(fresh=0.0) as standing:
        found, _ = await read(standing)
        assert {*OF.values()} <= found.samples.keys()
        gate.freeze()
        for _ in range(2):
            found, seconds = await read(standing)
            assert seconds < 3
            assert found.value("lifecycle_up", server=server) == 0
            assert found.value("lifecycle_up", server=other) == 1
            assert OF[server] not in found.samples
            assert OF[other] in found.samples
        gate.thaw()
        async with asyncio.timeout(20):
            while not {*OF.values()} <= found.samples.keys():
                found, _ = await read(standing)
                await asyncio.sleep(0.1)
        await gate.refuse()
        found, _ = await read(standing)
        assert found.value("lifecycle_up", server=server) == 0
        await gate.admit()


async def test_nothing_is_read_until_somebody_asks(
    standing_of: Standings, broker: Gate, postgres: Gate
) -> None:
    """Idle, it has no connection of its own; scraped in a row, it reads once."""
    async with standing_of(fresh=60.0) as standing:
        await asyncio.sleep(0.3)
        assert not broker.entered.is_set()
        first, _ = await read(standing)
        assert broker.entered.is_set()
        broker.freeze()
        postgres.freeze()
        again, seconds = await read(standing)
        assert seconds < 0.5
        assert again.samples["lifecycle_queue_depth"] == first.samples["lifecycle_queue_depth"]
        broker.thaw()
        postgres.thaw()


async def test_one_reading_is_not_begun_twice() -> None:
    """Two scrapes at once share it, and a late one serves the next."""
    begun, go = 0, asyncio.Event()

    async def reading() -> int:
        nonlocal begun
        begun += 1
        await go.wait()
        return begun

    one = Reading(reading, 0.0)
    assert one.begin() is one.begin()
    one.end()
    assert one.value is None
    await asyncio.sleep(0)
    task = one.begin()
    go.set()
    assert task is not None
    await task
    one.end()
    value: object = one.value
    assert (begun, value) == (1, 1)


def test_the_library_is_not_paid_for_where_nothing_is_served() -> None:
    """It takes as long to import as much of the program."""
    probe = "import sys, consumer.cli.run; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
