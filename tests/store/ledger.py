"""The contract's own account of operations: what any results, in any order, must come to."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

import asyncpg
from hypothesis import strategies as st

from consumer.operation import Outcome, Result
from tests.store.carried import Carried
from tests.support.model import Model

Direct: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

PARENTS = {"a": None, "b": "a", "c": "a", "d": "b", "e": "d", "f": "c", "x": None, "y": "x"}
NAMES = tuple(PARENTS)
STATUSES = (
    "online", "paused", "degraded", "provisioning", "offline", "failed", "hibernated", "removed",
)  # fmt: skip
RAN = {"provisioning", "online", "degraded"}
OUTCOMES: st.SearchStrategy[Outcome] = st.sampled_from(["succeeded", "failed", "superseded"])
COUNTED = ("succeeded", "failed", "superseded", "timed_out")


@dataclass(frozen=True)
class Said:
    """What somebody says on the wire: of which operation, None being one that never was.

    Attributes:
        off: how far its generation is from the operation's.
        crossed: it speaks of a start where it was a stop, or the other way round.

    """

    place: int | None
    name: str
    outcome: Outcome
    off: int = 0
    crossed: bool = False


SAID = st.builds(
    Said,
    place=st.none() | st.integers(0, 5),
    name=st.sampled_from(NAMES),
    outcome=OUTCOMES,
    off=st.sampled_from([0, 0, 0, 0, 0, -1, 1]),
    crossed=st.sampled_from([False, False, False, False, True]),
)


@dataclass
class Aim:
    """One workspace in an operation of the model."""

    earlier: str
    url: str
    outcome: str | None = None
    detail: str | None = None


@dataclass
class Entry:
    """An operation of the model, and what was told of it."""

    action: str
    top: str
    carried: Carried
    aims: dict[str, Aim]
    settled: bool = False
    corrected: set[str] = field(default_factory=set)

    def count(self, outcome: str | None) -> int:
        """Count the targets with an outcome, or without one."""
        return sum(aim.outcome == outcome for aim in self.aims.values())


@dataclass
class Heard:
    """What a batch meant for one operation: the model's `News`."""

    outcome_count: int = 0
    settled: bool = False
    corrections: dict[str, str | None] = field(default_factory=dict)


class Ledger:
    """The contract's own account of workspaces, operations and what is told of them."""

    def __init__(self, statuses: dict[str, str]) -> None:
        self.tree = Model(PARENTS, statuses)
        self.urls = {name: f"http://{name}" for name in NAMES}
        self.entries: list[Entry] = []
        self.newest: dict[str, Entry] = {}
        self.touched: set[str] = set()

    @property
    def statuses(self) -> dict[str, str]:
        """Give the status of each workspace."""
        return self.tree.statuses

    def allows(self, action: str, top: str) -> bool:
        """Tell whether the contract carries a command out at all."""
        above = self.tree.above(top)
        paused_above = any(self.statuses[name] == "paused" for name in above)
        return self.statuses[top] != "removed" and not (action == "resume" and paused_above)

    def carry(self, action: str, top: str, names: Sequence[str], carried: Carried) -> Entry:
        """Take a command's targets down and change their workspaces."""
        aims = {name: Aim(self.statuses[name], self.urls[name]) for name in names}
        entry = Entry(action, top, carried, aims, settled=not aims)
        for name in names:
            self._set(name, "paused" if action == "pause" else "provisioning")
            self.urls[name] = "" if action == "pause" else self.urls[name]
            self.newest[name] = entry
        self.entries.append(entry)
        return entry

    def left(self, entry: Entry) -> list[str]:
        """Name what a pause changed and is still as that pause left it."""
        return [
            name
            for name in entry.aims
            if self.newest[name] is entry and self.statuses[name] == "paused"
        ]

    def put_back(self, earlier: Entry, names: Sequence[str], carried: Carried) -> None:
        """Undo a pause: what ran is started, what did not is only set back."""
        entry = self.carry("resume", earlier.top, names, carried)
        for name, aim in entry.aims.items():
            was = earlier.aims[name]
            if was.earlier not in RAN:
                aim.outcome, aim.detail = "succeeded", f"set back to {was.earlier}"
                self._set(name, was.earlier)
                self.urls[name] = self.urls[name] or was.url
        entry.settled = entry.count(None) == 0

    def hear(self, said: Said, result: Result, told: dict[UUID, Heard]) -> None:
        """Take one result in: only the first, and one after the deadline, is news."""
        entry = self._entry(said.place)
        aim = entry.aims.get(said.name) if entry and not (said.off or said.crossed) else None
        if entry is None or aim is None or aim.outcome not in {None, "timed_out"}:
            return
        news = told.setdefault(result.operation_id, Heard())
        late = aim.outcome is not None
        aim.outcome, aim.detail = result.outcome, result.detail
        news.outcome_count += 1
        restored = self._compensate(entry, said.name) if result.outcome == "failed" else None
        if late:
            news.corrections[said.name] = restored
            entry.corrected.add(said.name)
        elif entry.count(None) == 0:
            news.settled = entry.settled = True

    def expire(self, entries: Sequence[Entry]) -> dict[UUID, Heard]:
        """Let the deadline of operations pass."""
        told = {}
        for entry in (one for one in entries if not one.settled):
            told[entry.carried.operation_id] = Heard(entry.count(None), settled=True)
            entry.settled = True
            for aim in entry.aims.values():
                aim.outcome = aim.outcome or "timed_out"
        return told

    def _entry(self, place: int | None) -> Entry | None:
        return self.entries[place] if place is not None and place < len(self.entries) else None

    def _compensate(self, entry: Entry, name: str) -> str | None:
        """Give a workspace back what it was, where this operation's change still stands."""
        aim, left = entry.aims[name], "paused" if entry.action == "pause" else "provisioning"
        if self.newest[name] is not entry or self.statuses[name] != left:
            return None
        self._set(name, aim.earlier)
        self.urls[name] = self.urls[name] or (aim.url if entry.action == "pause" else "")
        return aim.earlier

    def _set(self, name: str, status: str) -> None:
        self.statuses[name] = status
        self.touched.add(name)


@contextmanager
def connected(url: str, count: int) -> Iterator[tuple[asyncio.Runner, list[Direct]]]:
    """Keep a loop and some connections for all examples of a test."""

    async def connect() -> list[Direct]:
        return [await asyncpg.connect(url) for _ in range(count)]

    async def close(connections: Sequence[Direct]) -> None:
        for one in connections:
            await one.close()

    with asyncio.Runner() as runner:
        connections = runner.run(connect())
        try:
            yield runner, connections
        finally:
            runner.run(close(connections))
