"""Work 4: more processes on disjoint trees; and trees of any size in tables of any size."""

import os
import time
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import pytest

from tests.bench.load import Place, Row
from tests.bench.measure import Report, alternate, scaled
from tests.bench.roster import ROSTER

pytestmark = [pytest.mark.bench, pytest.mark.timeout(7200)]

_OURS = ROSTER["ours"]
_PROCESSES = "4 more processes on disjoint trees"
_TABLES = "4 trees in tables"
_TREES, _WARM, _ROUNDS, _ENOUGH = scaled(2000, 20), 50, 3, 4
_LONG = "BENCH_LONG" in os.environ
_ROWS = [scaled(one, 1000) for one in (10_000, 100_000, 1_000_000, *([10_000_000] * _LONG))]
_SIZES = [1, 10, 100, *sorted({scaled(10**power, 200) for power in (3, 4, 5)})]
_OF_EACH = 5
_FILL = """
with tops as (
    insert into workspaces (name, status) select 'filling', 'online' from generate_series(1, $1)
    returning id
)
insert into workspaces (name, status, parent_id)
select 'filling', 'online', id from tops, generate_series(1, 9)
"""


async def test_more_processes(place: Place, report: Report, tmp_path: Path) -> None:
    """The same commands, for one process, two and four; broker and database are on these cores."""

    async def work(count: int) -> float:
        async with AsyncExitStack() as processes:
            for _ in range(count):
                await processes.enter_async_context(place.running(_OURS, tmp_path))
            await commands_a_second(place, _WARM)
            return await commands_a_second(place, _TREES)

    works = {f"ours, {count}": (lambda count=count: work(count)) for count in (1, 2, 4)}
    found = await alternate(works, _ROUNDS)
    medians = report.compare(_PROCESSES, "commands a second", "1/s", found, "ours, 1")
    ratio = medians["ours, 2"] / medians["ours, 1"]
    cores = os.cpu_count() or 1
    few = f"{cores} cores for the broker, the database and both" if cores < _ENOUGH else ""
    report.aim(_PROCESSES, "two processes / one", ratio, "at least", 1.6, not_judged=few)


async def commands_a_second(place: Place, trees: int) -> float:
    """Pause so many trees of three; tell how many a second were done."""
    tops = await place.plant(trees, 3)
    await place.clear()
    began = time.perf_counter()
    await place.send(_OURS, tops, reply=True)
    await place.arrived(stops=3 * trees, summaries=trees, replies=trees)
    return trees / (time.perf_counter() - began)


async def test_trees_in_tables(place: Place, report: Report, tmp_path: Path) -> None:
    """What a pause takes grows with its tree, not with the table that it stands in."""
    await place.database.execute("alter table workspaces drop constraint workspaces_parent_id_fkey")
    took: dict[int, dict[str, list[float]]] = {}
    for rows in _ROWS:
        sizes = [size for size in _SIZES if size * 10 <= rows]
        tops = await planted(place, rows, sizes)
        async with place.running(_OURS, tmp_path):
            for size in sizes:
                seconds = [await paused(place, top, size) for top in tops[size]]
                took.setdefault(size, {})[f"in {rows:,} rows"] = [1000 * one for one in seconds]
    growth = [tell(report, size, found) for size, found in took.items() if len(found) > 1]
    report.aim(_TABLES, "largest table / smallest, at worst", max(growth), "at most", 2)


def tell(report: Report, size: int, found: dict[str, list[float]]) -> float:
    """Note what trees of one size took; give the largest table's time to the smallest one's."""
    smallest, *_, largest = found
    found = {name: samples[1:] or samples for name, samples in found.items()}
    medians = report.compare(_TABLES, f"a tree of {size:,}", "ms", found, smallest)
    return medians[largest] / medians[smallest]


async def planted(place: Place, rows: int, sizes: list[int]) -> dict[int, list[UUID]]:
    """Plant some trees of each size, and others around them; the first of each is to warm up."""
    tops: dict[int, list[UUID]] = {}
    planting: list[tuple[UUID, list[Row]]] = []
    for size in sizes:
        several = [place.tree(size) for _ in range(_OF_EACH if 20 * size <= rows else 2)]
        tops[size] = [top for top, _ in several]
        planting += several
    await place.replant([row for _, tree in planting for row in tree])
    await place.database.execute(_FILL, rows // 10)
    await place.database.execute("vacuum analyze workspaces")
    return tops


async def paused(place: Place, top: UUID, size: int) -> float:
    """Have one tree paused; give the seconds until all of it was out."""
    await place.clear()
    began = time.perf_counter()
    await place.send(_OURS, [top], reply=True)
    await place.arrived(replies=1, summaries=1, stops=size)
    return time.perf_counter() - began
