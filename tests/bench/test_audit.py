"""Work 7: the audit trail into S3 and out again, beside reading the stream and doing nothing."""

from pathlib import Path
from uuid import uuid4

import pytest

from consumer.audit.bucket import Bucket
from tests.bench.load import Place
from tests.bench.measure import Report, alternate, scaled
from tests.bench.roster import READER
from tests.bench.running import started
from tests.support.flood import flood

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

_COUNT, _ROUNDS = scaled(100_000, 100), 3
_MANY = scaled(1_000_000, 1000)
_WORK = "7 archive and replay"
_ALONE = "aio-pika alone"
_ARCHIVE = ("-m", "consumer", "archive", "--once")
_REPLAY = ("-m", "consumer", "replay", "--into")
_MB = 1e6


class Trail:
    """A place whose stream is archived and replayed by processes."""

    def __init__(self, place: Place, bucket_url: str, scratch: Path) -> None:
        self._place, self._bucket, self._scratch = place, bucket_url, scratch
        self.archive = bucket_url

    async def run(self, *arguments: str) -> tuple[float, int]:
        """Run a process to its end; give the seconds, its start included, and its peak in bytes."""
        variables = READER.environment(self._place.amqp_url, self._place.database_url)
        variables["LIFECYCLE_ARCHIVE_URL"] = self.archive
        log = self._scratch / f"{uuid4()}.log"
        async with started(arguments, log, variables) as process:
            return await process.ended()

    async def archived(self) -> tuple[float, int]:
        """Archive all of the stream, as if nothing had been archived before."""
        await self._place.database.execute("truncate lifecycle.archive_mark")
        self.archive = f"{self._bucket}/{uuid4()}"
        return await self.run(*_ARCHIVE)

    async def replayed(self, source: str, count: int) -> tuple[float, int]:
        """Replay everything into a file; see that all of it is there."""
        file = self._scratch / f"{uuid4()}.ndjson"
        told = await self.run(*_REPLAY, str(file), "--source", source)
        with file.open("rb") as lines:
            assert sum(1 for _ in lines) == count
        file.unlink()
        return told


async def test_archive_and_replay_beside_plain_reading(
    place: Place, report: Report, bucket_url: str, tmp_path: Path
) -> None:
    """The same messages, in turn, each by a process from its start to its end."""
    await flood(place.amqp_url, _COUNT)
    trail = Trail(place, bucket_url, tmp_path)

    async def plain() -> float:
        seconds, _ = await trail.run(*READER.arguments, "stream", str(_COUNT))
        return _COUNT / seconds

    async def archive() -> float:
        return _COUNT / (await trail.archived())[0]

    async def replay(source: str) -> float:
        return _COUNT / (await trail.replayed(source, _COUNT))[0]

    await trail.archived()  # so that there is something to replay, whoever begins
    works = {
        _ALONE: plain,
        "ours, archive": archive,
        "ours, replay stream": lambda: replay("stream"),
        "ours, replay S3": lambda: replay("s3"),
    }
    found = await alternate(works, _ROUNDS)
    medians = report.compare(_WORK, f"messages a second, of {_COUNT:,}", "1/s", found, _ALONE)
    for name in [*works][1:]:
        ratio = medians[name] / medians[_ALONE]
        report.aim(_WORK, f"{name} / aio-pika alone", ratio, "at least", 0.8)


async def test_memory_is_flat(
    place: Place, report: Report, bucket_url: str, tmp_path: Path
) -> None:
    """A tenth of the messages, then all; and what they take in S3."""
    trail = Trail(place, bucket_url, tmp_path)
    peaks, there = [], 0
    for count in (_MANY // 10, _MANY):
        await flood(place.amqp_url, count - there)
        there = count
        peaks.append([(await trail.archived())[1], (await trail.replayed("stream", count))[1]])
    for verb, tenth, whole in zip(("archive", "replay"), *peaks, strict=True):
        for count, peak in ((_MANY // 10, tenth), (_MANY, whole)):
            report.note(_WORK, f"{verb}: peak for {count:,}", peak / _MB, "MB")
        report.aim(_WORK, f"{verb}: ten times the trail, times", whole / tenth, "at most", 1.3)
    bucket = Bucket(trail.archive)
    size = sum([len(await bucket.get(name)) async for name in bucket.names("dt=")])
    report.note(_WORK, f"{_MANY:,} messages in S3", size / _MB, "MB")
