import json

import pytest
from pydantic import ValidationError

from schemas.catalog import BY_NAME
from schemas.results import Started, StartFailed, StopFailed, Stopped
from tests.unit.samples import SAMPLES

RESULTS = pytest.mark.parametrize(
    "name", [name for name in SAMPLES if BY_NAME[name].role == "result"]
)
MODELS = pytest.mark.parametrize("model", [Stopped, Started, StopFailed, StartFailed])
FAILED = SAMPLES["workspace.stop.failed"]


@RESULTS
def test_what_is_written_is_read_back(name: str) -> None:
    """An executor that dumps the model says what the program reads."""
    adapter = BY_NAME[name].adapter
    result = adapter.validate_json(json.dumps(SAMPLES[name]))
    assert json.loads(result.model_dump_json()) == SAMPLES[name]


@RESULTS
def test_unknown_fields_are_refused(name: str) -> None:
    """A foreign executor learns of its misspelling."""
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        BY_NAME[name].adapter.validate_json(json.dumps({**SAMPLES[name], "retriable": True}))


def test_an_executor_may_leave_the_machine_and_the_detail_out() -> None:
    """What is for people is optional; what settles a target is not."""
    sample = SAMPLES["workspace.stopped"]
    least = {name: sample[name] for name in ("operation_id", "workspace_id", "generation")}
    assert Stopped.model_validate_json(json.dumps(least)).detail is None
    for name in least:
        less = {key: value for key, value in least.items() if key != name}
        with pytest.raises(ValidationError, match="Field required"):
            Stopped.model_validate_json(json.dumps(less))


@pytest.mark.parametrize("name", ["code", "retryable"])
def test_a_failure_says_why_and_whether_to_try_again(name: str) -> None:
    """A failure without its reason would help nobody."""
    less = {key: value for key, value in FAILED.items() if key != name}
    with pytest.raises(ValidationError, match="Field required"):
        StopFailed.model_validate_json(json.dumps(less))


@pytest.mark.parametrize("value", ["true", 1, None])
def test_retryable_is_a_boolean(value: object) -> None:
    """What merely looks true is not true."""
    with pytest.raises(ValidationError):
        StopFailed.model_validate_json(json.dumps({**FAILED, "retryable": value}))


@MODELS
@pytest.mark.parametrize("generation", [-1, 2**63, "7", 7.5])
def test_a_generation_is_what_the_database_holds(model: type[Stopped], generation: object) -> None:
    """A foreign executor's impossible number is unreadable at once, not a failing statement."""
    sample = FAILED if issubclass(model, StopFailed) else SAMPLES["workspace.stopped"]
    with pytest.raises(ValidationError, match="generation"):
        model.model_validate_json(json.dumps({**sample, "generation": generation}))


@pytest.mark.parametrize("name", ["detail", "code", "instance_id"])
def test_texts_are_what_the_database_can_hold(name: str) -> None:
    """NUL from an executor would be refused by PostgreSQL for ever."""
    with pytest.raises(ValidationError, match="NUL"):
        StopFailed.model_validate_json(json.dumps({**FAILED, name: "a\x00b"}))
