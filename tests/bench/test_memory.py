"""Work 5: the most memory the program has, in a large cascade and behind a large backlog."""

import asyncio
import time
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.bench.load import Place
from tests.bench.measure import Report, scaled
from tests.bench.roster import ROSTER
from tests.bench.running import Running

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

_WORK = "5 memory"
_SMALL, _LARGE = scaled(10_000, 100), scaled(100_000, 1000)
_BACKLOG = scaled(1_000_000, 1000)
_OURS = ROSTER["ours"]
_MB = 1e6
_OPERATION = """
insert into lifecycle.operation (
    operation_id, action, workspace_id, source, app_id, outcome, status, deprecated, answer_type,
    answer, target_count, open_count, recorded_at, deadline, settled_at)
values ($1, 'pause', $2, 'bench', 'bench', 'carried', 200, false, 'workspace.pause.summary',
        '', 0, 0, now(), now(), now())
"""
_EVENTS = """
insert into lifecycle.outbox (operation_id, kind, type, body, derived_from)
select $1, 'event', 'workspace.pause.progress', convert_to(repeat('x', 600), 'UTF8'), i::text
from generate_series(1, $2::integer) i
"""
_LEFT = "select exists (select from lifecycle.outbox)"


async def cascade(place: Place, process: Running, count: int) -> int:
    """Have a tree paused; give the most memory that took, in bytes."""
    tops = await place.plant(1, count)
    await place.clear()
    process.forget_peak()
    await place.send(_OURS, tops, reply=False)
    await place.arrived(stops=count, summaries=1)
    return process.peak()


async def test_a_cascade_is_streamed(place: Place, report: Report, tmp_path: Path) -> None:
    """Ten times the tree is not ten times the memory."""
    async with place.running(_OURS, tmp_path) as process:
        report.note(_WORK, "when it has started", process.peak() / _MB, "MB")
        peaks = [await cascade(place, process, count) for count in (_SMALL, _LARGE)]
    for count, peak in zip((_SMALL, _LARGE), peaks, strict=True):
        report.note(_WORK, f"peak in a cascade of {count:,}", peak / _MB, "MB")
    report.aim(_WORK, f"MB in a cascade of {_LARGE:,}", peaks[1] / _MB, "at most", 150)
    report.aim(_WORK, "ten times the tree, times the memory", peaks[1] / peaks[0], "at most", 1.5)


async def test_a_backlog_is_streamed(place: Place, report: Report, tmp_path: Path) -> None:
    """What waited in the outbox while nobody relayed is drained by the thousand."""
    operation = uuid4()
    await place.database.execute(_OPERATION, operation, UUID(int=1))
    await place.database.execute(_EVENTS, operation, _BACKLOG)
    async with place.running(_OURS, tmp_path) as process:
        began = time.perf_counter()
        while await place.database.fetchval(_LEFT):  # noqa: ASYNC110 (only asking can tell)
            await asyncio.sleep(0.2)
        seconds, peak = time.perf_counter() - began, process.peak()
    report.note(_WORK, f"peak while draining {_BACKLOG:,} rows", peak / _MB, "MB")
    report.note(_WORK, "rows drained a second", _BACKLOG / seconds, "1/s")
    report.aim(_WORK, f"MB while draining {_BACKLOG:,} rows", peak / _MB, "at most", 150)
