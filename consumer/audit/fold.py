"""Folding the trail into the state that it implies. Pure; the order of messages does not matter."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from consumer.audit.trail import Place
from consumer.audit.wanted import EXECUTED
from consumer.intake import read_command, read_result
from consumer.message import Inbound, UnreadableError
from consumer.record import Record
from schemas.catalog import (
    BY_NAME,
    COMMANDS,
    OPERATION_HEADER,
    SOURCE,
    MessageType,
)

REPAIRED = "x-repaired"
COUNTS = ("target", "succeeded", "failed", "superseded", "timed_out")
_ANSWERS = (".rejected", ".summary", ".previewed")


@dataclass(slots=True)
class Told:
    """One operation as the trail tells it.

    Attributes:
        answer: the type of its answer.
        count: how many workspaces its summary says it changed.
        ordered: the workspaces that a stop or start command was sent for.
        counts: as its settlement or its last correction says.
        time: when it was recorded.

    """

    answer: str | None = None
    count: int | None = None
    ordered: set[UUID] = field(default_factory=set)
    counts: Mapping[str, int] | None = None
    corrected: bool = False
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A command without an answer so far, and how the inbox knows it."""

    place: Place
    time: datetime | None
    type: str
    source: str
    key: str


@dataclass(frozen=True, slots=True)
class Course:
    """The newest command for a workspace's machine, and what came of it."""

    generation: int
    operation_id: UUID
    type: Literal["workspace.stop", "workspace.start"]
    outcome: Literal["succeeded", "failed", "superseded"] | None

    @property
    def paused(self) -> bool:
        """Whether the workspace ought to be paused: a failed one stays what it was."""
        return (self.type == "workspace.stop") != (self.outcome == "failed")


class Fold:
    """What a trail says of commands, operations and workspaces.

    `max_body` is what a command may have, in bytes: a larger one is read only from outside.

    Attributes:
        begins: the time of the first message of ours; None before there was one.

    """

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self.operations: dict[UUID, Told] = {}
        self.courses: dict[UUID, Course] = {}
        self.begins: datetime | None = None
        self.count = 0
        self.unreadable: list[str] = []
        self._asked: dict[str, list[Asked]] = {}
        self._answered: set[str] = set()
        self._early: dict[tuple[UUID, int], Any] = {}

    def add(self, place: Place, record: Record) -> None:
        """Take one message in."""
        self.count += 1
        kind = BY_NAME.get(record.type)
        if record.exchange == COMMANDS and record.routing_key in EXECUTED:
            self._add_command(place, record)
        elif kind is not None and kind.exchange == record.exchange:
            self._add_other(record, kind)

    def open_commands(self) -> Iterator[Asked]:
        """Give the commands that the trail holds no answer to."""
        for several in self._asked.values():
            yield from several

    def _add_command(self, place: Place, record: Record) -> None:
        if REPAIRED in record.headers:
            return
        try:
            origin = read_command(_inbound(record), self._max_body).origin
        except UnreadableError:
            return  # it went to the dead letters: nobody could be answered
        if origin.message_id in self._answered:
            self._answered.discard(origin.message_id or "")
            return
        asked = Asked(place, record.time, record.type, origin.source, origin.key)
        self._asked.setdefault(origin.key, []).append(asked)

    def _add_other(self, record: Record, kind: MessageType) -> None:
        if kind.role == "result":
            self._add_result(record)
        elif record.properties.get("app_id") == SOURCE:
            try:
                event = json.loads(record.body)
                operation_id = UUID(record.headers[OPERATION_HEADER])
                self._add_ours(operation_id, record, kind, event)
            except (ValueError, KeyError, TypeError, AttributeError):
                self.unreadable.append(f"{record.type} at offset {record.offset}")

    def _add_ours(
        self, operation_id: UUID, record: Record, kind: MessageType, event: Mapping[str, Any]
    ) -> None:
        told = self.operations.setdefault(operation_id, Told())
        if self.begins is None:
            self.begins = record.time
        data = event["data"]
        if kind.role == "executor-command":
            self._add_order(operation_id, told, record, data)
        elif kind.name.endswith(_ANSWERS):
            told.answer, told.time = kind.name, record.time
            if kind.name.endswith(".summary"):
                told.count = data[f"{data['action']}d_count"]
            self._answer(event.get("causationid"))
        elif kind.name.endswith(".settled") and not told.corrected:
            told.counts = _counts(data)
        elif kind.name.endswith(".corrected"):
            counts = _counts(data)
            if not told.corrected or counts["timed_out"] < (told.counts or counts)["timed_out"]:
                told.counts = counts
            told.corrected = True

    def _answer(self, cause: str | None) -> None:
        """Note that a command was answered, also where the trail has it only later."""
        if cause is None:
            return
        waiting = self._asked.get(cause)
        if waiting is None:
            self._answered.add(cause)
            return
        waiting.pop(0)
        if not waiting:
            del self._asked[cause]

    def _add_order(
        self, operation_id: UUID, told: Told, record: Record, data: Mapping[str, Any]
    ) -> None:
        workspace_id, generation = UUID(data["workspace_id"]), data["generation"]
        told.ordered.add(workspace_id)
        known = self.courses.get(workspace_id)
        if known is not None and known.generation >= generation:
            return
        outcome = self._early.pop((workspace_id, generation), None)
        kind: Any = record.type
        self.courses[workspace_id] = Course(generation, operation_id, kind, outcome)

    def _add_result(self, record: Record) -> None:
        try:
            result = read_result(_inbound(record), self._max_body)
        except UnreadableError:
            return
        known = self.courses.get(result.workspace_id)
        if known is None or known.generation < result.generation:
            self._early.setdefault((result.workspace_id, result.generation), result.outcome)
            return
        verb = "workspace.stop" if result.action == "pause" else "workspace.start"
        its_own = (known.generation, known.operation_id, known.type) == (
            result.generation, result.operation_id, verb,
        )  # fmt: skip
        if its_own and known.outcome is None:
            outcome: Any = result.outcome
            self.courses[result.workspace_id] = Course(
                known.generation, known.operation_id, known.type, outcome
            )


def _counts(data: Mapping[str, Any]) -> Mapping[str, int]:
    return {name: int(data[f"{name}_count"]) for name in COUNTS}


def _inbound(record: Record) -> Inbound:
    """Give a record as it was when it came in."""
    given = record.properties
    return Inbound(
        body=record.body,
        queue="",
        exchange=record.exchange,
        routing_key=record.routing_key,
        message_id=given.get("message_id"),
        type=given.get("type"),
        app_id=given.get("app_id"),
        correlation_id=given.get("correlation_id"),
        content_type=given.get("content_type"),
        content_encoding=given.get("content_encoding"),
        headers=record.headers,
    )
