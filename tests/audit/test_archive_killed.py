"""The archiver as a process, killed with SIGKILL in every gap of its cycle."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from consumer.audit.bucket import Bucket
from consumer.broker.stream import Stream
from tests.audit.filling import NOON, Filler, everything, whole
from tests.support.program import environment

Verb = Callable[..., Awaitable[int]]
GAPS = ("archive.claimed", "archive.written", "archive.chained", "archive.finished")
HOURS = 3
"""A cut ends with its hour, so that a few messages make as many cuts."""


@pytest.fixture
def archive(amqp_url: str, database_url: str, bucket_url: str) -> Verb:
    """Run `archive --once` as a process, behind what is to kill it; give its exit code."""
    urls = {
        "LIFECYCLE_AMQP_URL": amqp_url,
        "LIFECYCLE_DATABASE_URL": database_url,
        "LIFECYCLE_ARCHIVE_URL": bucket_url,
    }

    async def run(*module: str) -> int:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *module, "archive", "--once"),
            env=environment(**urls),
            stdout=asyncio.subprocess.DEVNULL,
        )
        return await asyncio.wait_for(process.wait(), 60)

    return run


@pytest.mark.faults
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("gap", GAPS)
async def test_killed_in_any_gap_it_goes_on_without_loss_or_double(
    archive: Verb, bucket: Bucket, stream: Stream, filler: Filler, gap: str, times: int
) -> None:
    """The next one finishes what was claimed: all records, each once, in a chain that holds."""
    for hour in range(HOURS):
        await filler.number(hour * 10, 10, timestamp=NOON + timedelta(hours=hour))
    assert await archive("tests.support.crash", gap, str(times)) == -signal.SIGKILL
    assert await archive("consumer") == 0
    await whole(bucket, await everything(stream))
    assert len([name async for name in bucket.names("dt=")]) == HOURS


async def test_killed_again_and_again_it_gets_there(
    archive: Verb, bucket: Bucket, stream: Stream, filler: Filler
) -> None:
    """Each gap of each cut in turn, the same bucket throughout."""
    for hour in range(HOURS):
        await filler.number(hour * 10, 10, timestamp=NOON + timedelta(hours=hour))
    for gap in GAPS:
        assert await archive("tests.support.crash", gap, "1") == -signal.SIGKILL
    assert await archive("consumer") == 0
    await whole(bucket, await everything(stream))
