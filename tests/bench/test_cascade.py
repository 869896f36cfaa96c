"""Work 1: one cascade, from the command to its last stop in the queue and the summary out."""

import time
from functools import partial
from pathlib import Path

import pytest

from tests.bench.load import Place
from tests.bench.measure import Report, alternate, scaled
from tests.bench.roster import ROSTER, Contender

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

_ROUNDS = 3
_COUNT = scaled(10_000, 10)
_WORK = f"1 a cascade of {_COUNT:,}"
_WARM = 20


async def cascade(
    place: Place, contender: Contender, scratch: Path, count: int
) -> tuple[float, float]:
    """Start a contender, warm it up, and have it pause one tree.

    Give the seconds that took, and the seconds of CPU that it used itself.
    """
    async with place.running(contender, scratch) as process:
        warm = await place.plant(_WARM, 3)
        await place.clear()
        await place.send(contender, warm, reply=False)
        await place.arrived(stops=3 * _WARM, summaries=_WARM)
        tops = await place.plant(1, count)
        await place.clear()
        began, used = time.perf_counter(), process.cpu()
        await place.send(contender, tops, reply=False)
        await place.arrived(stops=count, summaries=1)
        seconds = time.perf_counter() - began
        await place.account(stops=count, summaries=1, replies=0)
        return seconds, process.cpu() - used


async def test_a_cascade_beside_the_others(place: Place, report: Report, tmp_path: Path) -> None:
    """The same tree, the same stops, in turn; medians."""
    costs: dict[str, list[float]] = {name: [] for name in ROSTER}

    async def work(one: Contender) -> float:
        seconds, cpu = await cascade(place, one, tmp_path, _COUNT)
        costs[one.name].append(cpu)
        return seconds

    works = {name: partial(work, one) for name, one in ROSTER.items()}
    found = await alternate(works, _ROUNDS)
    medians = report.compare(_WORK, "command to last stop and summary", "s", found, "raw")
    report.compare(_WORK, "CPU of its own", "s", costs, "raw")
    ours = medians["ours"]
    report.aim(_WORK, "ours / raw", ours / medians["raw"], "at most", 3)
    for name, times in (("faststream", 10), ("celery", 10), ("rowwise", 25)):
        report.aim(_WORK, f"{name} / ours", medians[name] / ours, "at least", times)
