"""What an archive object is called and what its manifest says. Pure; equal records, equal bytes."""

import gzip
import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from consumer.audit.lines import decode, encode
from consumer.record import Record
from consumer.store.archive import Mark

MANIFESTS = "manifest/"
NDJSON, JSON = "application/x-ndjson", "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What one object holds, as a link of a chain: `previous` is the SHA-256 of the one before.

    Attributes:
        object: the object's name below the prefix.
        sha256, tail: SHA-256 of the object's bytes and of its last line, in hex.
        first_time, last_time: the least and the greatest time of its records; None without any.

    """

    epoch: int
    first_offset: int
    last_offset: int
    record_count: int
    object: str
    sha256: str
    tail: str | None
    first_time: str | None
    last_time: str | None
    previous: str | None

    @property
    def name(self) -> str:
        """Its own name below the prefix: the order of names is the order of the chain."""
        day, _, span = self.object.removesuffix(".ndjson.gz").split("/")
        return f"{MANIFESTS}{day}/{span}.json"

    def written(self) -> bytes:
        """Give its bytes."""
        return json.dumps(asdict(self), separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Cut:
    """An object's bytes and its manifest, ready to be written."""

    body: bytes
    manifest: Manifest


def pack(mark: Mark, records: Sequence[Record], previous: str | None) -> Cut:
    """Make the object and the manifest of a cut."""
    lines = [encode(record) for record in records]
    body = gzip.compress(b"".join(lines), compresslevel=6, mtime=0)
    times = sorted(time for record in records if (time := record.time) is not None)
    manifest = Manifest(
        epoch=mark.epoch,
        first_offset=mark.first_offset,
        last_offset=mark.last_offset,
        record_count=len(records),
        object=mark.object,
        sha256=digest(body),
        tail=digest(lines[-1]) if lines else None,
        first_time=times[0].isoformat() if times else None,
        last_time=times[-1].isoformat() if times else None,
        previous=previous,
    )
    return Cut(body, manifest)


def unpack(body: bytes) -> list[Record]:
    """Read the records of an object.

    Raises:
        ValueError: it is none.

    """
    return [decode(line) for line in lines_of(body)]


def lines_of(body: bytes) -> list[bytes]:
    """Read the lines of an object, each a record's.

    Raises:
        ValueError: it is none.

    """
    try:
        return gzip.decompress(body).splitlines()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"not compressed as it was: {error}") from None


def read_manifest(body: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        ValueError: it is none.

    """
    try:
        return Manifest(**json.loads(body))
    except TypeError as error:
        raise ValueError(f"no manifest: {error}") from None


def digest(body: bytes) -> str:
    """Give the SHA-256 of some bytes, in hex."""
    return hashlib.sha256(body).hexdigest()


def hour_of(time: datetime | None, not_before: datetime | None, now: datetime) -> datetime:
    """Give the hour under which a cut stands: its first record's, where that can be believed.

    Clocks differ and go back. It is never before that of the cut before, and never after now.
    """
    latest = min(time or now, now)
    hour = max(latest, not_before) if not_before else latest
    return hour.replace(minute=0, second=0, microsecond=0)
