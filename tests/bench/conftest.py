"""One report for the run, and a place for each work."""

import json
import os
import platform
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from consumer.devstack.stack import Stack
from tests.bench.load import Place
from tests.bench.markdown import put
from tests.bench.measure import SCALE, Report
from tests.bench.paper import table
from tests.bench.plot import SHORT, plot

_DOCS = Path(__file__).parents[2] / "docs"
_FILES = ("bench.json", "bench.svg", "bench-short.svg")


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Give a folder for what is found; at the end it goes to docs/ too, where that is asked for."""
    made = Path(mkdtemp(prefix="bench-"))
    print(f"\nwhat is found is written to {made}")
    yield made
    if os.environ.get("BENCH_KEEP") == "1":
        for name in _FILES:
            shutil.copy(made / name, _DOCS)
        put()


@pytest.fixture(scope="session")
def whole() -> Iterator[Report]:
    """Collect the figures of the run, and print them at its end."""
    found = Report(SCALE, {"cores": os.cpu_count(), "Python": platform.python_version()})
    yield found
    print(f"\n\n{table(found)}")


@pytest.fixture
def report(folder: Path, whole: Report) -> Iterator[Report]:
    """Give the report; what is in it after a test outlives the run, however that ends."""
    yield whole
    told = json.dumps(whole.as_json(), indent=1)
    for name, text in zip(_FILES, (f"{told}\n", plot(whole), plot(whole, SHORT)), strict=True):
        (folder / name).write_text(text)


@pytest.fixture
async def place(
    stack: Stack, amqp_url: str, database_url: str, report: Report
) -> AsyncIterator[Place]:
    """Open a vhost and a database in which everybody does the same work."""
    async with Place.opened(amqp_url, database_url) as opened:
        report.about |= await opened.versions(stack.management_url)
        yield opened
