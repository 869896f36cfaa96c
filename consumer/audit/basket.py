"""Records on their way into the next cut, all of one hour."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from consumer.audit.manifest import hour_of
from consumer.record import Record

_REST_OF_A_LINE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """When a cut is made: at so many records, so many bytes of bodies, or after `every` seconds."""

    records: int = 10_000
    bytes: int = 8_000_000
    every: float = 60.0


@dataclass(slots=True)
class Basket:
    """Gathers records until a cut is due.

    Attributes:
        hour: the partition of what it holds; of what it held last, while it is empty.
        now: tells the time by which hours go.

    """

    sizes: Sizes
    hour: datetime | None
    now: Callable[[], datetime]
    records: list[Record] = field(default_factory=list)
    _bytes: int = 0
    _since: float = 0.0

    def due(self, coming: Record | None) -> bool:
        """Tell whether what is gathered has to be cut before `coming` is added."""
        if not self.records:
            return False
        if self._bytes >= self.sizes.bytes or len(self.records) >= self.sizes.records:
            return True
        return self.left == 0 or (coming is not None and self._hour_of(coming) != self.hour)

    def add(self, record: Record) -> None:
        """Put one record in."""
        if not self.records:
            self._since, self.hour = _now(), self._hour_of(record)
        self.records.append(record)
        self._bytes += len(record.body) + _REST_OF_A_LINE

    @property
    def left(self) -> float | None:
        """In how many seconds it is due though nothing comes; None while it is empty."""
        return max(0.0, self._since + self.sizes.every - _now()) if self.records else None

    def emptied(self) -> tuple[Sequence[Record], datetime]:
        """Give what was gathered, and its hour."""
        assert self.hour is not None
        records, self.records, self._bytes = self.records, [], 0
        return records, self.hour

    def _hour_of(self, record: Record) -> datetime:
        return hour_of(record.time, self.hour, self.now())


def _now() -> float:
    return asyncio.get_running_loop().time()
