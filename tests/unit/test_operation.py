"""The values of a command's way down, and the ids derived from them."""

from dataclasses import FrozenInstanceError
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some

from consumer.operation import Carry, Command, Origin, Plan, Preview, Reject, message_id
from schemas.catalog import CATALOG
from schemas.commands import PauseWorkspace, ResumeWorkspace
from schemas.problems import Code

OPERATION = UUID("7d1a4c3e-6b5f-4e2d-8a90-1c3b5d7f9e20")
NAMED = UUID("5b2f6a0e-3c1d-4f7a-9e21-0d4c8b7a6f10")
ORIGIN = Origin(
    action="resume", source="x", message_id="m-1", key="m-1", digest=bytes(32), app_id="x"
)


def test_an_outgoing_id_is_the_same_on_every_machine_and_in_every_release() -> None:
    """The id is pinned: a retry after an upgrade must not be a second message."""
    derived = message_id(OPERATION, "workspace.pause.summary")
    assert derived == UUID("67ee8215-8557-5572-913b-01df2f16242b")
    assert derived.version == 5


@given(some.uuids(), some.text())
def test_an_outgoing_id_is_derived_from_nothing_else(operation_id: UUID, what: str) -> None:
    """The same operation and the same word give the same id whenever they are asked."""
    assert message_id(operation_id, what) == message_id(UUID(str(operation_id)), what)


@given(
    some.lists(
        some.tuples(some.uuids(), some.one_of(some.uuids().map(str), some.text())),
        unique=True,
        max_size=20,
    )
)
def test_different_messages_have_different_ids(pairs: list[tuple[UUID, str]]) -> None:
    """Neither two operations nor two messages of one operation share an id."""
    assert len({message_id(*pair) for pair in pairs}) == len(pairs)


def test_every_type_of_one_operation_has_its_own_id() -> None:
    """A summary and its settlement are never taken for each other."""
    assert len({message_id(OPERATION, kind.name) for kind in CATALOG}) == len(CATALOG)


@pytest.mark.parametrize(
    ("below", "named", "count"), [(0, False, 0), (0, True, 1), (3, False, 3), (3, True, 4)]
)
def test_what_would_change_includes_the_named_one_where_it_would(
    below: int, named: bool, count: int
) -> None:
    """The count is of the whole set, listed or not."""
    plan = Plan(exists=True, descendant_count=below, named_changes=named)
    assert plan.change_count == count


def test_only_a_resume_can_undo() -> None:
    """A pause has no undo to ask for, and a resume without one has none."""
    undo = ResumeWorkspace(workspace_id=NAMED, undo=OPERATION)
    assert Command(ORIGIN, undo).undo == OPERATION
    assert Command(ORIGIN, ResumeWorkspace(workspace_id=NAMED)).undo is None
    assert Command(ORIGIN, PauseWorkspace(workspace_id=NAMED)).undo is None


def test_decisions_are_values() -> None:
    """Equal decisions are equal, different ones never are, and none can be changed."""
    reject = Reject(Code.EXPIRED, "too late")
    assert reject == Reject(Code.EXPIRED, "too late")
    assert Preview(reject) != Preview(Carry())
    assert Carry() == Carry(deprecated=False)
    assert Carry() != Carry(deprecated=True)
    with pytest.raises(FrozenInstanceError):
        reject.detail = ""  # type: ignore[misc]  # that it is frozen is tried


def test_a_plan_of_nothing_holds_nothing() -> None:
    """A workspace that is not there has no name, no list and no etag to give away."""
    nothing = Plan(exists=False)
    assert nothing.change_count == 0
    assert nothing.descendants == ()
    assert nothing.tree_etag is None
    assert nothing.not_restored is None
