"""`decide`: precedence, opting in, caps; what hypothesis can say of all commands at once."""

from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.decision import decide, refuse_unseen
from consumer.operation import Carry, Command, Origin, Plan, Preview, Reject
from consumer.policy import Policy
from schemas.commands import PauseWorkspace, ResumeWorkspace
from schemas.events import Action, Ancestor
from schemas.problems import Code

NOW = datetime(2026, 5, 28, tzinfo=UTC)
TOP = uuid4()


def command(action: Action = "pause", app_id: str = "app", **fields: Any) -> Command:
    """Make a command as intake does."""
    model = PauseWorkspace if action == "pause" else ResumeWorkspace
    origin = Origin(action=action, source="s", message_id="m", key="m", digest=b"", app_id=app_id)
    return Command(origin, model(workspace_id=TOP, **fields))


def plan(below: int = 0, **fields: Any) -> Plan:
    """Make a plan with so many affected descendants."""
    found = {"exists": True, "name": "top", "status": "online", "named_changes": True}
    return Plan(**found, descendant_count=below, tree_etag="now", **fields)  # type: ignore[arg-type]


def code(decision: object) -> Code | None:
    """Give the code of a rejection; None of anything else."""
    return decision.code if isinstance(decision, Reject) else None


REASONS: list[tuple[Code, dict[str, Any], dict[str, Any], Policy | None]] = [
    (Code.INVALID_COMMAND, {"undo": uuid4()}, {"undo_known": False}, None),
    (
        Code.ANCESTOR_PAUSED,
        {},
        {"paused_ancestor": Ancestor(workspace_id=TOP, name="up", status="paused")},
        None,
    ),
    (Code.TREE_CHANGED, {"if_match": "then"}, {}, None),
    (Code.DESCENDANTS_EXIST, {"cascade": False}, {"below": 3}, None),
    (Code.BLAST_RADIUS_EXCEEDED, {"max_affected": 1}, {"below": 3}, None),
]


@pytest.mark.parametrize(
    ("first", "second"), list(combinations(REASONS, 2)), ids=lambda one: str(one[0].value)
)
def test_the_first_reason_of_the_contract_wins(first: Any, second: Any) -> None:
    """Where two reasons apply, the earlier one of the order of precedence is the answer."""
    asked = command("resume", **(second[1] | first[1]))
    assert code(decide(asked, plan(**(second[2] | first[2])), Policy())) is first[0]


def test_nothing_is_before_not_found_but_what_needs_no_tree() -> None:
    """A workspace that is not there is 404, whatever else could be said."""
    asked = command("resume", if_match="then", cascade=False, max_affected=1)
    assert code(decide(asked, Plan(exists=False), Policy())) is Code.WORKSPACE_NOT_FOUND


def test_expired_goes_before_forbidden() -> None:
    """A command that is too old and from nobody we know is too old."""
    asked = command(not_after=NOW - timedelta(seconds=1))
    nobody = Policy(allow_apps=("other",))
    refused = refuse_unseen(asked, nobody, NOW)
    assert refused is not None
    assert refused.code is Code.EXPIRED
    refused = refuse_unseen(command(not_after=NOW), nobody, NOW)
    assert refused is not None
    assert refused.code is Code.FORBIDDEN
    assert refuse_unseen(command(not_after=NOW), Policy(), NOW) is None


def test_a_paused_ancestor_is_no_hindrance_to_a_pause() -> None:
    """Only a resume is refused below a paused ancestor."""
    above = Ancestor(workspace_id=TOP, name="up", status="paused")
    assert decide(command(), plan(paused_ancestor=above), Policy()) == Carry()


@pytest.mark.parametrize(
    ("fields", "policy", "expected"),
    [
        ({}, Policy(), Code.DESCENDANTS_EXIST),
        ({"cascade": False}, Policy(implicit_cascade=True), Code.DESCENDANTS_EXIST),
        ({"cascade": True}, Policy(), Carry()),
        ({}, Policy(implicit_cascade=True), Carry(deprecated=True)),
        ({}, Policy(implicit_cascade_apps=("app",)), Carry(deprecated=True)),
        ({}, Policy(implicit_cascade_apps=("other",)), Code.DESCENDANTS_EXIST),
        ({"cascade": True}, Policy(implicit_cascade=True), Carry()),
        ({"undo": uuid4()}, Policy(implicit_cascade=True), Carry()),
        ({"undo": uuid4(), "cascade": False}, Policy(), Code.DESCENDANTS_EXIST),
    ],
)
def test_who_opts_into_descendants(fields: Any, policy: Policy, expected: object) -> None:
    """True does, false never, absent only in the migration period or where undo names the set."""
    decision = decide(command("resume", **fields), plan(below=2), policy)
    assert (code(decision) or decision) == expected


def test_a_cascade_of_none_is_not_deprecated() -> None:
    """An absent flag relied on nothing where there was nothing below."""
    assert decide(command(), plan(), Policy(implicit_cascade=True)) == Carry()


@pytest.mark.parametrize(
    ("own", "policys", "refused"),
    [(3, None, False), (2, None, True), (None, 2, True), (9, 2, True), (2, 9, True), (3, 3, False)],
)
def test_the_lower_cap_counts_named_and_descendants(
    own: int | None, policys: int | None, refused: bool
) -> None:
    """The cap is the lower of the caller's and the policy's, and counts all that would change."""
    asked = command(cascade=True, max_affected=own)
    decision = decide(asked, plan(below=2), Policy(max_cascade=policys))
    assert (code(decision) is Code.BLAST_RADIUS_EXCEEDED) is refused


@given(
    cascade=st.sampled_from([None, True, False]),
    dry_run=st.booleans(),
    below=st.integers(0, 5),
    own=st.none() | st.integers(1, 6),
    policys=st.none() | st.integers(1, 6),
    match=st.sampled_from([None, "now", "then"]),
    named=st.booleans(),
)
def test_nothing_below_changes_without_being_asked_for(
    cascade: bool | None,
    dry_run: bool,
    below: int,
    own: int | None,
    policys: int | None,
    match: str | None,
    named: bool,
) -> None:
    """Whatever the rest: without cascade=true or undo a carried command changes one at most."""
    asked = command(cascade=cascade, dry_run=dry_run, max_affected=own, if_match=match)
    met = Plan(exists=True, named_changes=named, descendant_count=below, tree_etag="now")
    decision = decide(asked, met, Policy(max_cascade=policys))
    assert isinstance(decision, Preview) is dry_run
    would = decision.would if isinstance(decision, Preview) else decision
    if isinstance(would, Carry):
        assert cascade is True or below == 0
        assert match != "then"
        assert below + named <= min(own or 99, policys or 99)
        assert not would.deprecated
