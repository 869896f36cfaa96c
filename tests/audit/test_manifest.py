"""Objects and manifests: equal records give equal bytes, and names that sort as the trail does."""

import gzip
import json
from datetime import UTC, datetime, timedelta

import pytest

from consumer.audit.manifest import digest, hour_of, pack, read_manifest, unpack
from consumer.record import Record
from consumer.store.archive import Mark
from tests.audit.filling import NOON


def record(offset: int, time: datetime | None = NOON) -> Record:
    """Make a record."""
    properties = {} if time is None else {"timestamp": time}
    body = b"%d" % offset
    return Record(offset=offset, exchange="e", routing_key="k", body=body, properties=properties)


def mark(first: int, last: int, epoch: int = 1, hour: datetime = NOON) -> Mark:
    """Make a cut."""
    return Mark(
        epoch=epoch, first_offset=first, last_offset=last, hour=hour, manifest=None, tail=None
    )


def test_equal_records_give_equal_bytes_under_one_name() -> None:
    """Whoever writes a cut again writes the same: there is no time of writing in it."""
    one, other = (pack(mark(3, 4), [record(3), record(4)], "before") for _ in range(2))
    assert one == other
    assert one.manifest.object == (
        "dt=2026-05-28/hour=12/0001-00000000000000000003-00000000000000000004.ndjson.gz"
    )
    assert one.manifest.name == (
        "manifest/dt=2026-05-28/0001-00000000000000000003-00000000000000000004.json"
    )


def test_a_manifest_says_what_its_object_holds() -> None:
    """Span, count, times, digests, and the manifest before it."""
    later = NOON + timedelta(minutes=5)
    cut = pack(mark(3, 5), [record(3, later), record(4, None), record(5)], "before")
    found = json.loads(cut.manifest.written())
    assert (found["first_offset"], found["last_offset"], found["record_count"]) == (3, 5, 3)
    assert (found["first_time"], found["last_time"]) == (NOON.isoformat(), later.isoformat())
    assert (found["sha256"], found["previous"]) == (digest(cut.body), "before")
    assert found["tail"] == digest(gzip.decompress(cut.body).splitlines(keepends=True)[-1])
    assert read_manifest(cut.manifest.written()) == cut.manifest


def test_names_sort_as_the_trail_does() -> None:
    """By hour, epoch and offset, whatever their lengths."""
    cuts = [mark(9, 10), mark(11, 99), mark(100, 101), mark(0, 5, epoch=2)]
    cuts.append(mark(6, 7, epoch=2, hour=NOON + timedelta(hours=1)))
    manifests = [pack(one, [], None).manifest for one in cuts]
    assert sorted(one.object for one in manifests) == [one.object for one in manifests]
    assert sorted(one.name for one in manifests) == [one.name for one in manifests]


@pytest.mark.parametrize(
    ("time", "not_before", "hour"),
    [
        (NOON + timedelta(minutes=59), None, 12),
        (NOON - timedelta(hours=3), NOON, 12),
        (NOON + timedelta(hours=3), NOON, 14),
        (None, NOON, 14),
    ],
    ids=["its own", "a clock going back", "a clock ahead", "none"],
)
def test_a_cut_stands_under_an_hour_that_never_goes_back(
    time: datetime | None, not_before: datetime | None, hour: int
) -> None:
    """Not before the cut before it, and not after now."""
    now = NOON + timedelta(hours=2, minutes=1)
    assert hour_of(time, not_before, now) == NOON.replace(hour=hour)


def test_an_object_is_read_back_and_damage_is_told() -> None:
    """Be it cut, be it another file, be it compressed nonsense."""
    body = pack(mark(3, 4), [record(3), record(4)], None).body
    assert unpack(body) == [record(3), record(4)]
    for damaged in (body[:-9], b"nonsense", gzip.compress(b"nonsense\n"), body[:20] + body[21:]):
        with pytest.raises(ValueError, match=r"."):
            unpack(damaged)


@pytest.mark.parametrize("body", [b"{}", b"nonsense", b"[]", b'{"epoch": 1}'])
def test_what_is_no_manifest_is_named_so(body: bytes) -> None:
    """A manifest that was changed may not be one any more."""
    with pytest.raises(ValueError, match=r"."):
        read_manifest(body)


def test_the_hour_is_utc() -> None:
    """Wherever the archiver stands."""
    east = NOON.astimezone(tz=None)
    assert mark(1, 1, hour=east).object == mark(1, 1, hour=east.astimezone(UTC)).object
