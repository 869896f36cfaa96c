"""Holding the trail against the database: every hole, and every difference."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, TypeVar
from uuid import UUID

from consumer.audit.bucket import Bucket
from consumer.audit.chain import walk
from consumer.audit.fold import COUNTS, Asked, Course, Fold, Told
from consumer.audit.joint import go_on
from consumer.audit.manifest import Manifest
from consumer.audit.repair import repaired
from consumer.audit.trail import Place, Source, Trail
from consumer.broker.stream import Start, Stream
from consumer.record import Record
from consumer.store.archive import newest_marks
from consumer.store.pool import Connection, Database
from consumer.store.prune import pruned_before
from consumer.store.trail import (
    Held,
    Kept,
    held_operations,
    kept_workspaces,
    known_commands,
    now,
)

Kind = Literal[
    "broken-chain",
    "gap",
    "unreadable",
    "command-without-outcome",
    "missing-operation",
    "missing-commands",
    "missing-settlement",
    "never-settled",
    "unknown-operation",
    "other-answer",
    "other-counts",
    "other-status",
]
REPAIRABLE: frozenset[Kind] = frozenset(
    {"missing-operation", "missing-commands", "missing-settlement"}
)
_T = TypeVar("_T")
_ALL_MARKS = 10_000_000
_SEARCHED = 10_000
_CHUNK = 1000
_LATE = timedelta(minutes=1)
"""How long after its deadline an operation may be settled: the clock of that is not exact."""
_PATIENCE = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One hole or difference; `operation_id` where it is about an operation."""

    kind: Kind
    text: str
    operation_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was read, and what was found. Notes are no findings."""

    messages: int
    operations: int
    workspaces: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    def repairable(self) -> list[UUID]:
        """Name the operations of which the database knows more than the trail."""
        found = (one.operation_id for one in self.findings if one.kind in REPAIRABLE)
        return list(dict.fromkeys(one for one in found if one is not None))


class Verifier:
    """Folds the whole trail, and compares."""

    def __init__(
        self, database: Database, stream: Stream, bucket: Bucket | None, max_body: int
    ) -> None:
        self._database, self._stream, self._bucket = database, stream, bucket
        self._fold = Fold(max_body)
        self._findings: list[Finding] = []
        self._notes: list[str] = []
        self._last: Place | None = None
        self._whole = False
        self._joint: tuple[int, Start] = (0, "first")

    async def verify(self, source: Source, told: Callable[[int], None]) -> Verdict:
        """Read everything, `told` now and then how much; say what was found.

        What is under way while it reads is no finding: it compares with the database of one moment
        that everything read before and a little after belongs to.

        Raises:
            UnavailableError: broker, database or S3 is away.

        """
        async for epoch, records in self._trail(source):
            for record in records:
                self._add((epoch, record.offset), record)
            told(self._fold.count)
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            moment = await now(connection)
            if source != "s3":
                await self._catch_up()
            count = await self._compare(connection, moment)
        await self._ask_after_commands()
        self._findings += [
            Finding("unreadable", f"{what} cannot be read") for what in self._fold.unreadable
        ]
        return Verdict(
            self._fold.count,
            count,
            len(self._fold.courses),
            tuple(self._findings),
            tuple(self._notes),
        )

    async def _trail(self, source: Source) -> AsyncGenerator[tuple[int, list[Record]], None]:
        pieces: deque[Manifest] = deque(maxlen=_SEARCHED)
        bucket = self._bucket
        if source != "stream" and bucket is not None:
            async with self._database.connection() as connection:
                marks = await newest_marks(connection, _ALL_MARKS)
            async for link in walk(bucket, {mark.object: mark for mark in marks}):
                self._findings += [Finding("broken-chain", fault) for fault in link.faults]
                if link.manifest is not None:
                    pieces.append(link.manifest)
                    yield link.manifest.epoch, link.records
            async for records in repaired(bucket):
                for record in records:
                    self._fold.add((0, record.offset), record)
        if source != "s3":
            if source == "auto" and bucket is not None:
                self._joint = await go_on(self._stream, bucket, pieces)
            async with aclosing(Trail(self._stream, bucket).rest(self._joint, None)) as rest:
                async for batch in rest:
                    yield batch

    async def _catch_up(self) -> None:
        """Read on: what the database knew at its moment was published by now, or is pending."""
        trail = Trail(self._stream, self._bucket)
        after = self._last if self._last and self._last[0] == self._joint[0] else None
        async with aclosing(trail.rest(self._joint, after)) as rest:
            async for epoch, records in rest:
                for record in records:
                    self._add((epoch, record.offset), record)

    def _add(self, place: Place, record: Record) -> None:
        last, self._last = self._last, place
        if last is None:
            self._whole = place[0] <= 1 and place[1] == 0
        if last is not None and place[0] != last[0]:
            self._notes.append(
                f"the stream was begun anew, or lost its tail, after offset {last[1]}: epoch "
                f"{place[0]} begins at offset {place[1]}"
            )
        elif last is not None and place[1] != last[1] + 1:
            self._find("gap", f"after offset {last[1]} comes {place[1]} in epoch {place[0]}")
        self._fold.add(place, record)

    async def _compare(self, connection: Connection, moment: datetime) -> int:
        """Compare with the database; give the count of operations that were."""
        pruned = await pruned_before(connection)
        known, count = set[UUID](), 0
        after: tuple[datetime, UUID] | None = None
        while chunk := await held_operations(connection, after, _CHUNK):
            after = (chunk[-1].recorded_at, chunk[-1].operation_id)
            count += len(chunk)
            for held in chunk:
                known.add(held.operation_id)
                self._compare_operation(held, moment)
        for operation_id, told in self._fold.operations.items():
            if operation_id not in known:
                self._judge_unknown(operation_id, told, moment, pruned)
        for ids in _chunks(list(self._fold.courses)):
            kept = await kept_workspaces(connection, ids)
            for workspace_id in ids:
                self._compare_workspace(workspace_id, kept.get(workspace_id))
        return count

    def _compare_operation(self, held: Held, moment: datetime) -> None:
        if held.settled_at is None and held.deadline + _LATE < moment:
            self._find(
                "never-settled", f"is open, {held.deadline.isoformat()} was its deadline", held
            )
        before = self._fold.begins is None or held.recorded_at <= self._fold.begins
        if held.pending or (before and not self._whole):
            return
        told = self._fold.operations.get(held.operation_id)
        if told is None or told.answer is None:
            self._find("missing-operation", f"has no {held.answer_type} in the trail", held)
            return
        self._compare_answer(held, told)
        if held.outcome != "carried":
            return
        if len(told.ordered) < held.ordered_count:
            missing = held.ordered_count - len(told.ordered)
            self._find(
                "missing-commands",
                f"sent {held.ordered_count} stop or start commands, {missing} are not in the trail",
                held,
            )
        if held.settled_at is not None and told.counts is None:
            self._find("missing-settlement", "is settled, and the trail does not say so", held)
        elif held.settled_at is not None and told.counts is not None:
            self._compare_counts(held, told.counts)

    def _compare_answer(self, held: Held, told: Told) -> None:
        if told.answer != held.answer_type:
            self._find("other-answer", f"was answered {held.answer_type}, not {told.answer}", held)
        elif held.outcome == "carried" and told.count != held.target_count:
            self._find(
                "other-answer",
                f"changed {held.target_count} workspaces, its summary says {told.count}",
                held,
            )

    def _compare_counts(self, held: Held, told: object) -> None:
        ours = {name: getattr(held, f"{name}_count") for name in COUNTS}
        if ours != told:
            self._find("other-counts", f"has the counts {ours}, the trail says {told}", held)

    def _judge_unknown(
        self, operation_id: UUID, told: Told, moment: datetime, pruned: datetime | None
    ) -> None:
        """Judge what the database does not know: it is new, pruned, or none of its own."""
        if told.time is not None and told.time >= moment:
            return
        if told.time is None or pruned is None or told.time >= pruned:
            text = f"operation {operation_id} is in the trail and not in the database"
            self._findings.append(Finding("unknown-operation", text, operation_id))
        elif told.answer and told.answer.endswith(".pause.summary"):
            missing = (told.count or 0) - len(told.ordered)
            if missing:
                text = f"operation {operation_id}: {missing} of its stops are not in the trail"
                self._findings.append(Finding("missing-commands", text))

    def _compare_workspace(self, workspace_id: UUID, kept: Kept | None) -> None:
        course = self._fold.courses[workspace_id]
        if kept is None or kept.generation != course.generation:
            return  # gone, or touched by what the trail has no command for
        if kept.outcome is None and course.outcome is not None:
            course = replace(course, outcome=None)  # said, and not settled by then
        if course.paused != (kept.status == "paused"):
            self._findings.append(_status(workspace_id, course, kept))

    async def _ask_after_commands(self) -> None:
        """Look for commands that the trail has no answer to; what just came may need a while."""
        left = list(self._fold.open_commands())
        for tried in range(_PATIENCE):
            left = [one async for one in self._unknown(left)]
            if not left or tried == _PATIENCE - 1:
                break
            await asyncio.sleep(1)
        for one in left:
            text = (
                f"{one.type} {one.key!r} of {one.source!r} at offset {one.place[1]} has no "
                "outcome: it waits in lifecycle.commands, or lies in lifecycle.dead-letter"
            )
            self._findings.append(Finding("command-without-outcome", text))

    async def _unknown(self, asked: list[Asked]) -> AsyncGenerator[Asked, None]:
        """Give those that the inbox does not know, unless it has forgotten that time."""
        async with self._database.connection() as connection:
            pruned = await pruned_before(connection)
            for chunk in _chunks(asked):
                sources, keys = [one.source for one in chunk], [one.key for one in chunk]
                found = await known_commands(connection, sources, keys)
                for one, operation_id in zip(chunk, found, strict=True):
                    forgotten = pruned and one.time and one.time < pruned
                    if operation_id is None and not forgotten:
                        yield one

    def _find(self, kind: Kind, text: str, held: Held | None = None) -> None:
        whose = f"operation {held.operation_id} " if held else ""
        self._findings.append(Finding(kind, whose + text, held.operation_id if held else None))


def _status(workspace_id: UUID, course: Course, kept: Kept) -> Finding:
    implied = "paused" if course.paused else "not paused"
    text = (
        f"workspace {workspace_id} is {kept.status}; after operation {course.operation_id} it is "
        f"{implied} by the trail"
    )
    return Finding("other-status", text)


def _chunks(several: Sequence[_T]) -> Iterator[Sequence[_T]]:
    return (several[start : start + _CHUNK] for start in range(0, len(several), _CHUNK))
