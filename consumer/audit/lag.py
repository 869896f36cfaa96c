"""Warns, well before it happens, that the stream is about to forget what is not archived."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from consumer.broker.stream import Stream
from consumer.message import UnavailableError
from consumer.observe import say
from consumer.record import Record

_UNITS = {
    "Y": timedelta(days=365),
    "M": timedelta(days=30),
    "D": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}
_EARLY = 2
"""It warns when a half of what the stream keeps is not archived."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How long and how much a stream keeps, in the terms of its arguments; None: everything."""

    max_age: str | None = None
    max_bytes: int | None = None

    @property
    def age(self) -> timedelta | None:
        """How long, of `max_age` (RabbitMQ documentation, Streams, retention)."""
        found = re.fullmatch(r"(\d+)([YMDhms])", self.max_age or "")
        return int(found[1]) * _UNITS[found[2]] if found else None


class Lag:
    """What waits to be written, and how long it can, by the time that `now` tells."""

    def __init__(self, limit: Limit, now: Callable[[], datetime]) -> None:
        self._limit, self._now = limit, now
        self._oldest: Record | None = None
        self._mean = 0.0

    def waits(self, records: Sequence[Record]) -> None:
        """Note what is about to be written, unless something older waits still."""
        if self._oldest is None or self._oldest.offset > records[0].offset:
            self._oldest = records[0]
        self._mean = sum(len(record.body) for record in records) / len(records)

    def is_written(self) -> None:
        """Note that nothing waits; warn where it was written late."""
        self._warn_of_age()
        self._oldest = None

    async def warn_of(self, stream: Stream) -> None:
        """Warn where half the time or half the room has gone that a stream leaves to what waits."""
        self._warn_of_age()
        if self._oldest is None or not self._limit.max_bytes:
            return
        try:
            end = await stream.end()
        except UnavailableError:
            return
        waiting = self._mean * ((end or 0) - self._oldest.offset)
        if waiting * _EARLY > self._limit.max_bytes:
            say("archive.late", behind_bytes=round(waiting), kept=self._limit.max_bytes)

    def _warn_of_age(self) -> None:
        time = self._oldest.time if self._oldest else None
        if time is None or self._limit.age is None:
            return
        behind = self._now() - time
        if behind * _EARLY > self._limit.age:
            say(
                "archive.late",
                behind_seconds=round(behind.total_seconds()),
                kept=self._limit.max_age,
            )
