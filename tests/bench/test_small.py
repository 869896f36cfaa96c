"""Works 2 and 3: small commands by the thousand, and what one waits for its answer at half load."""

import asyncio
import time
from functools import partial
from pathlib import Path

import pytest
from aio_pika.abc import AbstractIncomingMessage

from tests.bench.load import REPLIES, Place, commands
from tests.bench.measure import Report, alternate, quantile, scaled
from tests.bench.roster import ROSTER, Contender

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

_ROUNDS = 3
_TREES, _SIZE, _WARM = scaled(2000, 20), 3, 50
_SECONDS = 5.0
_ASKED = ("ours", "ours before", "aiopika", "faststream")
_RATE = "2 small commands, trees of 3, one process"
_WAIT = "3 request and response at half of each one's own load"


async def throughput(place: Place, contender: Contender, trees: int) -> float:
    """Send so many commands at once; give how many a second were done, with all that follows."""
    tops = await place.plant(trees, _SIZE)
    await place.clear()
    began = time.perf_counter()
    await place.send(contender, tops, reply=True)
    await place.arrived(stops=trees * _SIZE, summaries=trees, replies=trees)
    seconds = time.perf_counter() - began
    await place.account(stops=trees * _SIZE, summaries=trees, replies=trees)
    return trees / seconds


async def latencies(place: Place, contender: Contender, rate: float) -> list[float]:
    """Ask so many times a second, whether answers come or not; give the milliseconds each took.

    They count from when a command was due, not from when it got away.
    """
    tops = await place.plant(max(1, round(rate * _SECONDS)), _SIZE)
    await place.clear()
    answered: dict[str, float] = {}
    everything = asyncio.Event()

    async def take(message: AbstractIncomingMessage) -> None:
        answered[message.correlation_id or ""] = time.perf_counter()
        if len(answered) == len(tops):
            everything.set()

    replies = await place.channel.get_queue(REPLIES, ensure=False)
    tag = await replies.consume(take, no_ack=True)
    due: dict[str, float] = {}
    began = time.perf_counter()
    for place_in_line, (identity, message) in enumerate(commands(contender, tops, REPLIES)):
        due[identity] = began + place_in_line / rate
        await asyncio.sleep(due[identity] - time.perf_counter())
        place.wire.post(message)
    async with asyncio.timeout(60):
        await everything.wait()
    await replies.cancel(tag)
    return [1000 * (answered[identity] - then) for identity, then in due.items()]


async def test_small_commands_beside_the_others(
    place: Place, report: Report, tmp_path: Path
) -> None:
    """A transaction, three stops, a summary and a reply each; with an inbox and outbox or not."""
    waits: dict[str, list[list[float]]] = {name: [] for name in _ASKED if name in ROSTER}
    costs: dict[str, list[float]] = {name: [] for name in ROSTER if name != "raw"}

    async def work(contender: Contender) -> float:
        async with place.running(contender, tmp_path) as process:
            await throughput(place, contender, _WARM)
            used = process.cpu()
            rate = await throughput(place, contender, _TREES)
            costs[contender.name].append(1000 * (process.cpu() - used) / _TREES)
            if contender.name in waits:
                waits[contender.name].append(await latencies(place, contender, rate / 2))
        return rate

    works = {name: partial(work, ROSTER[name]) for name in costs}
    rates = report.compare(
        _RATE, "commands a second", "1/s", await alternate(works, _ROUNDS), "faststream"
    )
    report.aim(_RATE, "ours / faststream", rates["ours"] / rates["faststream"], "at least", 3)
    report.compare(_RATE, "CPU of its own a command", "ms", costs, "faststream")
    tell_waits(report, waits)


def tell_waits(report: Report, waits: dict[str, list[list[float]]]) -> None:
    """Note the medians over the rounds of each round's p50 and p99."""
    told = {}
    for measure, share in (("p50", 0.5), ("p99", 0.99)):
        each = {name: [quantile(one, share) for one in rounds] for name, rounds in waits.items()}
        told[measure] = report.compare(_WAIT, measure, "ms", each, "faststream")
    ratio = told["p99"]["ours"] / told["p50"]["ours"]
    report.aim(_WAIT, "ours: p99 / p50", ratio, "at most", 5)
