"""Settlement against a reference model written from the contract: any results, in any order."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID, uuid4

import asyncpg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from consumer.operation import Outcome, Result
from consumer.settlement import put_news
from consumer.store.targets import News, expire_targets, settle_targets
from consumer.store.tree import plan_undo
from tests.store.carried import Carried, pause, resume, undo
from tests.store.ledger import (
    COUNTED,
    NAMES,
    OUTCOMES,
    PARENTS,
    RAN,
    SAID,
    STATUSES,
    Direct,
    Entry,
    Heard,
    Ledger,
    Said,
    connected,
)
from tests.support.forest import Forest


class World(RuleBasedStateMachine):
    """The database and the ledger, step by step."""

    room: ClassVar[tuple[asyncio.Runner, Direct]]

    def __init__(self) -> None:
        super().__init__()
        self.runner, self.connection = self.room
        self.forest = Forest(self.connection)
        self.spoken = 0
        self.rows: Mapping[str, Any] = {}
        self.outbox: list[asyncpg.Record] = []

    @initialize(statuses=st.lists(st.sampled_from(STATUSES), min_size=8, max_size=8))
    def plant(self, statuses: list[str]) -> None:
        """Replace everything by the forest in these statuses."""
        self.ledger = Ledger(dict(zip(NAMES, statuses, strict=True)))
        self.runner.run(self._plant(statuses))

    @rule(top=st.sampled_from(NAMES))
    def pauses(self, top: str) -> None:
        """Pause a tree."""
        if self.ledger.allows("pause", top):
            carried = self.runner.run(pause(self.connection, self.forest.ids[top]))
            names = sorted(self.ledger.tree.etag_set("pause", top))
            self.ledger.carry("pause", top, names, carried)

    @rule(top=st.sampled_from(NAMES))
    def resumes(self, top: str) -> None:
        """Resume a tree."""
        if self.ledger.allows("resume", top):
            carried = self.runner.run(resume(self.connection, self.forest.ids[top]))
            names = sorted(self.ledger.tree.etag_set("resume", top))
            self.ledger.carry("resume", top, names, carried)

    @precondition(lambda self: self.ledger.entries)
    @rule(place=st.integers(0, 5))
    def undoes(self, place: int) -> None:
        """Undo a pause, the first time or again."""
        earlier = self.ledger.entries[place % len(self.ledger.entries)]
        if earlier.action != "pause" or not self.ledger.allows("resume", earlier.top):
            return
        names = self.ledger.left(earlier)
        carried = self.runner.run(self._undo(earlier, set(earlier.aims) - set(names)))
        ran = [name for name in names if earlier.aims[name].earlier in RAN]
        assert (carried.recorded.count, carried.recorded.target_count) == (len(names), len(ran))
        self.ledger.put_back(earlier, names, carried)

    @rule(batch=st.lists(SAID, min_size=1, max_size=12), together=st.booleans())
    def results(self, batch: list[Said], together: bool) -> None:
        """Hear results, in one batch or one by one."""
        for part in [batch] if together else [[one] for one in batch]:
            self._hear(part)

    @precondition(lambda self: self.ledger.entries)
    @rule(
        place=st.integers(0, 5),
        order=st.permutations(NAMES),
        outcomes=st.lists(OUTCOMES, min_size=8, max_size=8),
        size=st.integers(1, 8),
    )
    def everybody(
        self, place: int, order: Sequence[str], outcomes: list[Outcome], size: int
    ) -> None:
        """Hear of every workspace there is, in any order, as targets of one operation."""
        place %= len(self.ledger.entries)
        said = [Said(place, *pair) for pair in zip(order, outcomes, strict=True)]
        for start in range(0, len(said), size):
            self._hear(said[start : start + size])

    @rule(places=st.sets(st.integers(0, 5), min_size=1, max_size=3))
    def deadline(self, places: set[int]) -> None:
        """Let the deadline of some operations pass."""
        entries = [one for place, one in enumerate(self.ledger.entries) if place in places]
        ids = [one.carried.operation_id for one in entries]
        news = self.runner.run(self._expire(ids))
        self._compare(news, self.ledger.expire(entries))

    @rule(
        name=st.sampled_from(NAMES),
        status=st.sampled_from(STATUSES),
        url=st.none() | st.just("http://moved"),
    )
    def platform(self, name: str, status: str, url: str | None) -> None:
        """Let the platform change its own table."""
        self.ledger.statuses[name] = status
        self.ledger.urls[name] = url or self.ledger.urls[name]
        self.runner.run(self._move(self.forest.ids[name], status, url))

    @invariant()
    def workspaces_are_as_the_ledger_says(self) -> None:
        """Find the ledger's statuses and URLs; only what changed is dated, nothing else written."""
        rows = self.runner.run(self._workspaces())
        for name, row in rows.items():
            expected = (self.ledger.statuses[name], self.ledger.urls[name])
            assert (row["status"], row["url"]) == expected, name
            assert row["rest"] == self.rows[name]["rest"]
        dated = {n for n in rows if rows[n]["updated_at"] != self.rows[n]["updated_at"]}
        assert dated == self.ledger.touched
        self.rows = rows
        self.ledger.touched.clear()

    @invariant()
    def counts_add_up(self) -> None:
        """Count what the targets say, each with the outcome that was its first."""
        operations, targets = self.runner.run(self._told())
        for entry in self.ledger.entries:
            row = operations.pop(entry.carried.operation_id)
            counts = [row[f"{outcome}_count"] for outcome in COUNTED]
            assert counts == [entry.count(outcome) for outcome in COUNTED]
            assert row["open_count"] + sum(counts) == row["target_count"] == len(entry.aims)
            assert row["settled"] == entry.settled == (row["open_count"] == 0)
            for name, aim in entry.aims.items():
                found = targets.pop((entry.carried.operation_id, name))
                assert tuple(found)[2:] == (aim.outcome, aim.detail, aim.outcome is not None)
        assert not operations
        assert not targets

    @invariant()
    def settled_is_told_once_and_each_correction_too(self) -> None:
        """See one end an operation in the outbox, each correction once, and no id twice."""
        ids = {(row["operation_id"], row["derived_from"] or row["type"]) for row in self.outbox}
        assert len(ids) == len(self.outbox)
        for entry in self.ledger.entries:
            mine = [row for row in self.outbox if row["operation_id"] == entry.carried.operation_id]
            ends = [row for row in mine if row["type"] == f"workspace.{entry.action}.settled"]
            # One without targets is told as it is recorded, which is not settlement's to do.
            assert len(ends) == (entry.settled and bool(entry.carried.recorded.target_count))
            corrected = [row for row in mine if row["type"].endswith("corrected")]
            bodies = [json.loads(row["body"])["data"]["corrections"] for row in corrected]
            names = [one["name"] for body in bodies for one in body]
            assert sorted(names) == sorted(entry.corrected)

    def _hear(self, batch: Sequence[Said]) -> None:
        results = [self._result(said) for said in batch]
        told: dict[UUID, Heard] = {}
        for said, result in zip(batch, results, strict=True):
            self.ledger.hear(said, result, told)
        self._compare(self.runner.run(self._settle(results)), told)

    def _compare(self, news: Sequence[News], told: Mapping[UUID, Heard]) -> None:
        """Hold what the program tells against what the ledger tells."""
        assert len(news) == len(told)
        for one in news:
            expected, entry = told[one.operation_id], self._of(one.operation_id)
            assert (one.outcome_count, one.settled) == (expected.outcome_count, expected.settled)
            assert (one.open_count, one.progressed) == (entry.count(None), False)
            corrections = {each.name: each.restored_status for each in one.corrections}
            assert corrections == expected.corrections
            assert len(one.corrections) == len(expected.corrections)
            depths = self.ledger.tree.below(entry.top)
            order = sorted(corrections, key=lambda name: (depths.get(name, 0), name))
            assert list(corrections) == order
            for each in one.corrections:
                aim = entry.aims[each.name]
                assert (each.outcome, each.detail) == (aim.outcome, aim.detail)
        self._compare_events({one.operation_id for one in news if one.settled or one.corrections})

    def _compare_events(self, told: set[UUID]) -> None:
        """See that the events that were just put say how their operations stand."""
        outbox = self.runner.run(self._outbox())
        new = outbox[len(self.outbox) :]
        assert {row["operation_id"] for row in new} == told
        assert len(new) == len(told)
        for row in new:
            entry, data = self._of(row["operation_id"]), json.loads(row["body"])["data"]
            counts = {f"{outcome}_count": entry.count(outcome) for outcome in COUNTED}
            assert data | counts == data
            assert data["target_count"] == len(entry.aims)
        self.outbox = outbox

    def _of(self, operation_id: UUID) -> Entry:
        return next(e for e in self.ledger.entries if e.carried.operation_id == operation_id)

    def _result(self, said: Said) -> Result:
        """Give what an executor says, each time with words of its own."""
        self.spoken += 1
        known = said.place is not None and said.place < len(self.ledger.entries)
        carried = self.ledger.entries[said.place or 0].carried if known else None
        return Result(
            operation_id=carried.operation_id if carried else uuid4(),
            workspace_id=self.forest.ids[said.name],
            generation=(carried.recorded.generation if carried else 1) + said.off,
            action="pause"
            if (carried is None or carried.action == "pause") != said.crossed
            else "resume",
            outcome=said.outcome,
            message_id=f"r{self.spoken}",
            code="refused" if said.outcome == "failed" else None,
            detail=f"d{self.spoken}",
        )

    async def _plant(self, statuses: Sequence[str]) -> None:
        await self.connection.execute(
            "truncate workspaces, lifecycle.operation, lifecycle.target, lifecycle.outbox"
        )
        branches = [f"{PARENTS[n]}/{n}" if PARENTS[n] else n for n in NAMES]
        pairs = zip(branches, statuses, strict=True)
        await self.forest.plant(*(f"{branch}:{status}" for branch, status in pairs))
        await self.connection.execute("update workspaces set updated_at = '2020-01-01', tier = 2")
        self.rows = await self._workspaces()

    async def _settle(self, results: Sequence[Result]) -> list[News]:
        async with self.connection.transaction():
            news = await settle_targets(self.connection, results)
            await put_news(self.connection, news, 100)
        return news

    async def _expire(self, ids: Sequence[UUID]) -> list[News]:
        await self.connection.execute(
            "update lifecycle.operation set deadline = now() - interval '1 hour'"
            " where operation_id = any($1::uuid[])",
            ids,
        )
        async with self.connection.transaction():
            news = await expire_targets(self.connection)
            await put_news(self.connection, news, 100)
        return news

    async def _undo(self, earlier: Entry, changed_since: set[str]) -> Carried:
        """Undo a pause, after seeing that what would be left alone is listed."""
        top, identity = self.forest.ids[earlier.top], earlier.carried.operation_id
        plan = await plan_undo(self.connection, top, identity, 100)
        assert {one.name for one in plan.not_restored or ()} == changed_since
        carried = await undo(self.connection, top, earlier.carried)
        assert carried.recorded.tree_etag == plan.tree_etag
        return carried

    async def _move(self, identity: UUID, status: str, url: str | None) -> None:
        await self.connection.execute(
            "update workspaces set url = coalesce($2, url), status = (jsonb_populate_record("
            " null::workspaces, jsonb_build_object('status', $3::text))).status where id = $1",
            identity,
            url,
            status,
        )

    async def _workspaces(self) -> Mapping[str, Any]:
        rows = await self.connection.fetch(
            "select name, status::text, url, updated_at,"
            " (to_jsonb(w) - array['status', 'url', 'updated_at'])::text as rest from workspaces w"
        )
        return {row["name"]: row for row in rows}

    async def _told(self) -> tuple[dict[UUID, Any], dict[tuple[UUID, str], Any]]:
        operations = await self.connection.fetch(
            "select *, settled_at is not null as settled from lifecycle.operation"
        )
        targets = await self.connection.fetch(
            "select operation_id, name, outcome, detail, settled_at is not null"
            " from lifecycle.target"
        )
        by_name = {(row["operation_id"], row["name"]): row for row in targets}
        return {row["operation_id"]: row for row in operations}, by_name

    async def _outbox(self) -> list[asyncpg.Record]:
        return await self.connection.fetch("select * from lifecycle.outbox order by seq")


def test_settlement_does_as_the_ledger_does(either_url: str) -> None:
    """Any results among commands, deadlines and the platform's own changes: as the contract."""
    with connected(either_url, 1) as (runner, (connection,)):

        class Here(World):
            room = runner, connection

        run_state_machine_as_test(
            Here,
            settings=settings(
                max_examples=80,
                stateful_step_count=20,
                deadline=None,
                print_blob=True,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
