"""Folding a trail: what it implies does not hang on the order of its messages."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.audit.fold import Course, Fold
from consumer.record import Record

OPERATIONS = [UUID(int=100 + n) for n in range(3)]
WORKSPACES = [UUID(int=n) for n in range(2)]
STOP, START = "workspace.stop", "workspace.start"
DONE = {STOP: "workspace.stopped", START: "workspace.started"}


def record(kind: str, exchange: str, operation: UUID, **data: Any) -> Record:
    """Make one message of an operation, as the trail has it."""
    said = {"operation_id": str(operation), **data}
    event = {"specversion": "1.0", "id": "i", "source": "s", "type": kind, "data": said}
    return Record(
        offset=0,
        exchange=exchange,
        routing_key=kind,
        body=json.dumps(event).encode(),
        properties={
            "app_id": "workspace-lifecycle",
            "content_type": "application/cloudevents+json",
        },
        headers={"x-operation-id": str(operation)},
    )


def order(kind: str, place: int, workspace: UUID) -> Record:
    """Make a stop or start of the operation at a place; its generation is that place."""
    return record(
        kind, "workspace.commands", OPERATIONS[place],
        workspace_id=str(workspace), generation=place, name="w", previous_status="online",
    )  # fmt: skip


def result(kind: str, place: int, workspace: UUID, *, failed: bool) -> Record:
    """Make its result."""
    why = {"code": "no", "retryable": False} if failed else {}
    return record(
        f"{kind}.failed" if failed else DONE[kind], "workspace.events", OPERATIONS[place],
        workspace_id=str(workspace), generation=place, **why,
    )  # fmt: skip


def folded(records: list[Record]) -> Fold:
    """Fold some records."""
    fold = Fold(1_000_000)
    for place, one in enumerate(records):
        fold.add((1, place), one)
    return fold


@given(
    st.lists(st.tuples(st.sampled_from([STOP, START]), st.booleans()), min_size=3, max_size=3),
    st.data(),
)
def test_the_newest_command_tells_whatever_came_first(
    told: list[tuple[str, bool]], data: st.DataObject
) -> None:
    """Three commands for a workspace, each with its result, in any order, some of them twice."""
    records = [
        one
        for place, (kind, failed) in enumerate(told)
        for one in (
            order(kind, place, WORKSPACES[0]),
            result(kind, place, WORKSPACES[0], failed=failed),
        )
    ]
    doubled = records + data.draw(st.lists(st.sampled_from(records)))
    fold = folded(data.draw(st.permutations(doubled)))
    kind, failed = told[-1]
    course = fold.courses[WORKSPACES[0]]
    assert course.generation == 2
    assert course.outcome == ("failed" if failed else "succeeded")
    assert course.paused == ((kind == STOP) != failed)


@pytest.mark.parametrize(
    ("kind", "outcome", "paused"),
    [
        (STOP, None, True),
        (STOP, "succeeded", True),
        (STOP, "failed", False),
        (START, None, False),
        (START, "succeeded", False),
        (START, "failed", True),
    ],
)
def test_what_a_course_implies(kind: Any, outcome: Any, paused: bool) -> None:
    """A stop that failed leaves it running, a start that failed leaves it paused."""
    assert Course(1, OPERATIONS[0], kind, outcome).paused is paused


def test_a_result_of_another_kind_says_nothing() -> None:
    """A start's answer to a stop; a generation that was overtaken; another's operation."""
    fold = folded(
        [
            order(STOP, 1, WORKSPACES[0]),
            result(START, 1, WORKSPACES[0], failed=True),
            result(STOP, 0, WORKSPACES[0], failed=True),
        ]
    )
    assert fold.courses[WORKSPACES[0]].outcome is None


def command(identity: str, source: str = "billing") -> Record:
    """Make a command."""
    return Record(
        offset=0,
        exchange="workspace.commands",
        routing_key="workspace.pause",
        body=b"{}",
        properties={"message_id": identity, "app_id": source},
    )


def answer(cause: str) -> Record:
    """Make a rejection of a command."""
    event = {"causationid": cause, "data": {"action": "pause"}}
    rejection = record("workspace.pause.rejected", "workspace.events", OPERATIONS[0])
    return Record(
        offset=0,
        exchange=rejection.exchange,
        routing_key=rejection.routing_key,
        body=json.dumps(event).encode(),
        properties=rejection.properties,
        headers=rejection.headers,
    )


@pytest.mark.parametrize("turn", [1, -1])
def test_a_command_is_closed_by_its_answer(turn: int) -> None:
    """Whichever stands first in the trail; another's stays open."""
    fold = folded([command("a"), answer("a")][::turn])
    assert list(fold.open_commands()) == []
    fold = folded([command("a"), answer("b")][::turn])
    (left,) = fold.open_commands()
    assert (left.source, left.key, left.type) == ("billing", "a", "workspace.pause")


def test_an_answer_closes_one_command() -> None:
    """Two sources chose the same id: an answer to one of them leaves the other open."""
    fold = folded([command("a"), command("a", "ops"), answer("a")])
    assert len(list(fold.open_commands())) == 1


def test_what_is_not_ours_is_left_alone() -> None:
    """A stranger's summary, a stranger's noise, a command nobody can be answered about."""
    stranger = record("workspace.pause.summary", "workspace.events", OPERATIONS[0])
    fold = folded(
        [
            Record(offset=0, exchange="workspace.events", routing_key="noise", body=b"\xff"),
            Record(offset=1, exchange="workspace.commands", routing_key="noise", body=b"\xff"),
            Record(
                offset=2,
                exchange=stranger.exchange,
                routing_key=stranger.routing_key,
                body=stranger.body,
                properties={"app_id": "stranger"},
            ),
        ]
    )
    assert (fold.operations, fold.courses, fold.unreadable) == ({}, {}, [])
    assert list(fold.open_commands()) == []
