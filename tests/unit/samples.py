"""One valid `data` of every message type, as JSON would have it."""

from typing import Any

WORKSPACE = "5b2f6a0e-3c1d-4f7a-9e21-0d4c8b7a6f10"
CHILD = "0c9e7d52-8f4b-4a6c-b1d3-2e5f7a9c1b30"
OPERATION = "7d1a4c3e-6b5f-4e2d-8a90-1c3b5d7f9e20"
TIME = "2026-05-28T09:30:00.000000Z"

_OF_OPERATION = {
    "operation_id": OPERATION,
    "workspace_id": WORKSPACE,
    "status": 200,
    "requested_by": None,
    "reason": None,
    "cascade": True,
}
_ORDER = {
    "operation_id": OPERATION,
    "workspace_id": WORKSPACE,
    "name": "Production Manager",
    "instance_id": "i-0123456789abcdef0",
    "runtime": None,
    "previous_status": "online",
    "generation": 7,
    "deadline": TIME,
}
_RESULT = {
    "operation_id": OPERATION,
    "workspace_id": WORKSPACE,
    "generation": 7,
    "instance_id": "i-0123456789abcdef0",
    "detail": None,
}
_FAILED = {**_RESULT, "code": "IncorrectInstanceState", "retryable": True}
_CHANGED = {"workspace_id": CHILD, "name": "Writer", "previous_status": "online"}
_DESCENDANT = {
    "workspace_id": CHILD,
    "name": "Writer",
    "status": "online",
    "parent_id": WORKSPACE,
    "depth": 1,
    "active_tasks": 3,
}
_FAILURE = {"workspace_id": CHILD, "name": "Writer", "code": "InstanceGone", "detail": None}


def _rejected(action: str) -> dict[str, Any]:
    return {
        **_OF_OPERATION,
        "action": action,
        "status": 409,
        "cascade": None,
        "type": "urn:workspace-lifecycle:problem:descendants_exist",
        "title": "Descendants would be affected and cascade was not asked for",
        "detail": "1 descendant would be affected",
        "code": "descendants_exist",
        "descendants": [_DESCENDANT],
        "descendant_count": 1,
        "descendants_truncated": False,
        "tree_etag": "ab" * 32,
    }


def _summary(action: str) -> dict[str, Any]:
    return {
        **_OF_OPERATION,
        "action": action,
        f"{action}d_count": 1,
        "workspaces": [_CHANGED],
        "workspaces_truncated": False,
        "tree_etag": "ab" * 32,
        "deprecated": False,
    }


def _settled(action: str) -> dict[str, Any]:
    return {
        **_OF_OPERATION,
        "action": action,
        "target_count": 2,
        "succeeded_count": 1,
        "failed_count": 1,
        "superseded_count": 0,
        "timed_out_count": 0,
        "failures": [_FAILURE],
        "duration_ms": 1200,
    }


def _progress(action: str) -> dict[str, Any]:
    return {
        **_OF_OPERATION,
        "action": action,
        "target_count": 200,
        "succeeded_count": 90,
        "failed_count": 1,
        "superseded_count": 0,
        "open_count": 109,
    }


def _corrected(action: str) -> dict[str, Any]:
    correction = {
        "workspace_id": CHILD,
        "name": "Writer",
        "outcome": "failed",
        "code": "InstanceGone",
        "detail": None,
        "restored_status": "online",
    }
    return {
        **_OF_OPERATION,
        "action": action,
        "corrections": [correction],
        "target_count": 2,
        "succeeded_count": 0,
        "failed_count": 1,
        "superseded_count": 0,
        "timed_out_count": 1,
    }


PAUSE: dict[str, Any] = {"workspace_id": WORKSPACE, "cascade": True, "not_after": TIME}
SAMPLES: dict[str, dict[str, Any]] = {
    "workspace.pause": PAUSE,
    "workspace.resume": {"workspace_id": WORKSPACE, "undo": OPERATION},
    "workspace.stop": _ORDER,
    "workspace.start": _ORDER,
    "workspace.stopped": _RESULT,
    "workspace.started": _RESULT,
    "workspace.stop.failed": _FAILED,
    "workspace.start.failed": _FAILED,
    "workspace.pause.rejected": _rejected("pause"),
    "workspace.resume.rejected": _rejected("resume"),
    "workspace.pause.summary": _summary("pause"),
    "workspace.resume.summary": _summary("resume"),
    "workspace.pause.previewed": {**_summary("pause"), "would": "summary"},
    "workspace.resume.previewed": {**_rejected("resume"), "would": "rejected"},
    "workspace.pause.settled": _settled("pause"),
    "workspace.resume.settled": _settled("resume"),
    "workspace.pause.progress": _progress("pause"),
    "workspace.resume.progress": _progress("resume"),
    "workspace.pause.corrected": _corrected("pause"),
    "workspace.resume.corrected": _corrected("resume"),
}
