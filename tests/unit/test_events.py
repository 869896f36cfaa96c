import json
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.catalog import BY_NAME
from schemas.events import PREVIEWED, Rejected, RejectedPreview, Summary, SummaryPreview
from tests.unit.samples import CHILD, SAMPLES

EVENTS = pytest.mark.parametrize(
    "name", [name for name in SAMPLES if BY_NAME[name].role == "event"]
)
SUMMARY = SAMPLES["workspace.pause.summary"]


def read(name: str, data: Any) -> Any:
    """Read the data of one event type from JSON."""
    return BY_NAME[name].adapter.validate_json(json.dumps(data))


@EVENTS
def test_what_is_written_is_read_back(name: str) -> None:
    """A subscriber with these models loses nothing, and absent members stay absent."""
    text = read(name, SAMPLES[name]).model_dump_json()
    assert json.loads(text) == SAMPLES[name]


@EVENTS
def test_unknown_fields_are_refused(name: str) -> None:
    """An event cannot grow a member that the contract does not know."""
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        read(name, {**SAMPLES[name], "paused": 5})


@EVENTS
@pytest.mark.parametrize(
    "member", ["operation_id", "action", "workspace_id", "status", "requested_by", "cascade"]
)
def test_every_event_says_what_it_is_about(name: str, member: str) -> None:
    """The members that the contract promises of every event cannot be left out."""
    less = {key: value for key, value in SAMPLES[name].items() if key != member}
    with pytest.raises(ValidationError, match="Field required"):
        read(name, less)


def test_a_rejection_without_a_workspace_says_null() -> None:
    """A command that named no workspace is answered all the same."""
    sample = {**SAMPLES["workspace.pause.rejected"], "workspace_id": None}
    assert json.loads(read("workspace.pause.rejected", sample).model_dump_json()) == sample


def test_a_rejection_names_the_ancestor_and_the_cycle_only_where_there_is_one() -> None:
    """What was not found is absent, so that a reader need not tell null from nothing."""
    plain = read("workspace.resume.rejected", SAMPLES["workspace.resume.rejected"])
    assert {"ancestor", "cycle_at", "not_restored"}.isdisjoint(json.loads(plain.model_dump_json()))
    ancestor = {"workspace_id": CHILD, "name": "Lead", "status": "paused"}
    sample = {**SAMPLES["workspace.resume.rejected"], "ancestor": ancestor, "cycle_at": CHILD}
    again = json.loads(read("workspace.resume.rejected", sample).model_dump_json())
    assert again["ancestor"] == ancestor
    assert again["cycle_at"] == CHILD


@pytest.mark.parametrize(("action", "count"), [("pause", "paused"), ("resume", "resumed")])
def test_a_summary_has_the_count_of_its_action(action: str, count: str) -> None:
    """`paused_count` belongs to a pause and `resumed_count` to a resume, and it is the count."""
    summary = read(f"workspace.{action}.summary", SAMPLES[f"workspace.{action}.summary"])
    assert summary.count == 1
    assert json.loads(summary.model_dump_json())[f"{count}_count"] == 1


@pytest.mark.parametrize(
    "counts", [{}, {"resumed_count": 1}, {"paused_count": 1, "resumed_count": 1}]
)
def test_a_summary_has_no_other_count(counts: dict[str, int]) -> None:
    """The number that hid the incident is never missing, wrong or double."""
    less = {key: value for key, value in SUMMARY.items() if key != "paused_count"}
    with pytest.raises(ValidationError, match="paused_count and no other"):
        Summary.model_validate_json(json.dumps({**less, **counts}))


def test_a_count_of_nothing_is_a_count() -> None:
    """A pause that found nothing to do answers 0, not nothing."""
    summary = Summary.model_validate_json(json.dumps({**SUMMARY, "paused_count": 0}))
    assert summary.count == 0
    assert json.loads(summary.model_dump_json())["paused_count"] == 0


def test_a_preview_is_the_answer_and_what_it_would_be() -> None:
    """A dry run says all that the real answer would have said, and `would`."""
    for name, model, answer in (
        ("workspace.pause.previewed", SummaryPreview, Summary),
        ("workspace.resume.previewed", RejectedPreview, Rejected),
    ):
        preview = PREVIEWED.validate_json(json.dumps(SAMPLES[name]))
        assert type(preview) is model
        assert set(model.model_fields) - set(answer.model_fields) == {"would"}


@pytest.mark.parametrize("would", ["carried", None, ""])
def test_a_preview_would_be_one_of_two(would: object) -> None:
    """A third kind of preview is refused."""
    with pytest.raises(ValidationError):
        PREVIEWED.validate_json(json.dumps({**SUMMARY, "would": would}))


def test_a_rejection_has_a_code_of_ours() -> None:
    """Readers key on the code: one they do not know is never sent."""
    with pytest.raises(ValidationError):
        read("workspace.pause.rejected", {**SAMPLES["workspace.pause.rejected"], "code": "no"})
