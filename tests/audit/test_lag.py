"""A warning comes when half of what the stream keeps is not archived."""

from datetime import UTC, datetime, timedelta

import pytest

from consumer.audit.lag import Lag, Limit
from consumer.broker.stream import Stream
from consumer.record import Record
from tests.audit.filling import Filler
from tests.broker.tools import Facts


@pytest.mark.parametrize(
    ("said", "age"),
    [
        ("30D", timedelta(days=30)),
        ("1Y", timedelta(days=365)),
        ("2M", timedelta(days=60)),
        ("8h", timedelta(hours=8)),
        ("5m", timedelta(minutes=5)),
        ("9s", timedelta(seconds=9)),
        (None, None),
    ],
)
def test_ages_are_read_as_rabbitmq_writes_them(said: str | None, age: timedelta | None) -> None:
    """Capital M is months."""
    assert Limit(said).age == age


def now() -> datetime:
    """Tell the time."""
    return datetime(2026, 5, 28, 12, tzinfo=UTC)


def record(offset: int = 0, age: timedelta = timedelta()) -> Record:
    """Make a record sent a while ago."""
    time = now() - age
    return Record(
        offset=offset, exchange="", routing_key="", body=b"x" * 100, properties={"timestamp": time}
    )


@pytest.mark.parametrize(("age", "warnings"), [(13, 1), (11, 0)])
async def test_it_warns_of_half_the_age(
    stream: Stream, facts: Facts, age: int, warnings: int
) -> None:
    """Of what waits, and of what was written late."""
    lag = Lag(Limit("24h"), now)
    lag.waits([record(age=timedelta(hours=age))])
    await lag.warn_of(stream)
    assert len(facts.of("archive.late")) == warnings
    lag.is_written()
    assert len(facts.of("archive.late")) == 2 * warnings
    await lag.warn_of(stream)
    assert len(facts.of("archive.late")) == 2 * warnings


@pytest.mark.parametrize(("kept", "warnings"), [(1900, 1), (2100, 0)])
async def test_it_warns_of_half_the_bytes(
    stream: Stream, filler: Filler, facts: Facts, kept: int, warnings: int
) -> None:
    """What waits in the stream is reckoned by the size of what was read last."""
    await filler.number(0, 11)
    lag = Lag(Limit(max_bytes=kept), now)
    lag.waits([record(offset=0)])
    await lag.warn_of(stream)
    assert len(facts.of("archive.late")) == warnings


async def test_the_oldest_that_waits_is_what_counts(stream: Stream, facts: Facts) -> None:
    """A second try of the same cut does not make it younger."""
    lag = Lag(Limit("24h"), now)
    lag.waits([record(offset=5, age=timedelta(hours=20))])
    lag.waits([record(offset=9)])
    await lag.warn_of(stream)
    assert facts.of("archive.late")[0]["behind_seconds"] == 72_000
