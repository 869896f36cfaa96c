"""The cuts of the audit trail: which offsets stand in which archive object."""

from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from consumer.store.pool import Connection
from consumer.store.statements import load

_SQL = load("archive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One cut: the records from `first_offset` to `last_offset` stand in one object.

    Attributes:
        epoch: 1, and one more each time the stream was begun anew.
        hour: the partition it stands in; it never goes back.
        manifest, tail: SHA-256 of its manifest and of its last record's line, in hex; None until
            it is written. A cut that turned out to hold nothing has no tail.

    """

    epoch: int
    first_offset: int
    last_offset: int
    hour: datetime
    manifest: str | None
    tail: str | None

    @property
    def object(self) -> str:
        """The name of its object: its partition, then the offsets it holds."""
        span = f"{self.epoch:04d}-{self.first_offset:020d}-{self.last_offset:020d}"
        return f"{self.hour.astimezone(UTC):dt=%Y-%m-%d/hour=%H}/{span}.ndjson.gz"


async def try_archive(connection: Connection) -> bool:
    """Take the right to archive for this connection; False where another has it."""
    row = await connection.fetchrow(_SQL["try_archive"])
    return row is not None and bool(row["mine"])


async def newest_marks(connection: Connection, most: int) -> list[Mark]:
    """List the last cuts that were decided, newest first."""
    rows = await connection.fetch(_SQL["newest_marks"], most)
    return [_mark(row) for row in rows]


async def previous_manifest(connection: Connection, epoch: int, first_offset: int) -> str | None:
    """Give the manifest of the cut before this one; None where it is the first."""
    row = await connection.fetchrow(_SQL["previous_manifest"], epoch, first_offset)
    return row["manifest"] if row else None


async def claim_mark(
    connection: Connection, epoch: int, first_offset: int, last_offset: int, hour: datetime
) -> Mark:
    """Decide a cut; where the one that begins there is decided already, give that one."""
    row = await connection.fetchrow(_SQL["claim_mark"], epoch, first_offset, last_offset, hour)
    assert row is not None
    return _mark(row)


async def finish_mark(
    connection: Connection, epoch: int, first_offset: int, manifest: str, tail: str | None
) -> None:
    """Note that a cut and its manifest are written."""
    await connection.execute(_SQL["finish_mark"], epoch, first_offset, manifest, tail)


def _mark(row: asyncpg.Record) -> Mark:
    return Mark(**dict(row))
