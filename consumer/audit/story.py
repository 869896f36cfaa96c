"""One operation told from the trail: who asked, what was decided, what became of each workspace."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from consumer.audit.fold import REPAIRED
from consumer.record import Record
from schemas.catalog import COMMANDS, action_of


@dataclass(frozen=True, slots=True)
class Chapter:
    """One message as people read it. `why` is empty where there is nothing to say."""

    time: datetime | None
    who: str
    what: str
    why: str
    repaired: bool


Data = Mapping[str, Any]


def chapter(record: Record) -> Chapter:
    """Tell one message of an operation; one that cannot be read is told by its type."""
    data = _data(record.body)
    tell = next((tell for end, tell in _TELLERS if record.type.endswith(end)), None)
    if record.exchange == COMMANDS and action_of(record.type) and record.type.count(".") == 1:
        tell = _command
    try:
        what, why = tell(record.type, data) if tell else (record.type, "")
    except (KeyError, TypeError, AttributeError):
        what, why = record.type, ""
    who = str(record.properties.get("app_id") or "unknown")
    return Chapter(record.time, who, what, why, REPAIRED in record.headers)


def _data(body: bytes) -> Data:
    """Find the data of a CloudEvent, or of a plain message."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    inner = found.get("data") if "specversion" in found else found
    return inner if isinstance(inner, dict) else {}


def _command(kind: str, data: Data) -> tuple[str, str]:
    asked = [
        f"{name}={json.dumps(data[name])}"
        for name in ("cascade", "dry_run", "if_match", "max_affected", "undo")
        if data.get(name) is not None
    ]
    by = f"for {data['requested_by']}" if data.get("requested_by") else ""
    why = ": ".join(part for part in (by, str(data.get("reason") or "")) if part)
    return " ".join([kind, str(data.get("workspace_id", "")), *asked]), why


def _rejected(kind: str, data: Data) -> tuple[str, str]:
    below = data["descendant_count"]
    told = f", {below} below it listed" if below else ""
    return f"{kind}: {data['status']} {data['code']}{told}", data["detail"]


def _summary(kind: str, data: Data) -> tuple[str, str]:
    word = f"{data['action']}d"
    implicit = "the cascade was implicit (deprecated)" if data.get("deprecated") else ""
    return f"{kind}: {data[f'{word}_count']} {word}", implicit


def _previewed(kind: str, data: Data) -> tuple[str, str]:
    return f"{kind}: {data['status']} {data.get('code') or ''}".rstrip(), data.get("detail") or ""


def _order(kind: str, data: Data) -> tuple[str, str]:
    machine = data.get("instance_id") or "no instance"
    what = f"{kind} {data['name']}  {data['workspace_id']}  {machine}"
    return f"{what}  generation {data['generation']}", f"was {data['previous_status']}"


def _result(kind: str, data: Data) -> tuple[str, str]:
    why = ": ".join(str(data[name]) for name in ("code", "detail") if data.get(name))
    return f"{kind} {data['workspace_id']}  generation {data['generation']}", why


def _counted(kind: str, data: Data) -> tuple[str, str]:
    words = ("succeeded", "failed", "superseded", "timed_out", "open")
    counts = [
        f"{data[f'{word}_count']} {word.replace('_', ' ')}"
        for word in words
        if data.get(f"{word}_count")
    ]
    listed = data.get("failures") or data.get("corrections") or ()
    why = "; ".join(f"{one['name']}: {one.get('code') or one.get('outcome')}" for one in listed)
    return f"{kind}: {', '.join(counts) or 'nothing to do'}", why


_TELLERS: tuple[tuple[str, Callable[[str, Data], tuple[str, str]]], ...] = (
    (".rejected", _rejected),
    (".summary", _summary),
    (".previewed", _previewed),
    (".settled", _counted),
    (".progress", _counted),
    (".corrected", _counted),
    ("workspace.stop", _order),
    ("workspace.start", _order),
    (".stopped", _result),
    (".started", _result),
    (".failed", _result),
)
