"""The archiver on a real stream and S3: all of it, each message once, whatever ends it when."""

import asyncio
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import boto3
import pytest

from consumer.audit.archive import Archiver
from consumer.audit.basket import Sizes
from consumer.audit.bucket import Bucket
from consumer.audit.lag import Limit
from consumer.broker.stream import Stream
from consumer.message import UnavailableError
from consumer.observe import listening
from consumer.store.archive import newest_marks
from consumer.store.pool import Database, opened
from tests.audit.filling import NOON, Filler, everything, lines, objects, whole
from tests.broker.tools import Facts, running
from tests.support.clocks import skew

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

Archiving = Callable[..., Archiver]
GAPS = ("archive.claimed", "archive.written", "archive.chained", "archive.finished")


class KilledError(BaseException):
    """Ends the archiver as nothing in it expects."""


async def killed(archiver: Archiver, fact: str, times: int = 1) -> None:
    """Archive until something was said so often, and not a step further."""
    left = times

    def kill(said: str, _: object) -> None:
        nonlocal left
        left -= said == fact
        if not left:
            raise KilledError

    with listening(kill), pytest.raises(KilledError):
        await archiver.once()


async def test_everything_is_archived_once_and_then_nothing(
    bucket: Bucket, stream: Stream, filler: Filler, archiver: Archiving
) -> None:
    """Also what comes later; an end that is no full object is written too."""
    assert await archiver().once() == 0
    await filler.number(0, 25)
    assert await archiver().once() == 25
    assert await archiver().once() == 0
    await filler.number(25, 7)
    assert await archiver().once() == 7
    await whole(bucket, await everything(stream))


async def test_an_object_is_what_any_reader_of_json_lines_takes(
    bucket: Bucket, filler: Filler, archiver: Archiving
) -> None:
    """`zcat | jq` is what an auditor has: offset, exchange, key, properties, headers, body."""
    await filler.fill(b'{"a":1}', message_id="m1", app_id="me", headers={"x": 7})
    await archiver().once()
    found = await objects(bucket)
    (name,) = (name for name in found if name.startswith("dt=2026-05-28/hour=12/"))
    text = await asyncio.to_thread(subprocess.check_output, ["zcat"], input=found[name], timeout=20)
    (line,) = map(json.loads, text.splitlines())
    assert (line["offset"], line["exchange"], line["routing_key"]) == (
        0,
        "workspace.events",
        "noise",
    )
    assert line["body"] == {"a": 1}
    assert line["headers"] == {"x": 7}
    assert line["properties"]["message_id"] == "m1"
    assert line["properties"]["timestamp"] == NOON.isoformat()


async def test_bodies_that_are_not_json_are_kept_as_they_are(
    bucket: Bucket, stream: Stream, filler: Filler, archiver: Archiving
) -> None:
    """Binary, broken, empty, in another encoding, with properties nobody can read."""
    await filler.fill(b"\x00\xff", b"{", b"", b"[1,", "ä".encode("latin-1"))
    await filler.fill(b"1", headers={"$bytes": "x", "when": NOON, "raw": bytearray(b"\xff")})
    await archiver().once()
    await whole(bucket, await everything(stream))


async def test_each_hour_has_its_own_partition_and_clocks_do_not_go_back(
    bucket: Bucket, stream: Stream, filler: Filler, archiver: Archiving
) -> None:
    """A sender whose clock is behind stands under the hour in which it was heard."""
    for later in (0, 1, -3, 2):
        await filler.number(later, 2, timestamp=NOON + timedelta(hours=later))
    await filler.number(9, 1, timestamp=datetime.now(UTC) + timedelta(days=9))
    await archiver().once()
    await whole(bucket, await everything(stream))
    hours = [name.split("/")[1] for name in await objects(bucket) if name.startswith("dt=2026-05")]
    assert hours == ["hour=12", "hour=13", "hour=14"]
    assert not [name for name in await objects(bucket) if name > f"dt={datetime.now(UTC):%F}/z"
                and name.startswith("dt=")]  # fmt: skip


@pytest.mark.parametrize("hours", [-30, 30])
async def test_hours_go_by_the_databases_clock(
    database_url: str, bucket: Bucket, stream: Stream, filler: Filler, hours: int
) -> None:
    """An archiver whose own clock is off puts nothing under an hour that is still to come."""
    off = timedelta(hours=hours)
    await skew(database_url, off)
    await filler.number(0, 2, timestamp=datetime.now(UTC) + timedelta(days=9))
    before = datetime.now(UTC) + off
    async with opened(database_url, 2) as database:
        await Archiver(database, bucket, stream).once()
    after = datetime.now(UTC) + off
    partitions = {name.rpartition("/")[0] for name in await objects(bucket) if "hour=" in name}
    assert partitions <= {f"{moment:dt=%F/hour=%H}" for moment in (before, after)}
    assert len(partitions) == 1


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("gap", GAPS)
async def test_ended_in_any_gap_it_goes_on_without_loss_or_double(
    bucket: Bucket, stream: Stream, filler: Filler, archiver: Archiving, gap: str, times: int
) -> None:
    """And without a second name for what was written."""
    await filler.number(0, 25)
    await killed(archiver(), gap, times)
    await filler.number(25, 10)
    await archiver(records=7).once()
    await whole(bucket, await everything(stream))


async def test_what_was_written_before_the_end_is_kept_where_the_stream_has_lost_it(
    bucket: Bucket, stream: Stream, filler: Filler, archiver: Archiving
) -> None:
    """The object was there; only its manifest was missing."""
    await filler.number(0, 5)
    before = await everything(stream)
    await killed(archiver(), "archive.written")
    await filler.begin_anew()
    await filler.number(50, 3)
    await archiver().once()
    await whole(bucket, before + await everything(stream))


async def test_a_cut_that_is_nowhere_any_more_is_closed_as_a_hole(
    bucket: Bucket, filler: Filler, archiver: Archiving, pool: Database
) -> None:
    """It was decided and not written when the stream was lost: the manifest says how few it has."""
    await filler.number(0, 5)
    await killed(archiver(), "archive.claimed")
    await filler.begin_anew()
    await filler.number(50, 3)
    await archiver().once()
    found = await objects(bucket)
    manifests = [json.loads(body) for name, body in found.items() if "manifest/" in name]
    assert (manifests[0]["first_offset"], manifests[0]["last_offset"]) == (0, 4)
    assert manifests[0]["record_count"] == 3
    async with pool.connection() as connection:
        assert all(mark.manifest for mark in await newest_marks(connection, 9))


async def test_of_two_archivers_one_works_and_the_other_says_so(
    bucket: Bucket, stream: Stream, filler: Filler, archiver: Archiving
) -> None:
    """Whichever took the right; together they write each message once."""
    await filler.number(0, 200)
    ends = await asyncio.gather(*(archiver().once() for _ in range(3)), return_exceptions=True)
    assert sorted(map(type, ends), key=str) == [UnavailableError, UnavailableError, int]
    await whole(bucket, await everything(stream))


async def test_two_that_both_believe_they_have_the_right_write_the_same_bytes(
    bucket: Bucket, stream: Stream, filler: Filler, pool: Database, archiver: Archiving
) -> None:
    """The right is a session's; one may lose it without knowing."""
    await filler.number(0, 60)

    async def work(records: int) -> int:
        async with pool.connection() as connection:
            return await archiver(records=records)._archive(connection, end=59)

    ends = await asyncio.gather(work(10), work(10), work(7), return_exceptions=True)
    assert {type(end) for end in ends} <= {int, UnavailableError}
    assert await archiver().once() >= 0
    await whole(bucket, await everything(stream))


async def test_the_service_archives_as_it_comes(
    bucket: Bucket, stream: Stream, filler: Filler, archiver: Archiving, facts: Facts
) -> None:
    """When a cut is full, or after its time."""
    async with running(archiver(every=0.2)):
        await filler.number(0, 10)
        await facts.wait("archive.finished")
        await filler.number(10, 3)
        await facts.wait("archive.finished", 2)
    assert len(lines(await objects(bucket))) >= 11
    await archiver().once()
    await whole(bucket, await everything(stream))


async def test_an_s3_that_is_away_delays_the_archive_and_nothing_else(
    bucket_url: str, stream: Stream, filler: Filler, pool: Database, facts: Facts,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It says so, warns of what the stream may forget, and goes on where it was."""
    with monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        lost = Archiver(pool, Bucket(bucket_url), stream, limit=Limit("30D"))
        await filler.number(0, 5, timestamp=datetime.now(UTC) - timedelta(days=20))
        with pytest.raises(UnavailableError, match="could not write"):
            await lost.once()
        await lost._lag.warn_of(stream)
    assert facts.of("archive.late")[0]["kept"] == "30D"
    assert await Archiver(pool, Bucket(bucket_url), stream).once() == 0
    await whole(Bucket(bucket_url), await everything(stream))


async def test_a_service_without_s3_says_that_it_waits(
    bucket_url: str, stream: Stream, filler: Filler, pool: Database, facts: Facts,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """And ends in order when it is told to."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    await filler.number(0, 5)
    async with running(Archiver(pool, Bucket(bucket_url), stream, sizes=Sizes(every=0.2))):
        (paused,) = await facts.wait("archive.paused")
    assert "could not" in paused["why"]


async def test_a_removed_object_is_not_mended_in_silence(
    bucket: Bucket, bucket_url: str, filler: Filler, archiver: Archiving, aws: object
) -> None:
    """The archiver goes on behind it; who verifies sees that it is gone."""
    assert aws
    await filler.number(0, 25)
    await archiver().once()
    found = await objects(bucket)
    s3: S3Client = boto3.client("s3")
    name = next(name for name in found if name.startswith("dt="))
    s3.delete_object(Bucket=bucket_url.split("/")[2], Key=f"trail/{name}")
    await filler.number(25, 5)
    assert await archiver().once() == 5
    assert name not in await objects(bucket)
