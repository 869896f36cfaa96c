"""Work 9: from a process's start until it consumes, beside importing what it stands on."""

from functools import partial
from pathlib import Path

import pytest

from tests.bench.load import Place
from tests.bench.measure import Report, Work, alternate
from tests.bench.roster import OURS, ROSTER, Contender
from tests.bench.running import started

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]

_WORK = "9 start"
_IMPORTS = "import only"
_ROUNDS = 5


async def test_start_beside_the_others(place: Place, report: Report, tmp_path: Path) -> None:
    """Each in turn, on a topology and a database that are there."""

    async def begun(contender: Contender) -> float:
        environment = contender.environment(place.amqp_url, place.database_url)
        log = tmp_path / "log"
        async with started(contender.arguments, log, environment, contender.folder) as process:
            return await process.until(contender.ready)

    async def imported() -> float:
        command = ("-c", "import aio_pika, asyncpg")
        async with started(command, tmp_path / "log", {}) as process:
            return (await process.ended())[0]

    works: dict[str, Work] = {_IMPORTS: imported}
    for name in (*(one.name for one in OURS), "aiopika", "faststream", "celery"):
        works[name] = partial(begun, ROSTER[name])
    found = await alternate(works, _ROUNDS)
    medians = report.compare(_WORK, "start to consuming", "s", found, _IMPORTS)
    report.aim(_WORK, "seconds", medians["ours"], "at most", 1)
