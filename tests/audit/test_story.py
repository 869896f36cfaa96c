"""How a message of an operation is told."""

import json
from typing import Any

import pytest

from consumer.audit.story import chapter
from consumer.record import Record
from tests.audit.filling import NOON

WORKSPACE = "00000000-0000-0000-0000-000000000001"


def told(kind: str, exchange: str = "workspace.events", **data: Any) -> tuple[str, str]:
    """Tell a CloudEvent."""
    event = {"specversion": "1.0", "data": {"workspace_id": WORKSPACE, **data}}
    record = Record(offset=0, exchange=exchange, routing_key=kind, body=json.dumps(event).encode())
    found = chapter(record)
    return found.what, found.why


@pytest.mark.parametrize(
    ("kind", "data", "what", "why"),
    [
        (
            "workspace.pause.rejected",
            {"status": 409, "code": "descendants_exist", "detail": "four", "descendant_count": 4},
            "workspace.pause.rejected: 409 descendants_exist, 4 below it listed",
            "four",
        ),
        (
            "workspace.resume.summary",
            {"action": "resume", "resumed_count": 2, "deprecated": True},
            "workspace.resume.summary: 2 resumed",
            "the cascade was implicit (deprecated)",
        ),
        ("workspace.pause.previewed", {"status": 200}, "workspace.pause.previewed: 200", ""),
        (
            "workspace.stopped",
            {"generation": 7, "detail": "it was stopped already"},
            f"workspace.stopped {WORKSPACE}  generation 7",
            "it was stopped already",
        ),
        (
            "workspace.stop.failed",
            {"generation": 7, "code": "OperationNotPermitted", "detail": "protected"},
            f"workspace.stop.failed {WORKSPACE}  generation 7",
            "OperationNotPermitted: protected",
        ),
        (
            "workspace.pause.settled",
            {
                "succeeded_count": 4,
                "failed_count": 1,
                "timed_out_count": 0,
                "failures": [{"name": "Agent", "code": "no"}],
            },
            "workspace.pause.settled: 4 succeeded, 1 failed",
            "Agent: no",
        ),
        ("workspace.pause.summary", {}, "workspace.pause.summary", ""),
        ("workspace.news", {}, "workspace.news", ""),
    ],
)
def test_an_event_is_told(kind: str, data: dict[str, Any], what: str, why: str) -> None:
    """With who and why; one that lacks something by its type."""
    assert told(kind, **data) == (what, why)


def test_an_order_is_told() -> None:
    """With the machine and what the workspace was."""
    data = {"name": "Agent", "instance_id": "i-1", "generation": 7, "previous_status": "online"}
    what, why = told("workspace.stop", "workspace.commands", **data)
    assert what == f"workspace.stop Agent  {WORKSPACE}  i-1  generation 7"
    assert why == "was online"


def test_a_command_is_told_in_either_form() -> None:
    """Who asked, for whom and why."""
    data = {"workspace_id": WORKSPACE, "cascade": True, "requested_by": "kim", "reason": "budget"}
    plain = Record(
        offset=0,
        exchange="workspace.commands",
        routing_key="workspace.pause",
        body=json.dumps(data).encode(),
        properties={"app_id": "billing", "timestamp": NOON},
        headers={"x-repaired": "database"},
    )
    found = chapter(plain)
    assert (found.time, found.who, found.repaired) == (NOON, "billing", True)
    assert found.what == f"workspace.pause {WORKSPACE} cascade=true"
    assert found.why == "for kim: budget"
    assert told("workspace.pause", "workspace.commands", **data) == (found.what, found.why)


@pytest.mark.parametrize("body", [b"\xff", b"[]", b"{}", b'{"specversion":"1.0","data":[]}'])
def test_what_cannot_be_read_is_told_by_its_type(body: bytes) -> None:
    """It stands in the story all the same."""
    record = Record(
        offset=0, exchange="workspace.events", routing_key="workspace.pause.settled", body=body
    )
    assert chapter(record).what.startswith("workspace.pause.settled")
