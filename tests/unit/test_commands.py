import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import ValidationError

from schemas.commands import PauseWorkspace, ResumeWorkspace, StartWorkspace, StopWorkspace
from tests.unit.samples import OPERATION, SAMPLES, TIME, WORKSPACE

BOTH = pytest.mark.parametrize("model", [PauseWorkspace, ResumeWorkspace])
TEXT = some.text(some.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


def pause(**members: Any) -> PauseWorkspace:
    """Read a pause from JSON."""
    return PauseWorkspace.model_validate_json(json.dumps({"workspace_id": WORKSPACE, **members}))


@BOTH
def test_the_workspace_alone_is_enough(model: type[PauseWorkspace]) -> None:
    """What is absent stays absent, and a dry run has to be asked for."""
    command = model.model_validate_json(json.dumps({"workspace_id": WORKSPACE}))
    assert command.workspace_id == UUID(WORKSPACE)
    assert command.cascade is None
    assert command.dry_run is False


def test_absent_false_and_true_are_three_things() -> None:
    """The flag that the incident was about keeps its three meanings."""
    assert [pause().cascade, pause(cascade=False).cascade, pause(cascade=True).cascade] == [
        None,
        False,
        True,
    ]


@BOTH
@pytest.mark.parametrize(
    "misspelt", ["casacde", "Cascade", "cascade ", "force", "operation_id", "undo_"]
)
def test_unknown_fields_are_refused(model: type[PauseWorkspace], misspelt: str) -> None:
    """A misspelt `cascade` does not pass as an absent one."""
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        model.model_validate_json(json.dumps({"workspace_id": WORKSPACE, misspelt: True}))


def test_a_pause_has_no_undo() -> None:
    """Only a resume can put something back."""
    with pytest.raises(ValidationError):
        pause(undo=OPERATION)


@pytest.mark.parametrize("name", sorted(ResumeWorkspace.model_fields))
def test_null_is_refused_by_name(name: str) -> None:
    """Null could mean absent or false: the sender has to say which."""
    body = json.dumps({"workspace_id": WORKSPACE, name: None})
    with pytest.raises(ValidationError, match=f"'{name}' is null"):
        ResumeWorkspace.model_validate_json(body)


@pytest.mark.parametrize("name", ["cascade", "dry_run"])
@pytest.mark.parametrize("value", ["true", "false", 0, 1, "", [], {}])
def test_flags_are_booleans_only(name: str, value: object) -> None:
    """The string "false" is not taken for either answer."""
    with pytest.raises(ValidationError):
        pause(**{name: value})


@pytest.mark.parametrize(("name", "most"), [("reason", 1000), ("requested_by", 200)])
def test_texts_have_a_longest(name: str, most: int) -> None:
    """The limit is in characters, and the one beyond it is refused."""
    assert getattr(pause(**{name: "é" * most}), name) == "é" * most
    with pytest.raises(ValidationError, match=f"at most {most} characters"):
        pause(**{name: "é" * (most + 1)})


@pytest.mark.parametrize("name", ["reason", "requested_by", "if_match"])
@pytest.mark.parametrize("bad", ["a\x00b", "\ud800", 7, ["x"]])
def test_texts_are_what_the_database_can_hold(name: str, bad: object) -> None:
    """NUL and half characters would come back as a failure that never ends."""
    with pytest.raises(ValidationError):
        pause(**{name: bad})


@pytest.mark.parametrize("bad", [0, -1, 1.0, "3", True])
def test_the_cap_is_a_positive_whole_number(bad: object) -> None:
    """A cap of nothing is a mistake, not a command."""
    with pytest.raises(ValidationError):
        pause(max_affected=bad)


def test_not_after_needs_an_offset() -> None:
    """A deadline without a zone would be another moment elsewhere."""
    assert pause(not_after=TIME).not_after == datetime(2026, 5, 28, 9, 30, tzinfo=UTC)
    with pytest.raises(ValidationError, match="RFC 3339"):
        pause(not_after="2026-05-28T09:30:00")


@BOTH
@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"{}", b""])
def test_a_command_is_an_object_that_names_a_workspace(
    model: type[PauseWorkspace], body: bytes
) -> None:
    """Anything else is a mistake that can be told."""
    with pytest.raises(ValidationError):
        model.model_validate_json(body)


@given(
    cascade=some.none() | some.booleans(),
    dry_run=some.booleans(),
    if_match=some.none() | TEXT,
    max_affected=some.none() | some.integers(min_value=1),
    not_after=some.none() | some.datetimes(timezones=some.just(UTC)),
    reason=some.none() | TEXT,
    undo=some.none() | some.uuids(),
)
def test_what_is_dumped_is_read_back(**members: Any) -> None:
    """A client that dumps the model sends what the program reads, and never a null."""
    command = ResumeWorkspace(workspace_id=UUID(WORKSPACE), **members)
    text = command.model_dump_json()
    assert ResumeWorkspace.model_validate_json(text) == command
    assert None not in json.loads(text).values()


@pytest.mark.parametrize("model", [StopWorkspace, StartWorkspace])
def test_an_order_says_everything(model: type[StopWorkspace]) -> None:
    """An executor is told all it needs: nothing has a default that could be wrong."""
    sample = SAMPLES["workspace.stop"]
    order = model.model_validate_json(json.dumps(sample))
    assert json.loads(order.model_dump_json()) == sample
    for name in sample:
        less = {key: value for key, value in sample.items() if key != name}
        with pytest.raises(ValidationError, match="Field required"):
            model.model_validate_json(json.dumps(less))


@pytest.mark.parametrize("name", ["instance_id", "runtime"])
def test_an_order_may_have_no_machine(name: str) -> None:
    """A local workspace has null where a machine would be, said in words."""
    order = StopWorkspace.model_validate_json(json.dumps({**SAMPLES["workspace.stop"], name: None}))
    assert getattr(order, name) is None


def test_an_order_beyond_the_databases_numbers_is_refused() -> None:
    """A generation that the fence could not look up is unreadable, not a failing query."""
    with pytest.raises(ValidationError, match="generation"):
        StopWorkspace.model_validate_json(
            json.dumps({**SAMPLES["workspace.stop"], "generation": 2**63})
        )
