"""Work 6: results into outcomes, beside reading as many messages and doing nothing with them."""

import json
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from pamqp.commands import Basic

from schemas.envelope import CLOUDEVENTS
from tests.bench.contenders.shape import DONE
from tests.bench.load import Place
from tests.bench.measure import Report, Work, alternate, scaled
from tests.bench.roster import OURS, READER, ROSTER, Contender
from tests.support.wire import form

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

_OURS = ROSTER["ours"]
_COUNT, _ROUNDS = scaled(10_000, 30), 3
_SMALL = 3
_WORK = "6 settlement"
_ENDS = "bench.ends"
_ID, _OPERATION, _WORKSPACE, _GENERATION = "-" * 36, "=" * 36, "+" * 36, "1" * 18
_TARGETS = "select operation_id, workspace_id, generation from lifecycle.target"


def results(targets: Sequence["asyncpg.Record"]) -> Iterator[bytes]:
    """Write a result for each target: it has stopped."""
    data = {"operation_id": _OPERATION, "workspace_id": _WORKSPACE, "generation": int(_GENERATION)}
    body = json.dumps(
        {
            "specversion": "1.0",
            "id": _ID,
            "source": "bench",
            "type": "workspace.stopped",
            "subject": _WORKSPACE,
            "time": "2026-05-28T12:00:00Z",
            "datacontenttype": "application/json",
            "data": {**data, "instance_id": "i-0123456789", "detail": "stopped"},
        }
    )
    properties = Basic.Properties(
        content_type=CLOUDEVENTS, delivery_mode=2, message_id=_ID, app_id="bench"
    )
    for target in targets:
        told = body.replace(_GENERATION, str(target["generation"])).encode()
        whole = form(
            "workspace.events", "workspace.stopped", properties, told, [_ID, _OPERATION, _WORKSPACE]
        )
        identity, workspace = str(uuid4()).encode(), str(target["workspace_id"]).encode()
        operation = str(target["operation_id"]).encode()
        yield whole % (identity, identity, workspace, operation, workspace)


async def settled(
    place: Place, contender: Contender, scratch: Path, trees: int, size: int
) -> tuple[float, float]:
    """Have trees paused and tell the program that all has stopped.

    Give results a second, and the milliseconds of CPU that it used itself for each.
    """
    async with place.running(contender, scratch) as process:
        targets = await paused(place, trees, size)
        messages, used = list(results(targets)), process.cpu()
        seconds = await told(place, messages, ends=trees)
        cpu = process.cpu() - used
    left = "select count(*) from lifecycle.target where outcome is distinct from 'succeeded'"
    assert await place.database.fetchval(left) == 0
    return len(targets) / seconds, 1000 * cpu / len(targets)


async def read(place: Place, scratch: Path, trees: int, size: int) -> tuple[float, float]:
    """Have the same messages read by aio-pika, and nothing else; give the same."""
    async with place.running(_OURS, scratch):
        messages = list(results(await paused(place, trees, size)))
    async with place.running(READER.told("results", str(len(messages))), scratch) as process:
        used = process.cpu()
        seconds = await told(place, messages, ends=1)
        return len(messages) / seconds, 1000 * (process.cpu() - used) / len(messages)


async def paused(place: Place, trees: int, size: int) -> Sequence["asyncpg.Record"]:
    """Have trees paused; give the targets that results are to be told of."""
    tops: list[UUID] = await place.plant(trees, size)
    await place.clear()
    await place.send(_OURS, tops, reply=False)
    await place.arrived(stops=trees * size, summaries=trees)
    found: Sequence[asyncpg.Record] = await place.database.fetch(_TARGETS)
    assert len(found) == trees * size
    return found


async def told(place: Place, messages: Sequence[bytes], ends: int) -> float:
    """Publish results; give the seconds until so many ends were told."""
    queue = await place.channel.declare_queue(_ENDS, durable=True)
    for key in ("workspace.pause.settled", DONE):
        await queue.bind("workspace.events", key)
    await queue.purge()
    began = time.perf_counter()
    await place.wire.publish(messages)
    await place.held(_ENDS, ends)
    return time.perf_counter() - began


@pytest.mark.parametrize(
    ("trees", "size"), [(1, _COUNT), (_COUNT // _SMALL, _SMALL)], ids=["one operation", "many"]
)
async def test_settlement_beside_plain_reading(
    place: Place, report: Report, tmp_path: Path, trees: int, size: int
) -> None:
    """As many results, of one operation and of many."""
    costs: dict[str, list[float]] = {}

    async def work(name: str, measured: Callable[[], Awaitable[tuple[float, float]]]) -> float:
        rate, cpu = await measured()
        costs.setdefault(name, []).append(cpu)
        return rate

    works: dict[str, Work] = {
        one.name: partial(work, one.name, partial(settled, place, one, tmp_path, trees, size))
        for one in OURS
    }
    works[READER.name] = partial(work, READER.name, partial(read, place, tmp_path, trees, size))
    measure = f"results a second, {trees * size:,} of {trees:,} operations"
    medians = report.compare(
        _WORK, measure, "1/s", await alternate(works, _ROUNDS), "aio-pika alone"
    )
    cpu = f"CPU of its own a result, {trees * size:,} of {trees:,} operations"
    report.compare(_WORK, cpu, "ms", costs, "aio-pika alone")
    ratio = medians["aio-pika alone"] / medians["ours"]
    report.aim(_WORK, f"aio-pika alone / ours, of {trees:,}", ratio, "at most", 2)
