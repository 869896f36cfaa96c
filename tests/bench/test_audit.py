"""Figures of the audit trail: archive and replay beside plain reading, memory, and size in S3."""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import aio_pika
import psutil
import pytest
from aio_pika.abc import AbstractIncomingMessage

from consumer.audit.archive import Archiver
from consumer.audit.bucket import Bucket
from consumer.audit.journal import Journal
from consumer.audit.replay import Lines, Pace, replay
from consumer.audit.trail import Source, Trail
from consumer.audit.wanted import Wanted
from consumer.broker.stream import Stream
from consumer.broker.topology import declare
from consumer.store.pool import Database
from schemas.catalog import AUDIT_STREAM
from tests.support.flood import flood
from tests.support.program import environment

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

_COUNT = 100_000
_MILLION = 1_000_000


async def plainly(url: str, count: int) -> None:
    """Read a stream as aio-pika's documentation does, each message acknowledged."""
    done = asyncio.Event()
    seen = 0

    async def take(message: AbstractIncomingMessage) -> None:
        nonlocal seen
        await message.ack()
        seen += 1
        if seen == count:
            done.set()

    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=2000)
        queue = await channel.get_queue(AUDIT_STREAM, ensure=False)
        await queue.consume(take, arguments={"x-stream-offset": "first"})
        await done.wait()


async def test_archive_and_replay_beside_plain_reading(
    amqp_url: str, pool: Database, bucket_url: str, tmp_path: Path
) -> None:
    """The same hundred thousand messages, in turn, three times; medians."""
    await declare(amqp_url)
    await flood(amqp_url, _COUNT)
    stream = Stream(amqp_url, AUDIT_STREAM)

    async def archived() -> None:
        async with pool.connection() as connection:
            await connection.execute("truncate lifecycle.archive_mark")
        bucket = Bucket(f"{bucket_url}/{uuid4()}")
        assert await Archiver(pool, bucket, stream).once() == _COUNT
        buckets.append(bucket)

    async def replayed(source: Source) -> None:
        with (tmp_path / str(uuid4())).open("wb") as file:
            count = await replay(
                Trail(stream, buckets[-1]), source, Wanted(), Lines(file, is_file=True),
                journal=Journal(None, ""), pace=Pace(None), told=lambda *_: None,
            )  # fmt: skip
        assert count == _COUNT

    buckets: list[Bucket] = []
    works: dict[str, Callable[[], Awaitable[None]]] = {
        "aio-pika alone": lambda: plainly(amqp_url, _COUNT),
        "archive": archived,
        "replay of the stream": lambda: replayed("stream"),
        "replay of S3": lambda: replayed("s3"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(3):
        for name, work in works.items():
            began = time.perf_counter()
            await work()
            seconds[name].append(time.perf_counter() - began)
    plain = statistics.median(seconds["aio-pika alone"])
    for name, took in seconds.items():
        median = statistics.median(took)
        print(f"\n{name}: {_COUNT / median:,.0f}/s, {plain / median:.2f} of aio-pika", end="")


async def test_a_million_messages_in_flat_memory(
    amqp_url: str, database_url: str, bucket_url: str
) -> None:
    """Archived and replayed by processes, first a tenth and then all of it; and its size in S3."""
    await declare(amqp_url)
    url = bucket_url
    variables = {
        "LIFECYCLE_AMQP_URL": amqp_url,
        "LIFECYCLE_DATABASE_URL": database_url,
        "LIFECYCLE_ARCHIVE_URL": url,
    }
    peaks: dict[str, list[int]] = {"archive --once": [], "replay": []}
    for count in (_MILLION // 10, _MILLION - _MILLION // 10):
        await flood(amqp_url, count)
        for verb, several in peaks.items():
            into = ("--into", "stdout") if verb == "replay" else ()
            several.append(await peak((*verb.split(), *into), variables))
    for verb, (tenth, whole) in peaks.items():
        print(f"\n{verb}: {tenth >> 20} MB for a tenth, {whole >> 20} MB for a million", end="")
        assert whole < 1.3 * tenth
    bucket = Bucket(url)
    sizes = [len(await bucket.get(name)) async for name in bucket.names("dt=")]
    print(f"\na million in S3: {sum(sizes) / 1e6:.0f} MB in {len(sizes)} objects")


async def peak(arguments: tuple[str, ...], variables: dict[str, str]) -> int:
    """Run a verb; give the most memory that it had, in bytes."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "consumer", *arguments),
        env=environment(**variables),
        stdout=asyncio.subprocess.DEVNULL,
    )
    most = 0
    ended = asyncio.create_task(process.wait())
    watched = psutil.Process(process.pid)
    while not ended.done():
        try:
            most = max(most, watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        await asyncio.wait([ended], timeout=0.05)
    assert await ended == 0
    return most
