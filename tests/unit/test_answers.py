"""What is said about an operation has the contract's shapes, and tells nobody too much."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from consumer.answers import (
    Decided,
    corrected_event,
    progress_event,
    recording,
    settled_at_once,
    settled_event,
)
from consumer.operation import (
    NO_PLAN,
    Carry,
    Command,
    Decision,
    Generation,
    Operation,
    Origin,
    Plan,
    Preview,
    Problem,
    Recorded,
    Reject,
    Standing,
    Target,
    message_id,
)
from consumer.orders import Orders
from schemas.catalog import BY_NAME, CATALOG
from schemas.commands import PauseWorkspace, ResumeWorkspace
from schemas.document import documents
from schemas.events import Action, Ancestor, Changed, Correction, Descendant, Failure, NotRestored
from schemas.problems import Code

NOW = datetime(2026, 5, 28, 9, 30, tzinfo=UTC)
OPERATION = UUID("7d1a4c3e-6b5f-4e2d-8a90-1c3b5d7f9e20")
NAMED = UUID("5b2f6a0e-3c1d-4f7a-9e21-0d4c8b7a6f10")
CHILD = UUID("0c9e7d52-8f4b-4a6c-b1d3-2e5f7a9c1b30")
PAUSED_BY = UUID("9a1e5f3b-7c2d-4e8a-b6f4-3d0c1b2a4e50")
ETAG = "ab" * 32
HOUR = timedelta(hours=1)
ACTIONS: tuple[Action, ...] = ("pause", "resume")
SCHEMAS = {name: json.loads(text) for name, text in documents().items()}


def commanded(action: Action = "pause", **fields: Any) -> Command:
    """Give a command with all that an answer repeats."""
    model = PauseWorkspace if action == "pause" else ResumeWorkspace
    said = {"cascade": True, "requested_by": "ada", "reason": "budget", **fields}
    return Command(origin_of(action), model(workspace_id=NAMED, **said))


def origin_of(action: Action = "pause", **fields: Any) -> Origin:
    """Give where a command came from."""
    known: dict[str, Any] = {
        "source": "//console",
        "message_id": "m-1",
        "key": "m-1",
        "digest": bytes(32),
        "app_id": "console",
        "correlation_id": "c-1",
        "traceparent": "00-ab-cd-01",
    }
    return Origin(action=action, **{**known, **fields})


def descendants(count: int) -> tuple[Descendant, ...]:
    """List so many children."""
    return tuple(
        Descendant(
            workspace_id=UUID(int=number),
            name=f"Child {number}",
            status="degraded",
            parent_id=NAMED,
            depth=1,
            active_tasks=number or None,
        )
        for number in range(count)
    )


def planned(listed: int = 3, count: int | None = None, **fields: Any) -> Plan:
    """Give what a command meets."""
    facts: dict[str, Any] = {
        "exists": True,
        "name": "Top",
        "status": "online",
        "named_changes": True,
        "descendants": descendants(listed),
        "descendant_count": listed if count is None else count,
        "tree_etag": ETAG,
    }
    return Plan(**{**facts, **fields})


def recorded(listed: int = 4, count: int | None = None, targets: int | None = None) -> Recorded:
    """Give what was changed."""
    whole = listed if count is None else count
    return Recorded(
        generation=Generation(7),
        count=whole,
        target_count=whole if targets is None else targets,
        tree_etag=ETAG,
        changed=as_json(
            Changed(workspace_id=UUID(int=number), name=f"{number}", previous_status="online")
            for number in range(listed)
        ),
    )


def as_json(changed: Iterable[Changed]) -> str:
    """Write a list as the database does."""
    return f"[{','.join(one.model_dump_json() for one in changed)}]"


def noted(
    received: Command | Problem,
    decision: Decision,
    plan: Plan = NO_PLAN,
    what: Recorded | None = None,
    max_listed: int = 10,
) -> Operation:
    """Give the row that remembers a decided command."""
    decided = Decided(OPERATION, received, decision, plan, what, NOW)
    return recording(decided, max_listed, HOUR)


def read(body: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Take an event apart, after holding it and its data against the published schemas."""
    event = json.loads(body)
    for name, value in (("cloudevent", event), (event["type"], event["data"])):
        schema = SCHEMAS[f"{name}.schema.json"]
        Draft202012Validator(schema, format_checker=FormatChecker()).validate(value)
    BY_NAME[event["type"]].adapter.validate_json(json.dumps(event["data"]))
    return event, event["data"]


def data_of(operation: Operation) -> dict[str, Any]:
    """Give what an answer says."""
    return read(operation.answer)[1]


class TestAnswers:
    """Rejected, summary and previewed, as they go into the outbox."""

    @pytest.mark.parametrize("action", ACTIONS)
    def test_a_summary_tells_what_was_changed(self, action: Action) -> None:
        """The count is the action's own, and the list is what was found under the locks."""
        operation = noted(commanded(action), Carry(), planned(), recorded(4))
        assert data_of(operation) == {
            "operation_id": str(OPERATION),
            "action": action,
            "workspace_id": str(NAMED),
            "status": 200,
            "requested_by": "ada",
            "reason": "budget",
            "cascade": True,
            f"{action}d_count": 4,
            "workspaces": [
                {
                    "workspace_id": str(UUID(int=number)),
                    "name": f"{number}",
                    "previous_status": "online",
                }
                for number in range(4)
            ],
            "workspaces_truncated": False,
            "tree_etag": ETAG,
            "deprecated": False,
        }
        assert operation.answer_type == f"workspace.{action}.summary"
        assert (operation.outcome, operation.status, operation.code) == ("carried", 200, None)

    @pytest.mark.parametrize("action", ACTIONS)
    @pytest.mark.parametrize("code", list(Code))
    def test_a_rejection_has_the_members_of_rfc_9457(self, action: Action, code: Code) -> None:
        """Every reason is a problem with type, title, status and detail, and the list it met."""
        operation = noted(commanded(action), Reject(code, "because"), planned())
        said = data_of(operation)
        assert said["type"] == f"urn:workspace-lifecycle:problem:{code.value}"
        assert (said["title"], said["detail"]) == (code.heading, "because")
        assert (said["status"], said["code"]) == (code.status, code.value)
        assert said["descendants"][0] == {
            "workspace_id": str(UUID(int=0)),
            "name": "Child 0",
            "status": "degraded",
            "parent_id": str(NAMED),
            "depth": 1,
            "active_tasks": None,
        }
        assert (said["descendant_count"], said["descendants_truncated"]) == (3, False)
        assert said["tree_etag"] == ETAG
        assert operation.answer_type == f"workspace.{action}.rejected"
        assert (operation.outcome, operation.status, operation.code) == (
            "rejected",
            code.status,
            code,
        )

    @pytest.mark.parametrize("action", ACTIONS)
    def test_a_preview_of_a_rejection_is_that_rejection(self, action: Action) -> None:
        """It has the data that the rejection would have had, and `would` beside it."""
        why = Reject(Code.DESCENDANTS_EXIST, "because")
        real = data_of(noted(commanded(action), why, planned()))
        dry = noted(commanded(action, dry_run=True), Preview(why), planned())
        assert data_of(dry) == {**real, "would": "rejected"}
        assert dry.answer_type == f"workspace.{action}.previewed"
        assert (dry.outcome, dry.status, dry.code) == ("previewed", 409, "descendants_exist")

    @pytest.mark.parametrize("action", ACTIONS)
    @pytest.mark.parametrize("named_changes", [True, False])
    def test_a_preview_of_a_summary_is_that_summary(
        self, action: Action, named_changes: bool
    ) -> None:
        """It lists the named workspace first where that would change, then the ones below."""
        plan = planned(2, named_changes=named_changes)
        below = tuple(
            Changed(workspace_id=one.workspace_id, name=one.name, previous_status=one.status)
            for one in plan.descendants
        )
        named = Changed(workspace_id=NAMED, name="Top", previous_status="online")
        changed = (named, *below) if named_changes else below
        what = replace(recorded(0, len(changed)), changed=as_json(changed))
        real = data_of(noted(commanded(action), Carry(deprecated=True), plan, what))
        dry = noted(commanded(action), Preview(Carry(deprecated=True)), plan)
        assert data_of(dry) == {**real, "would": "summary"}
        assert (dry.outcome, dry.status, dry.deprecated) == ("previewed", 200, True)
        assert (dry.target_count, dry.open_count, dry.generation) == (0, 0, None)

    def test_an_implicit_cascade_is_marked(self) -> None:
        """The flag in the data is what the header is made of."""
        operation = noted(commanded(), Carry(deprecated=True), planned(), recorded())
        assert operation.deprecated
        assert data_of(operation)["deprecated"] is True

    @pytest.mark.parametrize("flag", [None, False, True])
    def test_an_answer_repeats_the_flag_as_it_was(self, flag: bool | None) -> None:
        """Absent is null, and neither true nor false."""
        for operation in (
            noted(commanded(cascade=flag), Carry(), planned(), recorded()),
            noted(commanded(cascade=flag), Reject(Code.EXPIRED, "because")),
        ):
            assert data_of(operation)["cascade"] is flag
            assert operation.cascade is flag

    def test_an_undo_tells_what_it_left_alone(self) -> None:
        """What was not put back is listed with why; other answers have no such member."""
        left = NotRestored(workspace_id=CHILD, name="Gone", status=None, reason="it is gone")
        plan = planned(not_restored=(left,))
        command = commanded("resume", undo=PAUSED_BY)
        operation = noted(command, Carry(), plan, recorded())
        assert operation.undo == PAUSED_BY
        assert data_of(operation)["not_restored"] == [left.model_dump(mode="json")]
        nothing = noted(command, Carry(), planned(not_restored=()), recorded())
        assert data_of(nothing)["not_restored"] == []
        assert "not_restored" not in data_of(noted(commanded(), Carry(), planned(), recorded()))

    def test_a_cycle_is_reported(self) -> None:
        """Whoever gets the answer learns that the tree is no tree."""
        plan = planned(cycle_at=CHILD)
        for decision in (Carry(), Reject(Code.DESCENDANTS_EXIST, "because"), Preview(Carry())):
            what = recorded() if isinstance(decision, Carry) else None
            assert data_of(noted(commanded(), decision, plan, what))["cycle_at"] == str(CHILD)

    def test_only_a_paused_ancestor_is_shown_as_the_reason(self) -> None:
        """A pause below a paused workspace was not refused for it."""
        above = Ancestor(workspace_id=CHILD, name="Board", status="paused")
        plan = planned(paused_ancestor=above)
        reasons = (Code.ANCESTOR_PAUSED, Code.DESCENDANTS_EXIST)
        shown, hidden = (
            data_of(noted(commanded("resume"), Reject(code, "because"), plan)) for code in reasons
        )
        assert shown["ancestor"] == above.model_dump(mode="json")
        assert "ancestor" not in hidden

    @pytest.mark.parametrize(
        ("listed", "count", "truncated"), [(3, 3, False), (3, 4, True), (0, 0, False), (0, 1, True)]
    )
    def test_a_cut_list_says_so_beside_the_whole_count(
        self, listed: int, count: int, truncated: bool
    ) -> None:
        """The count is of all there are, however few of them are listed."""
        why = Reject(Code.DESCENDANTS_EXIST, "because")
        refused = data_of(noted(commanded(), why, planned(listed, count)))
        done = data_of(noted(commanded(), Carry(), planned(), recorded(listed, count), listed))
        assert (len(refused["descendants"]), refused["descendant_count"]) == (listed, count)
        assert (len(done["workspaces"]), done["paused_count"]) == (listed, count)
        assert refused["descendants_truncated"] is done["workspaces_truncated"] is truncated

    @pytest.mark.parametrize(
        ("max_listed", "listed", "truncated"),
        [(0, 0, True), (1, 1, True), (3, 3, True), (4, 4, False), (5, 4, False)],
    )
    def test_a_preview_is_cut_like_its_summary(
        self, max_listed: int, listed: int, truncated: bool
    ) -> None:
        """The named workspace counts as one of those listed."""
        plan = planned(min(3, max_listed), 3)
        said = data_of(noted(commanded(), Preview(Carry()), plan, max_listed=max_listed))
        assert len(said["workspaces"]) == listed
        assert said["paused_count"] == 4
        assert said["workspaces_truncated"] is truncated

    @pytest.mark.parametrize("code", [Code.FORBIDDEN, Code.EXPIRED, Code.ID_REUSED])
    def test_a_sender_who_is_refused_unseen_learns_nothing_of_the_tree(self, code: Code) -> None:
        """No list, no count, no etag: asking must not be a way to look."""
        for decision in (Reject(code, "because"), Preview(Reject(code, "because"))):
            said = data_of(noted(commanded(), decision))
            assert said["descendants"] == []
            assert (said["descendant_count"], said["descendants_truncated"]) == (0, False)
            assert said["tree_etag"] is None
            assert not {"ancestor", "cycle_at", "not_restored"} & set(said)

    @pytest.mark.parametrize("named", [NAMED, None])
    @pytest.mark.parametrize("action", ACTIONS)
    def test_a_command_that_could_not_be_read_is_answered(
        self, action: Action, named: UUID | None
    ) -> None:
        """It is 422, names the workspace if it did, and repeats nothing that was not understood."""
        problem = Problem(origin_of(action), "casacde: not permitted", named)
        operation = noted(problem, Reject(Code.INVALID_COMMAND, problem.detail))
        event, said = read(operation.answer)
        assert (said["status"], said["code"]) == (422, "invalid_command")
        assert said["detail"] == "casacde: not permitted"
        assert said["workspace_id"] == (str(named) if named else None)
        assert event.get("subject") == (str(named) if named else None)
        assert said["requested_by"] is said["reason"] is said["cascade"] is None
        assert (said["descendants"], said["tree_etag"]) == ([], None)
        assert operation.workspace_id == named
        assert operation.undo is None

    def test_the_row_remembers_the_command(self) -> None:
        """What support asks for later stands in the operation itself."""
        operation = noted(commanded(), Carry(), planned(), recorded(4, 9, targets=6))
        assert operation == Operation(
            operation_id=OPERATION,
            action="pause",
            workspace_id=NAMED,
            source="//console",
            app_id="console",
            message_id="m-1",
            correlation_id="c-1",
            traceparent="00-ab-cd-01",
            cascade=True,
            undo=None,
            requested_by="ada",
            reason="budget",
            outcome="carried",
            status=200,
            code=None,
            deprecated=False,
            generation=7,
            answer_type="workspace.pause.summary",
            answer=operation.answer,
            target_count=9,
            open_count=6,
            recorded_at=NOW,
            deadline=NOW + HOUR,
        )


class TestEnvelope:
    """What stands around an answer."""

    def test_an_answer_says_what_it_belongs_to(self) -> None:
        """Operation, workspace, correlation, cause and trace stand in the context attributes."""
        event, _ = read(noted(commanded(), Carry(), planned(), recorded()).answer)
        assert event | {"data": None} == {
            "specversion": "1.0",
            "id": str(message_id(OPERATION, "workspace.pause.summary")),
            "source": "workspace-lifecycle",
            "type": "workspace.pause.summary",
            "subject": str(NAMED),
            "time": "2026-05-28T09:30:00.000000Z",
            "datacontenttype": "application/json",
            "dataschema": "urn:workspace-lifecycle:schema:workspace.pause.summary:1",
            "operationid": str(OPERATION),
            "correlationid": "c-1",
            "causationid": "m-1",
            "traceparent": "00-ab-cd-01",
            "data": None,
        }

    def test_without_a_correlation_the_commands_id_is_it(self) -> None:
        """A caller that set no correlation finds its answer by the id it sent."""
        command = Command(origin_of(correlation_id=None), commanded().data)
        event, _ = read(noted(command, Carry(), planned(), recorded()).answer)
        assert (event["correlationid"], event["causationid"]) == ("m-1", "m-1")

    def test_what_is_not_known_is_left_out(self) -> None:
        """No attribute is null or empty: CloudEvents knows neither."""
        origin = origin_of(correlation_id=None, message_id=None, traceparent=None)
        problem = Problem(origin, "the command has no id")
        event, _ = read(noted(problem, Reject(Code.INVALID_COMMAND, problem.detail)).answer)
        left_out = {"subject", "correlationid", "causationid", "traceparent"}
        assert not left_out & set(event)

    def test_the_same_decision_is_the_same_bytes(self) -> None:
        """A retry of the transaction writes what was written before."""
        one, two = (noted(commanded(), Carry(), planned(), recorded()) for _ in range(2))
        assert one == two

    def test_events_of_one_operation_have_different_ids(self) -> None:
        """None is dropped as another's duplicate."""
        summary = read(noted(commanded(), Carry(), planned(), recorded()).answer)[0]
        refused = read(noted(commanded(), Reject(Code.EXPIRED, "because")).answer)[0]
        ended = read(settled_event(operation_settled(), (), None).body)[0]
        assert len({event["id"] for event in (summary, refused, ended)}) == 3

    @pytest.mark.parametrize("verb", ["stop", "start"])
    def test_a_commands_id_is_its_operations_and_workspaces(self, verb: str) -> None:
        """Two workspaces have two commands, and a retry sends the same one again."""
        bodies = [ordered(verb, workspace_id) for workspace_id in (NAMED, NAMED, CHILD)]
        events = [read(body)[0] for body in bodies]
        assert bodies[0] == bodies[1]
        assert events[0]["id"] == str(message_id(OPERATION, str(NAMED)))
        assert events[2]["id"] == str(message_id(OPERATION, str(CHILD)))
        assert events[0]["type"] == f"workspace.{verb}"
        assert events[0]["subject"] == str(NAMED)

    def test_a_command_tells_the_executor_what_it_needs(self) -> None:
        """Machine, generation and deadline stand in it; a workspace without machine says null."""
        said = read(ordered("stop", NAMED))[1]
        assert said == {
            "operation_id": str(OPERATION),
            "workspace_id": str(NAMED),
            "name": "Grüße \x1b\n",
            "instance_id": None,
            "runtime": "external",
            "previous_status": "online",
            "generation": 7,
            "deadline": "2026-05-28T10:30:00.000000Z",
        }

    def test_every_event_type_can_be_said(self) -> None:
        """No type of the catalog that is ours to say was left out above."""
        told = {
            noted(commanded(action), decision, planned(), what).answer_type
            for action in ACTIONS
            for decision, what in (
                (Carry(), recorded()),
                (Reject(Code.EXPIRED, "because"), None),
                (Preview(Carry()), None),
            )
        }
        for action in ACTIONS:
            stands = operation_settled(action=action)
            told |= {
                settled_event(stands, (), None).type,
                progress_event(stands, None).type,
                corrected_event(stands, [correction()], None).type,
            }
        assert told == {kind.name for kind in CATALOG if kind.role == "event"}


def ordered(verb: str, workspace_id: UUID) -> bytes:
    """Write the command for one workspace."""
    kind = f"workspace.{verb}"
    target = Target(
        operation_id=OPERATION,
        workspace_id=workspace_id,
        name="Grüße \x1b\n",
        instance_id=None,
        runtime="external",
        previous_status="online",
        generation=7,
        deadline=NOW + HOUR,
    )
    orders = Orders(
        kind, OPERATION, time=NOW, correlation_id="c-1", causation_id="m-1", traceparent=None
    )
    return orders.write(target)[1]


def operation_settled(**fields: Any) -> Standing:
    """Give an operation whose four targets have each another outcome."""
    known: dict[str, Any] = {
        "operation_id": OPERATION,
        "action": "pause",
        "workspace_id": NAMED,
        "message_id": "m-1",
        "correlation_id": "c-1",
        "traceparent": None,
        "cascade": None,
        "requested_by": "ada",
        "reason": None,
        "target_count": 4,
        "succeeded_count": 1,
        "failed_count": 1,
        "superseded_count": 1,
        "timed_out_count": 1,
        "recorded_at": NOW,
        "open_count": 0,
        "at": NOW + timedelta(seconds=90, milliseconds=5),
    }
    return Standing(**{**known, **fields})


def correction(workspace_id: UUID = CHILD) -> Correction:
    """Give a target that had timed out and was stopped after all."""
    return Correction(
        workspace_id=workspace_id,
        name="Writer",
        outcome="succeeded",
        code=None,
        detail="late",
        restored_status=None,
    )


class TestProgress:
    """How far an operation has come."""

    def test_it_tells_what_is_done_and_what_is_open(self) -> None:
        """Those that watch can draw a bar from one event alone."""
        stands = operation_settled(target_count=200, open_count=197, timed_out_count=0)
        event, said = read(progress_event(stands, "r-1").body)
        counts = {name: said[name] for name in said if name.endswith("_count")}
        assert counts == {
            "target_count": 200,
            "succeeded_count": 1,
            "failed_count": 1,
            "superseded_count": 1,
            "open_count": 197,
        }
        assert (event["type"], event["causationid"]) == ("workspace.pause.progress", "r-1")

    def test_each_step_has_an_id_of_its_own(self) -> None:
        """Progress is said many times, and none is dropped as another's duplicate."""
        steps = [progress_event(operation_settled(open_count=left), None) for left in (3, 2, 2)]
        ids = [read(step.body)[0]["id"] for step in steps]
        assert ids[0] != ids[1] == ids[2]
        derived = [str(message_id(OPERATION, step.derived_from or "")) for step in steps]
        assert derived == ids


class TestCorrected:
    """What was heard after an operation had settled."""

    def test_it_tells_each_target_and_how_the_operation_stands_now(self) -> None:
        """The counts are those after the correction."""
        event, said = read(corrected_event(operation_settled(), [correction()], "r-1").body)
        assert said["corrections"] == [correction().model_dump(mode="json")]
        assert (said["succeeded_count"], said["timed_out_count"]) == (1, 1)
        assert event["type"] == "workspace.pause.corrected"

    def test_later_corrections_have_other_ids(self) -> None:
        """A workspace is corrected once, so the first of a batch tells batches apart."""
        batches = [[correction(NAMED)], [correction(CHILD)], [correction(CHILD)]]
        ids = [
            read(corrected_event(operation_settled(), batch, None).body)[0]["id"]
            for batch in batches
        ]
        assert ids[0] != ids[1] == ids[2]


class TestSettled:
    """How an operation ended."""

    def test_it_counts_every_outcome_and_names_the_failures(self) -> None:
        """Each count is its own, and the duration runs from the summary to here."""
        failure = Failure(workspace_id=CHILD, name="Writer", code="InstanceGone", detail=None)
        event, said = read(settled_event(operation_settled(), [failure], "r-9").body)
        assert said == {
            "operation_id": str(OPERATION),
            "action": "pause",
            "workspace_id": str(NAMED),
            "status": 200,
            "requested_by": "ada",
            "reason": None,
            "cascade": None,
            "target_count": 4,
            "succeeded_count": 1,
            "failed_count": 1,
            "superseded_count": 1,
            "timed_out_count": 1,
            "failures": [failure.model_dump(mode="json")],
            "duration_ms": 90_005,
        }
        assert event["id"] == str(message_id(OPERATION, "workspace.pause.settled"))
        assert (event["correlationid"], event["causationid"]) == ("c-1", "r-9")
        assert event["time"] == "2026-05-28T09:31:30.005000Z"

    @pytest.mark.parametrize(
        ("lasted", "milliseconds"),
        [
            (timedelta(0), 0),
            (timedelta(microseconds=400), 0),
            (timedelta(microseconds=1_600), 2),
            (timedelta(days=40), 3_456_000_000),
        ],
    )
    def test_the_duration_is_in_milliseconds(self, lasted: timedelta, milliseconds: int) -> None:
        """It is rounded to whole ones, and an operation may last for weeks."""
        _, said = read(settled_event(operation_settled(at=NOW + lasted), (), None).body)
        assert said["duration_ms"] == milliseconds

    @pytest.mark.parametrize(
        ("fields", "causation", "attributes"),
        [
            ({}, None, ("c-1", "m-1")),
            ({"correlation_id": None}, None, ("m-1", "m-1")),
            ({"correlation_id": None}, "r-9", ("m-1", "r-9")),
            ({"correlation_id": None, "message_id": None}, None, (None, None)),
            ({}, "", ("c-1", "m-1")),
        ],
    )
    def test_it_is_caused_by_its_last_result_or_by_the_command(
        self, fields: dict[str, Any], causation: str | None, attributes: Sequence[str | None]
    ) -> None:
        """A deadline has no message that caused it, so the command did."""
        event, _ = read(settled_event(operation_settled(**fields), (), causation).body)
        assert (event.get("correlationid"), event.get("causationid")) == attributes

    @pytest.mark.parametrize("count", [0, 3])
    @pytest.mark.parametrize("action", ACTIONS)
    def test_an_operation_without_commands_settles_at_once(
        self, action: Action, count: int
    ) -> None:
        """Whatever it changed is done, in no time."""
        operation = noted(commanded(action), Carry(), planned(), recorded(count, targets=0))
        event, said = read(settled_at_once(operation).body)
        assert event["type"] == f"workspace.{action}.settled"
        assert (said["target_count"], said["succeeded_count"]) == (count, count)
        assert said["failed_count"] + said["superseded_count"] + said["timed_out_count"] == 0
        assert (said["failures"], said["duration_ms"]) == ([], 0)
        assert (event["correlationid"], event["causationid"]) == ("c-1", "m-1")
        assert event["traceparent"] == "00-ab-cd-01"
