"""One report for the run, and a place for each work."""

import json
import os
import platform
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from consumer.devstack.stack import Stack
from tests.bench.load import Place
from tests.bench.measure import SCALE, Report
from tests.bench.paper import table
from tests.bench.plot import plot

_DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="session")
def report() -> Iterator[Report]:
    """Collect the figures of the run; at its end print them and write them down."""
    found = Report(SCALE, {"cores": os.cpu_count(), "Python": platform.python_version()})
    yield found
    if found.figures:
        folder = _DOCS if os.environ.get("BENCH_KEEP") == "1" else Path(mkdtemp(prefix="bench-"))
        told = json.dumps(found.as_json(), indent=1)
        (folder / "bench.json").write_text(told + "\n")
        (folder / "bench.svg").write_text(plot(found))
        print(f"\n\n{table(found)}\n\nwritten to {folder}/bench.json and bench.svg")


@pytest.fixture
async def place(
    stack: Stack, amqp_url: str, database_url: str, report: Report
) -> AsyncIterator[Place]:
    """Open a vhost and a database in which everybody does the same work."""
    async with Place.opened(amqp_url, database_url) as opened:
        report.about |= await opened.versions(stack.management_url)
        yield opened
