"""Results that many bring at once come to what one after the other does."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.operation import Outcome, Result
from consumer.store.targets import News, expire_targets, settle_targets
from tests.store.carried import pause, resume
from tests.store.ledger import (
    COUNTED,
    NAMES,
    OUTCOMES,
    Direct,
    connected,
)
from tests.support.forest import Forest


@dataclass(frozen=True)
class Rush:
    """Results of one pause, said several times each, and who comes in between."""

    order: Sequence[tuple[str, Outcome]]
    size: int
    expires: bool
    commanded: bool


@st.composite
def rushes(draw: st.DrawFn) -> Rush:
    """Draw outcomes that contradict each other, in any order."""
    outcomes: st.SearchStrategy[list[Outcome]] = st.lists(OUTCOMES, min_size=1, max_size=3)
    said = [(name, outcome) for name in NAMES for outcome in draw(outcomes)]
    order = draw(st.permutations(said))
    return Rush(order, draw(st.integers(1, 6)), draw(st.booleans()), draw(st.booleans()))


class Crowd:
    """Connections that all bring what they have at once."""

    def __init__(self, rush: Rush, connections: Sequence[Direct]) -> None:
        self.rush = rush
        self.watcher, self.deadline, self.caller, *self.settlers = connections
        self.forest = Forest(self.watcher)
        self.settled = 0
        self.taken = 0
        self.timed_out = 0
        self.corrected: list[str] = []

    async def run(self) -> None:
        """Plant, pause, and let everybody in while the operation is held."""
        await self.watcher.execute(
            "truncate workspaces, lifecycle.operation, lifecycle.target, lifecycle.outbox"
        )
        top = await self.forest.plant("a", *(f"a/{name}:degraded" for name in NAMES[1:]))
        self.carried = await pause(self.watcher, top, seconds=-1)
        async with asyncio.TaskGroup() as crowd, self.watcher.transaction():
            await self.watcher.execute("select from lifecycle.operation for update")
            await self._waiting(self._start(crowd, top))

    def _start(self, crowd: asyncio.TaskGroup, top: UUID) -> int:
        """Start everybody; give how many cannot get past what is held."""
        batches = self._batches()
        for number, settler in enumerate(self.settlers):
            crowd.create_task(self._settle(settler, batches[number :: len(self.settlers)]))
        if self.rush.expires:
            crowd.create_task(self._expire())
        if self.rush.commanded:
            crowd.create_task(self._command(top))
        return min(len(self.settlers), len(batches)) + self.rush.expires

    def _batches(self) -> list[list[Result]]:
        results = [self.carried.result(self.forest.ids[name], o) for name, o in self.rush.order]
        return [results[i : i + self.rush.size] for i in range(0, len(results), self.rush.size)]

    async def _waiting(self, count: int) -> None:
        """Wait until so many wait: all have looked, and none has written."""
        waits = "select count(distinct pid) from pg_locks where not granted"
        while await self.watcher.fetchval(waits) < count:  # noqa: ASYNC110 (only asking can tell)
            await asyncio.sleep(0.002)

    async def _settle(self, connection: Direct, batches: Sequence[Sequence[Result]]) -> None:
        for batch in batches:
            async with connection.transaction():
                news = await settle_targets(connection, batch)
            self.taken += sum(one.outcome_count for one in news)
            self._take(news)

    async def _expire(self) -> None:
        news = await expire_targets(self.deadline)
        self.timed_out += sum(one.outcome_count for one in news)
        self._take(news)

    async def _command(self, top: UUID) -> None:
        async with self.caller.transaction():
            await resume(self.caller, top)
        async with self.caller.transaction():
            await pause(self.caller, top)

    def _take(self, news: Sequence[News]) -> None:
        self.settled += sum(one.settled for one in news)
        self.corrected += [each.name for one in news for each in one.corrections]

    async def compare(self) -> None:
        """Find everything counted once, and each workspace as its one outcome leaves it."""
        assert self.settled == 1
        assert self.taken == len(NAMES)
        assert len(self.corrected) == len(set(self.corrected)) == self.timed_out
        row = await self.watcher.fetchrow(
            "select * from lifecycle.operation where operation_id = $1", self.carried.operation_id
        )
        targets = await self.watcher.fetch(
            "select name, outcome from lifecycle.target where operation_id = $1",
            self.carried.operation_id,
        )
        found = {target["name"]: target["outcome"] for target in targets}
        assert row is not None
        for outcome in COUNTED:
            assert row[f"{outcome}_count"] == list(found.values()).count(outcome)
        assert row["open_count"] == 0
        assert set(found.items()) <= set(self.rush.order)
        earlier = {"a": "online"}
        given_back = {n: earlier.get(n, "degraded") for n, o in found.items() if o == "failed"}
        expected = dict.fromkeys(NAMES, "paused") | ({} if self.rush.commanded else given_back)
        assert await self.forest.statuses() == expected


def test_all_at_once_is_as_one_after_the_other(database_url: str) -> None:
    """Contradicting results, a deadline and commands that wait for each other: counted once."""
    with connected(database_url, 7) as (runner, connections):

        @settings(max_examples=80, deadline=None, print_blob=True)
        @given(rush=rushes())
        def holds(rush: Rush) -> None:
            crowd = Crowd(rush, connections)
            runner.run(asyncio.wait_for(crowd.run(), 20))
            runner.run(crowd.compare())

        holds()


async def test_what_each_operation_gave_back_is_counted_as_its_own(forest: Forest) -> None:
    """Failures of two operations in one batch: none is told the other's compensations too."""
    tops = [await forest.plant("one", "one/a"), await forest.plant("two")]
    one, two = [await pause(forest.connection, top) for top in tops]
    failed = [one.result(tops[0], "failed"), one.result(forest.ids["a"], "failed")]
    news = await settle_targets(forest.connection, [*failed, two.result(tops[1], "failed")])
    told = {each.operation_id: each.compensated_count for each in news}
    assert told == {one.operation_id: 2, two.operation_id: 1}
