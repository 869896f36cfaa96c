import json

import pytest

import schemas
from schemas.catalog import (
    BY_NAME,
    CATALOG,
    COMMANDS,
    COMMANDS_QUEUE,
    EVENTS,
    EXECUTOR_QUEUE,
    RESULTS_QUEUE,
    MessageType,
    action_of,
    routed_to,
)
from schemas.topology import QUEUES
from tests.unit.samples import SAMPLES

KINDS = pytest.mark.parametrize("kind", CATALOG, ids=lambda kind: kind.name)


def test_the_message_types_are_those_of_the_contract() -> None:
    """Nothing travels that the contract does not name, save what was added for watchers."""
    answers = ("rejected", "summary", "previewed", "settled", "progress", "corrected")
    assert set(BY_NAME) == {
        "workspace.pause",
        "workspace.resume",
        "workspace.stop",
        "workspace.start",
        "workspace.stopped",
        "workspace.started",
        "workspace.stop.failed",
        "workspace.start.failed",
        *(f"workspace.{action}.{answer}" for action in ("pause", "resume") for answer in answers),
    }
    assert len(BY_NAME) == len(CATALOG)


@pytest.mark.parametrize(
    ("queue", "names"),
    [
        (COMMANDS_QUEUE, {"workspace.pause", "workspace.resume"}),
        (EXECUTOR_QUEUE, {"workspace.stop", "workspace.start"}),
        (
            RESULTS_QUEUE,
            {
                "workspace.stopped",
                "workspace.started",
                "workspace.stop.failed",
                "workspace.start.failed",
            },
        ),
    ],
)
def test_each_queue_takes_what_the_contract_says(queue: str, names: set[str]) -> None:
    """A queue's bindings are exactly the types that are read from it."""
    assert {kind.name for kind in routed_to(queue)} == names
    (declared,) = (one for one in QUEUES if one.name == queue)
    assert set(declared.bindings) == {(BY_NAME[name].exchange, name) for name in names}


@KINDS
def test_commands_and_events_have_their_exchange(kind: MessageType) -> None:
    """What asks goes one way, what tells goes the other."""
    asks = kind.role in {"command", "executor-command"}
    assert kind.exchange == (COMMANDS if asks else EVENTS)
    assert (kind.queue is None) == (kind.role == "event")


@KINDS
def test_each_type_reads_its_sample(kind: MessageType) -> None:
    """Every type in the table has a validator that works."""
    assert kind.adapter.validate_json(json.dumps(SAMPLES[kind.name]))
    assert kind.dataschema == f"urn:workspace-lifecycle:schema:{kind.name}:1"


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("workspace.pause", "pause"),
        ("workspace.resume.settled", "resume"),
        ("workspace.stop", None),
        ("workspace", None),
        ("", None),
        (None, None),
    ],
)
def test_a_type_tells_its_action(name: str | None, action: str | None) -> None:
    """Only pause and resume are actions; a stop belongs to either."""
    assert action_of(name) == action


def test_the_package_gives_what_it_lists() -> None:
    """`__all__` has no name that is not there, and none twice."""
    assert len(set(schemas.__all__)) == len(schemas.__all__)
    for name in schemas.__all__:
        assert hasattr(schemas, name)
