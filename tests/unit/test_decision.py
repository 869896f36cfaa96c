"""contract.md, "The decision", row by row and column by column, without a broker or a database."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations, product
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some

from consumer.decision import as_asked, decide, refuse_unseen
from consumer.operation import Carry, Command, Decision, Origin, Plan, Preview, Reject
from consumer.policy import Policy
from schemas.commands import PauseWorkspace, ResumeWorkspace
from schemas.events import Action, Ancestor, Descendant
from schemas.problems import Code

NOW = datetime(2026, 5, 28, 9, 30, tzinfo=UTC)
NAMED = UUID("5b2f6a0e-3c1d-4f7a-9e21-0d4c8b7a6f10")
ABOVE = UUID("9a1e5f3b-7c2d-4e8a-b6f4-3d0c1b2a4e50")
PAUSED_BY = UUID("7d1a4c3e-6b5f-4e2d-8a90-1c3b5d7f9e20")
ETAG = "ab" * 32
STALE = "cd" * 32
ACTIONS: tuple[Action, ...] = ("pause", "resume")
ANCESTOR = Ancestor(workspace_id=ABOVE, name="Board", status="paused")
FLAGS: Mapping[str, dict[str, Any]] = {
    "absent": {},
    "false": {"cascade": False},
    "true": {"cascade": True},
}
MODES: Mapping[str, dict[str, Any]] = {
    "reject": {},
    "deprecated": {"implicit_cascade": True},
    "deprecated for this app": {"implicit_cascade_apps": ("other", "console")},
    "deprecated for another app": {"implicit_cascade_apps": ("other", "console-2", "cons")},
}
MIGRATING = {"deprecated", "deprecated for this app"}


def commanded(action: Action = "pause", app_id: str = "console", **fields: Any) -> Command:
    """Give a command that could be read."""
    model = PauseWorkspace if action == "pause" else ResumeWorkspace
    origin = Origin(
        action=action,
        source="//console",
        message_id="m-1",
        key="m-1",
        digest=bytes(32),
        app_id=app_id,
    )
    return Command(origin, model(workspace_id=NAMED, **fields))


def planned(below: int = 0, *, named: bool = True, **fields: Any) -> Plan:
    """Give what a command meets: the named workspace and so many affected ones below it."""
    facts: dict[str, Any] = {
        "exists": True,
        "name": "Top",
        "status": "online",
        "named_changes": named,
        "descendants": tuple(
            Descendant(
                workspace_id=UUID(int=depth),
                name=f"Child {depth}",
                status="online",
                parent_id=NAMED,
                depth=depth,
                active_tasks=None,
            )
            for depth in range(1, min(below, 5) + 1)
        ),
        "descendant_count": below,
        "tree_etag": ETAG,
    }
    return Plan(**{**facts, **fields})


def answered(command: Command, plan: Plan, policy: Policy) -> Decision:
    """Ask as the stage does: what needs no tree first, then the table."""
    refused = refuse_unseen(command, policy, NOW)
    return as_asked(command, refused) if refused else decide(command, plan, policy)


def told(decision: Decision, plan: Plan) -> str:
    """Put a decision in the words of the contract's cells."""
    match decision:
        case Preview(would):
            return f"would be {told(would, plan)}"
        case Reject(code):
            return f"rejected {code.status} {code.value}"
        case Carry(deprecated):
            return f"done {plan.change_count}{' deprecated' if deprecated else ''}"


@dataclass(frozen=True)
class Row:
    """One situation of the table and its cells; `migrating` is `absent` in the migration period."""

    situation: str
    plan: Plan
    absent: str
    false: str
    true: str
    migrating: str
    actions: tuple[Action, ...] = ACTIONS
    fields: Mapping[str, Any] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)

    def cell(self, flag: str, mode: str) -> str:
        """Give what stands in the flag's column."""
        column = "migrating" if flag == "absent" and mode in MIGRATING else flag
        return str(getattr(self, column))


def same(situation: str, plan: Plan, cell: str, **more: Any) -> Row:
    """Give a row whose columns all say the same."""
    return Row(situation, plan, cell, cell, cell, cell, **more)


EXIST = "rejected 409 descendants_exist"
EXCEEDED = "rejected 409 blast_radius_exceeded"
PAUSED_ABOVE = "rejected 409 ancestor_paused"
CHANGED = "rejected 412 tree_changed"
DONE = ("done 4", "done 4 deprecated")
TABLE = (
    same("no such workspace", Plan(exists=False), "rejected 404 workspace_not_found"),
    same("no affected descendants", planned(0), "done 1"),
    Row("affected descendants", planned(3), EXIST, EXIST, *DONE),
    Row("one affected descendant", planned(1), EXIST, EXIST, "done 2", "done 2 deprecated"),
    same("already there, none below", planned(0, named=False), "done 0"),
    Row(
        "already there, some below",
        planned(3, named=False),
        EXIST,
        EXIST,
        "done 3",
        "done 3 deprecated",
    ),
    *(
        same(
            f"resume below a paused ancestor, {below} below",
            planned(below, paused_ancestor=ANCESTOR),
            PAUSED_ABOVE,
            actions=("resume",),
        )
        for below in (0, 3)
    ),
    same(
        "pause below a paused ancestor",
        planned(0, paused_ancestor=ANCESTOR),
        "done 1",
        actions=("pause",),
    ),
    Row(
        "more than the policy's cap",
        planned(3),
        EXIST,
        EXIST,
        EXCEEDED,
        EXCEEDED,
        policy=Policy(max_cascade=3),
    ),
    Row(
        "more than max_affected",
        planned(3),
        EXIST,
        EXIST,
        EXCEEDED,
        EXCEEDED,
        fields={"max_affected": 3},
    ),
    Row(
        "exactly the cap",
        planned(3),
        EXIST,
        EXIST,
        *DONE,
        fields={"max_affected": 4},
        policy=Policy(max_cascade=4),
    ),
    same("if_match no longer matches", planned(3), CHANGED, fields={"if_match": STALE}),
    same("if_match of a tree now single", planned(0), CHANGED, fields={"if_match": STALE}),
    Row("if_match matches", planned(3), EXIST, EXIST, *DONE, fields={"if_match": ETAG}),
    same(
        "sender not allowed",
        planned(3),
        "rejected 403 forbidden",
        policy=Policy(allow_apps=("other",)),
    ),
    same(
        "not_after has passed",
        planned(3),
        "rejected 412 expired",
        fields={"not_after": NOW - timedelta(microseconds=1)},
    ),
    same("not_after is now", planned(0), "done 1", fields={"not_after": NOW}),
)


def cells() -> Iterator[Any]:
    """Cross every row with every column, action, mode and both kinds of run."""
    for row, flag, mode, dry_run in product(TABLE, FLAGS, MODES, (False, True)):
        for action in row.actions:
            name = "-".join([row.situation, action, flag, mode, "dry" if dry_run else "real"])
            yield pytest.param(row, action, flag, mode, dry_run, id=name.replace(" ", "_"))


@pytest.mark.parametrize(("row", "action", "flag", "mode", "dry_run"), [*cells()])
def test_the_table(row: Row, action: Action, flag: str, mode: str, dry_run: bool) -> None:
    """Every cell is as the contract has it, in every mode, and a dry run tells the same cell."""
    command = commanded(action, dry_run=dry_run, **FLAGS[flag], **row.fields)
    policy = replace(row.policy, **MODES[mode])
    cell = row.cell(flag, mode)
    expected = f"would be {cell}" if dry_run else cell
    assert told(answered(command, row.plan, policy), row.plan) == expected


@dataclass(frozen=True, eq=False)
class Ground:
    """What makes one reason apply, beside whatever makes the others apply."""

    code: Code
    fields: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)


UNKNOWN_UNDO = Ground(Code.INVALID_COMMAND, {"undo": PAUSED_BY}, {"undo_known": False})
UNSEEN = (
    Ground(Code.EXPIRED, {"not_after": NOW - timedelta(seconds=1)}),
    Ground(Code.FORBIDDEN, policy={"allow_apps": ("other",)}),
)
MISSING = Ground(Code.WORKSPACE_NOT_FOUND, plan={"exists": False, "tree_etag": None})
SEEN = (
    Ground(Code.ANCESTOR_PAUSED, plan={"paused_ancestor": ANCESTOR}),
    Ground(Code.TREE_CHANGED, {"if_match": STALE}),
    Ground(Code.DESCENDANTS_EXIST, {"cascade": False}),
    Ground(Code.BLAST_RADIUS_EXCEEDED, {"max_affected": 3}),
)
IN_ORDER = (*UNSEEN, MISSING, *SEEN)


def under(*grounds: Ground) -> Decision:
    """Decide one resume of a tree of four to which all these reasons apply."""
    fields: dict[str, Any] = {"cascade": True}
    plan: dict[str, Any] = {}
    policy: dict[str, Any] = {}
    for ground in grounds:
        fields |= ground.fields
        plan |= ground.plan
        policy |= ground.policy
    return answered(commanded("resume", **fields), planned(3, **plan), Policy(**policy))


def code_of(decision: Decision | None) -> Code | None:
    """Give the reason of a refusal."""
    return decision.code if isinstance(decision, Reject) else None


def test_without_any_reason_it_is_carried_out() -> None:
    """The situation of the precedence tests is refused for nothing but the reasons added to it."""
    assert under() == Carry()


@pytest.mark.parametrize("ground", [UNKNOWN_UNDO, *IN_ORDER], ids=lambda one: one.code.value)
def test_each_reason_alone_is_the_answer(ground: Ground) -> None:
    """Each reason is told where it is the only one."""
    assert code_of(under(ground)) is ground.code


@pytest.mark.parametrize(
    ("earlier", "later"),
    [*combinations(IN_ORDER, 2), *((UNKNOWN_UNDO, later) for later in SEEN)],
    ids=lambda one: one.code.value,
)
def test_of_two_reasons_the_earlier_is_the_answer(earlier: Ground, later: Ground) -> None:
    """For each pair that can apply together, the order of precedence decides, not chance."""
    assert code_of(under(earlier, later)) is earlier.code
    assert code_of(under(later, earlier)) is earlier.code


@pytest.mark.parametrize("unseen", UNSEEN, ids=lambda one: one.code.value)
def test_what_needs_no_tree_is_told_before_an_unknown_undo(unseen: Ground) -> None:
    """Whether an undo is known takes a look at the tree, which these senders are not given."""
    assert code_of(under(UNKNOWN_UNDO, unseen)) is unseen.code


def test_the_order_of_the_reasons_is_the_contracts() -> None:
    """The tests above go through the reasons in the order in which the contract lists them."""
    assert [Code.INVALID_COMMAND, Code.ID_REUSED, *(one.code for one in IN_ORDER)] == list(Code)


@given(some.sets(some.sampled_from(IN_ORDER), min_size=1))
def test_of_many_reasons_the_first_is_the_answer(grounds: frozenset[Ground]) -> None:
    """Three and more reasons together keep the same order."""
    assert code_of(under(*grounds)) is min((one.code for one in grounds), key=list(Code).index)


@pytest.mark.parametrize("below", [0, 3])
def test_an_undo_needs_no_flag(below: int) -> None:
    """An undo names its set: an absent flag suffices, and nothing about it is deprecated."""
    for mode in MODES.values():
        undo = commanded("resume", undo=PAUSED_BY)
        assert decide(undo, planned(below), Policy(**mode)) == Carry()


def test_an_undo_with_an_explicit_false_is_no_cascade() -> None:
    """`false` is never a cascade, whatever else the command or the policy says."""
    command = commanded("resume", undo=PAUSED_BY, cascade=False)
    for mode in MODES.values():
        assert code_of(decide(command, planned(1), Policy(**mode))) is Code.DESCENDANTS_EXIST
        assert decide(command, planned(0), Policy(**mode)) == Carry()


def test_an_unknown_undo_is_an_invalid_command() -> None:
    """What was never paused cannot be put back, and the answer says which id was meant."""
    refused = decide(commanded("resume", undo=PAUSED_BY), planned(3, undo_known=False), Policy())
    assert isinstance(refused, Reject)
    assert refused.code is Code.INVALID_COMMAND
    assert str(PAUSED_BY) in refused.detail
    assert str(NAMED) in refused.detail


def test_an_undo_of_a_workspace_that_is_gone_is_not_found() -> None:
    """A missing tree tells nothing of what was paused in it."""
    refused = decide(commanded("resume", undo=PAUSED_BY), Plan(exists=False), Policy())
    assert code_of(refused) is Code.WORKSPACE_NOT_FOUND


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"max_affected": 3}, Code.BLAST_RADIUS_EXCEEDED),
        ({"if_match": STALE}, Code.TREE_CHANGED),
    ],
)
def test_an_undo_obeys_the_caps_and_if_match(fields: dict[str, Any], code: Code) -> None:
    """An undo is a resume: it is spared the flag and nothing else."""
    undo = commanded("resume", undo=PAUSED_BY, **fields)
    assert code_of(decide(undo, planned(3), Policy())) is code


@pytest.mark.parametrize(
    ("policys", "callers", "allowed"),
    [(4, None, 4), (None, 4, 4), (4, 9, 4), (9, 4, 4), (4, 4, 4), (1, 1, 1)],
)
def test_the_lower_cap_holds(policys: int | None, callers: int | None, allowed: int) -> None:
    """Of the operator's cap and the caller's own the lower one counts, the named one included."""
    command, policy = commanded(cascade=True, max_affected=callers), Policy(max_cascade=policys)
    assert decide(command, planned(allowed - 1), policy) == Carry()
    refused = decide(command, planned(allowed), policy)
    assert isinstance(refused, Reject)
    assert refused.code is Code.BLAST_RADIUS_EXCEEDED
    assert f"{allowed + 1} workspaces" in refused.detail
    assert f"the {allowed} that" in refused.detail


def test_without_a_cap_there_is_none() -> None:
    """A million workspaces are paused where both opted into them and nobody set a limit."""
    assert decide(commanded(cascade=True), planned(1_000_000), Policy()) == Carry()


def test_the_cap_does_not_count_a_named_workspace_that_stays() -> None:
    """The cap counts the set that would change, and one already there does not."""
    command = commanded(cascade=True, max_affected=3)
    assert decide(command, planned(3, named=False), Policy()) == Carry()


def test_the_cap_counts_what_is_not_listed() -> None:
    """A list that is cut does not make a big tree a small one."""
    plan = planned(20_000)
    assert len(plan.descendants) == 5
    refused = decide(commanded(cascade=True), plan, Policy(max_cascade=10_000))
    assert code_of(refused) is Code.BLAST_RADIUS_EXCEEDED


def test_the_cap_holds_for_an_implicit_cascade() -> None:
    """The migration period does not open what the cap closes."""
    policy = Policy(implicit_cascade=True, max_cascade=3)
    assert code_of(decide(commanded(), planned(3), policy)) is Code.BLAST_RADIUS_EXCEEDED


def test_only_a_cascade_that_happens_is_deprecated() -> None:
    """A caller whose command had nothing below it has nothing to change."""
    policy = Policy(implicit_cascade=True)
    assert decide(commanded(), planned(0), policy) == Carry(deprecated=False)
    assert decide(commanded(cascade=True), planned(3), policy) == Carry(deprecated=False)
    assert decide(commanded(), planned(3), policy) == Carry(deprecated=True)


def test_an_empty_if_match_is_no_match() -> None:
    """An empty etag is an etag that is wrong, not one that is absent."""
    command = commanded(cascade=True, if_match="")
    assert code_of(decide(command, planned(3), Policy())) is Code.TREE_CHANGED


def test_a_refused_cascade_says_what_to_send_instead() -> None:
    """The way out, the count and the etag stand in the detail, in good English for one and many."""
    one, many = (decide(commanded(), planned(below), Policy()) for below in (1, 2))
    assert isinstance(one, Reject)
    assert isinstance(many, Reject)
    assert one.detail.startswith("1 workspace below Top would be paused")
    assert many.detail.startswith("2 workspaces below Top would be paused")
    assert f"if_match={ETAG}" in many.detail
    assert "cascade=true" in many.detail


def test_a_paused_ancestor_is_named() -> None:
    """The sender learns which workspace to resume first."""
    refused = decide(commanded("resume"), planned(paused_ancestor=ANCESTOR), Policy())
    assert isinstance(refused, Reject)
    assert "Board" in refused.detail
    assert str(ABOVE) in refused.detail


def test_an_expired_command_says_when_it_was_wanted() -> None:
    """Both times stand in the detail, so that a wrong clock shows."""
    late = commanded(not_after=NOW - timedelta(days=1))
    refused = refuse_unseen(late, Policy(allow_apps=()), NOW)
    assert refused is not None
    assert refused.code is Code.EXPIRED
    assert "2026-05-27T09:30:00.000000Z" in refused.detail
    assert "2026-05-28T09:30:00.000000Z" in refused.detail


def test_a_forbidden_sender_cannot_break_a_line() -> None:
    """A sender's name is quoted into the detail, with whatever it holds escaped."""
    evil = commanded(app_id="evil\n\x1b[31mroot")
    refused = refuse_unseen(evil, Policy(allow_apps=("console",)), NOW)
    assert refused is not None
    assert refused.code is Code.FORBIDDEN
    assert refused.detail.isprintable()


def test_allowed_senders_are_patterns() -> None:
    """`console-*` lets `console-eu` in and leaves `console` out."""
    policy = Policy(allow_apps=("console-*",))
    assert refuse_unseen(commanded(app_id="console-eu"), policy, NOW) is None
    refused = refuse_unseen(commanded(app_id="console"), policy, NOW)
    assert code_of(refused) is Code.FORBIDDEN


_COUNTS = some.none() | some.integers(1, 5)
_MOMENTS = some.sampled_from([None, NOW - timedelta(seconds=1), NOW, NOW + timedelta(seconds=1)])
POLICIES = some.builds(
    Policy,
    implicit_cascade=some.booleans(),
    implicit_cascade_apps=some.sampled_from([(), ("console",), ("other",)]),
    max_cascade=_COUNTS,
    allow_apps=some.sampled_from([("*",), ("console",)]),
)


@some.composite
def commands(draw: some.DrawFn) -> Command:
    """Draw any command."""
    action = draw(some.sampled_from(ACTIONS))
    fields: dict[str, Any] = {
        "cascade": draw(some.sampled_from([None, False, True])),
        "dry_run": draw(some.booleans()),
        "if_match": draw(some.sampled_from([None, ETAG, STALE])),
        "max_affected": draw(_COUNTS),
        "not_after": draw(_MOMENTS),
    }
    if action == "resume":
        fields["undo"] = draw(some.sampled_from([None, PAUSED_BY]))
    return commanded(action, draw(some.sampled_from(["console", "cli"])), **fields)


@some.composite
def plans(draw: some.DrawFn) -> Plan:
    """Draw any tree that a walk could find."""
    if draw(some.integers(0, 5)) == 0:
        return Plan(exists=False)
    return planned(
        draw(some.integers(0, 5)),
        named=draw(some.booleans()),
        paused_ancestor=draw(some.sampled_from([None, None, ANCESTOR])),
    )


def may_cascade(command: Command, policy: Policy) -> bool:
    """Say once more, in the contract's words, who asked for the descendants."""
    if command.data.cascade is not None:
        return command.data.cascade
    named = command.origin.app_id in policy.implicit_cascade_apps
    return command.undo is not None or policy.implicit_cascade or named


def reasons(command: Command, plan: Plan, policy: Policy) -> set[Code]:
    """Collect every reason that applies, without any order."""
    data = command.data
    caps = [cap for cap in (data.max_affected, policy.max_cascade) if cap is not None]
    applying = {
        Code.EXPIRED: data.not_after is not None and data.not_after < NOW,
        Code.FORBIDDEN: policy.allow_apps != ("*",) and command.origin.app_id != "console",
        Code.WORKSPACE_NOT_FOUND: not plan.exists,
        Code.ANCESTOR_PAUSED: command.origin.action == "resume" and bool(plan.paused_ancestor),
        Code.TREE_CHANGED: data.if_match is not None and data.if_match != plan.tree_etag,
        Code.DESCENDANTS_EXIST: plan.descendant_count > 0 and not may_cascade(command, policy),
        Code.BLAST_RADIUS_EXCEEDED: any(plan.change_count > cap for cap in caps),
    }
    return {code for code, applies in applying.items() if applies}


@given(commands(), plans(), POLICIES)
def test_it_is_carried_out_exactly_where_nothing_speaks_against_it(
    command: Command, plan: Plan, policy: Policy
) -> None:
    """Carry where no reason applies, else the first of the reasons; previewed on a dry run."""
    decision = answered(command, plan, policy)
    assert isinstance(decision, Preview) == command.data.dry_run
    would = decision.would if isinstance(decision, Preview) else decision
    first = next((code for code in Code if code in reasons(command, plan, policy)), None)
    assert code_of(would) is first
    assert isinstance(would, Carry) == (first is None)


@given(commands(), plans(), POLICIES)
def test_nothing_below_changes_that_nobody_asked_for(
    command: Command, plan: Plan, policy: Policy
) -> None:
    """No cascade without cascade=true, an undo, or the migration period; and never with false."""
    decision = answered(command, plan, policy)
    would = decision.would if isinstance(decision, Preview) else decision
    if isinstance(would, Carry) and plan.descendant_count:
        assert command.data.cascade is not False
        assert may_cascade(command, policy)
        asked = command.data.cascade is True or command.undo is not None
        assert would.deprecated == (not asked)


def run_as(command: Command, *, dry_run: bool) -> Command:
    """Give the same command as the other kind of run."""
    return replace(command, data=command.data.model_copy(update={"dry_run": dry_run}))


@given(commands(), plans(), POLICIES)
def test_a_dry_run_tells_what_the_real_run_does(
    command: Command, plan: Plan, policy: Policy
) -> None:
    """Only the word preview lies between the two."""
    real = answered(run_as(command, dry_run=False), plan, policy)
    assert isinstance(real, Reject | Carry)
    assert answered(run_as(command, dry_run=True), plan, policy) == Preview(real)
