"""Replaying the trail: the messages as they were, into a file, a queue or an exchange."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, BinaryIO, Literal, Protocol

from consumer.audit.journal import Journal, Reached
from consumer.audit.lines import encode
from consumer.audit.trail import Place, Source, Span, Trail
from consumer.audit.wanted import Sieve, Wanted
from consumer.broker.translate import size_of
from consumer.message import Outbound, UnavailableError
from consumer.record import Record
from schemas.catalog import AUDIT_STREAM

Publish = Callable[
    [Sequence[Outbound]], Awaitable[Sequence[Literal["confirmed", "returned", "failed"]]]
]
Told = Callable[[Place, int], None]
"""Is told the place that was reached and how many were replayed."""

REPLAYED_AT = "x-replayed-at"
ORIGINAL_EXCHANGE = "x-original-exchange"
ORIGINAL_KEY = "x-original-routing-key"
_CARBON = frozenset({"CC", "BCC"})
"""Headers by which RabbitMQ would send a copy to any queue (Sender-selected Distribution)."""
LEFT_OUT = "x-headers-left-out"
_MOST_HEADERS = 100_000
"""Bytes. All properties have to fit into one frame, of 131,072 where nobody said otherwise."""
_AT_ONCE = 500


class Target(Protocol):
    """Where messages are replayed into."""

    async def put(self, records: Sequence[Record]) -> None:
        """Put them there, in order; when this returns they are there."""

    def size(self) -> int:
        """How many bytes it has, where it is a file."""


class Lines:
    """Writes the very lines of the archive."""

    def __init__(self, file: BinaryIO, *, is_file: bool) -> None:
        self._file, self._is_file = file, is_file

    async def put(self, records: Sequence[Record]) -> None:
        """Write one line a record."""
        self._file.write(b"".join(map(encode, records)))
        self._file.flush()

    def size(self) -> int:
        """How many bytes were written."""
        return self._file.tell() if self._is_file else 0


class Broker:
    """Publishes, confirmed, under the ids and with the properties that they had.

    Left out is what would act by itself: `reply_to` (an answer nobody waits for), `expiration`,
    `user_id` (the broker compares it with who is connected) and copies by CC and BCC. A message
    that had no id gets one from its place. Headers that leave no room for ours are left out whole,
    and their size told instead.

    Attributes:
        unrouted: how many no queue took.

    """

    def __init__(
        self, publish: Publish, kind: Literal["queue", "exchange"], name: str, now: datetime
    ) -> None:
        self._publish, self._kind, self._name = publish, kind, name
        self._at = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.unrouted = 0

    async def put(self, records: Sequence[Record]) -> None:
        """Publish them and wait for every confirm.

        Raises:
            UnavailableError: not all were confirmed, or the queue is gone.

        """
        receipts = await self._publish([self.replayed(record) for record in records])
        if "failed" in receipts:
            raise UnavailableError(f"{self._name} did not confirm what was replayed into it")
        returned = receipts.count("returned")
        if returned and self._kind == "queue":
            raise UnavailableError(f"there is no queue {self._name!r} any more")
        self.unrouted += returned

    def size(self) -> int:
        """Nothing: it is no file."""
        return 0

    def replayed(self, record: Record) -> Outbound:
        """Give a record as the message to be published."""
        given: Mapping[str, Any] = record.properties
        headers = {key: value for key, value in record.headers.items() if key not in _CARBON}
        if (size := size_of(headers)) > _MOST_HEADERS:
            headers = {LEFT_OUT: size}
        into_queue = self._kind == "queue"
        return Outbound(
            exchange="" if into_queue else self._name,
            routing_key=self._name if into_queue else record.routing_key,
            body=record.body,
            message_id=given.get("message_id") or f"{AUDIT_STREAM}:{record.offset}",
            type=given.get("type"),
            correlation_id=given.get("correlation_id"),
            timestamp=record.time,
            headers={
                **headers,
                REPLAYED_AT: self._at,
                ORIGINAL_EXCHANGE: record.exchange,
                ORIGINAL_KEY: record.routing_key,
            },
            app_id=given.get("app_id"),
            content_type=given.get("content_type"),
            content_encoding=given.get("content_encoding"),
            priority=given.get("priority"),
        )


class Pace:
    """Holds a rate, in messages a second; None: as fast as it goes."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._since: float | None = None
        self._count = 0

    @property
    def at_once(self) -> int:
        """How many to send at once: about a tenth of a second's worth."""
        return max(1, min(_AT_ONCE, int(self._rate / 10))) if self._rate else _AT_ONCE

    async def hold(self, count: int) -> None:
        """Wait until so many more may be sent."""
        if not self._rate:
            return
        now = asyncio.get_running_loop().time()
        if self._since is None:
            self._since = now
        await asyncio.sleep(max(0.0, self._since + self._count / self._rate - now))
        self._count += count


async def replay(
    trail: Trail,
    source: Source,
    wanted: Wanted,
    target: Target,
    *,
    journal: Journal,
    pace: Pace,
    told: Told,
) -> int:
    """Replay what is wanted, in order, from where the journal is; give the count of all of it.

    At least once: a batch whose confirms were lost with the process is sent again under its ids.

    Raises:
        UnavailableError: broker or S3 is away; the journal knows how far it came.
        NoSuchObjectError, ValueError: an object of the archive is gone, or not what it was.
        JournalError: the journal cannot be written.

    """
    sieve, reached = Sieve(wanted), journal.reached
    span = Span(after=reached.after, since=wanted.since, until=wanted.until)
    async with aclosing(trail.read(source, span)) as reader:
        async for epoch, records in reader:
            if not records:
                continue
            chosen = list(sieve.through(records))
            for start in range(0, len(chosen), pace.at_once):
                batch = chosen[start : start + pace.at_once]
                await pace.hold(len(batch))
                await target.put(batch)
                reached = Reached(
                    after=(epoch, batch[-1].offset),
                    count=reached.count + len(batch),
                    size=target.size(),
                )
                journal.save(reached)
                told((epoch, batch[-1].offset), reached.count)
            reached = Reached(
                after=(epoch, records[-1].offset), count=reached.count, size=target.size()
            )
            told((epoch, records[-1].offset), reached.count)
    journal.save(reached)
    return reached.count
