"""Bytes in, one typed command or one problem out. Pure: it trusts nothing and touches nothing."""

import hashlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from consumer.message import Inbound, UnreadableError
from consumer.operation import Command, Origin, Outcome, Problem, Result
from schemas.catalog import BY_NAME, MessageType, action_of
from schemas.envelope import CLOUDEVENTS, SHORT_STRING, Attributes, first_error, read
from schemas.results import Started, StartFailed, StopFailed, Stopped
from schemas.strict import canonical_json, parse_json, plain_text


@dataclass(frozen=True, slots=True)
class _Envelope:
    """What could be learnt of a message before its data was looked at."""

    message_id: str | None
    source: str
    type: str
    correlation_id: str | None
    traceparent: str | None


def read_command(inbound: Inbound, max_body: int) -> Command | Problem:
    """Read a pause or resume in either encoding.

    `max_body` is in bytes. Everything that is wrong with a command becomes a Problem, which is
    answered with 422.

    Raises:
        UnreadableError: it is not even known whether a pause or a resume was meant, so that no
            event type could answer it.

    """
    envelope, data, fault = _open(inbound, max_body)
    kind = _kind(envelope.type, inbound)
    origin = _origin(inbound, envelope, data, kind)
    fault = fault or _mismatch(envelope, kind)
    if fault is None and origin.message_id is None:
        fault = "the command has no id: set message_id, or id in a CloudEvent"
    if fault is not None:
        return Problem(origin, fault, _named(data))
    try:
        return Command(origin, kind.adapter.validate_json(canonical_json(data)))
    except ValidationError as error:
        return Problem(origin, first_error(error), _named(data))


def read_result(inbound: Inbound, max_body: int) -> Result:
    """Read what an executor answered.

    Raises:
        UnreadableError: it is no result of ours.

    """
    envelope, data, fault = _open(inbound, max_body)
    kind = BY_NAME.get(envelope.type)
    if fault is None and (kind is None or kind.role != "result"):
        fault = f"{envelope.type[:64]!r} is no result type"
    if fault is not None or kind is None:
        raise UnreadableError(f"unreadable result: {fault}")
    try:
        said = kind.adapter.validate_json(canonical_json(data))
    except ValidationError as error:
        raise UnreadableError(f"unreadable {kind.name}: {first_error(error)}") from None
    return _result(said, envelope)


def _result(said: Stopped, envelope: _Envelope) -> Result:
    failed = said if isinstance(said, StopFailed) else None
    outcome: Outcome = "succeeded"
    if failed is not None:
        outcome = "superseded" if failed.code == "superseded" else "failed"
    return Result(
        operation_id=said.operation_id,
        workspace_id=said.workspace_id,
        generation=said.generation,
        action="resume" if isinstance(said, Started | StartFailed) else "pause",
        outcome=outcome,
        message_id=envelope.message_id or "",
        code=failed.code if failed else None,
        detail=said.detail,
        traceparent=envelope.traceparent,
    )


def _open(inbound: Inbound, max_body: int) -> tuple[_Envelope, Any, str | None]:
    """Take a message apart as far as it goes, and say what stopped it if something did."""
    plain = _Envelope(
        message_id=_short(inbound.message_id),
        source=_short(inbound.app_id) or "anonymous",
        type=inbound.type or inbound.routing_key,
        correlation_id=_short(inbound.correlation_id),
        traceparent=_short(_header(inbound, "traceparent")),
    )
    if len(inbound.body) > max_body:
        size = f"the body has {len(inbound.body)} bytes, more than the {max_body} allowed"
        return plain, None, f"{size} (LIFECYCLE_MAX_BODY)"
    if inbound.content_encoding not in {None, "", "utf-8", "UTF-8", "identity"}:
        return plain, None, "content_encoding must be absent, identity or utf-8"
    try:
        if _is_cloudevent(inbound.content_type):
            attributes, data = read(inbound.body)
            return _of_cloudevent(attributes, plain), data, None
        return plain, parse_json(inbound.body), _unusable(inbound)
    except ValueError as error:
        return plain, None, str(error)


def _is_cloudevent(content_type: str | None) -> bool:
    return (content_type or "").split(";")[0].strip().lower() == CLOUDEVENTS


def _of_cloudevent(attributes: Attributes, plain: _Envelope) -> _Envelope:
    return _Envelope(
        message_id=attributes.id,
        source=attributes.source,
        type=attributes.type,
        correlation_id=plain.correlation_id or attributes.correlation_id,
        traceparent=attributes.traceparent or plain.traceparent,
    )


def _unusable(inbound: Inbound) -> str | None:
    """Say why an id that is there cannot be used: the sender should learn more than 'no id'."""
    if inbound.message_id and _short(inbound.message_id) is None:
        return "message_id is not usable: 1 to 255 bytes of UTF-8 without NUL"
    return None


def _kind(name: str, inbound: Inbound) -> MessageType:
    """Find which command was meant: what the envelope says, else what it was routed by."""
    for candidate in (name, inbound.type, inbound.routing_key):
        kind = BY_NAME.get(candidate or "")
        if kind is not None and kind.role == "command":
            return kind
    raise UnreadableError(
        f"neither the type {name[:64]!r} nor the routing key {inbound.routing_key[:64]!r} is "
        "workspace.pause or workspace.resume"
    )


def _mismatch(envelope: _Envelope, kind: MessageType) -> str | None:
    if envelope.type != kind.name:
        return f"the type {envelope.type[:64]!r} is no command of ours, sent as {kind.name}"
    return None


def _origin(inbound: Inbound, envelope: _Envelope, data: Any, kind: MessageType) -> Origin:
    meaning = inbound.body if data is None else canonical_json(data)
    digest = hashlib.sha256(kind.name.encode() + b"\n" + meaning).digest()
    action = action_of(kind.name)
    assert action is not None
    return Origin(
        action=action,
        source=envelope.source,
        message_id=envelope.message_id,
        key=envelope.message_id or f"sha256:{digest.hex()}",
        digest=digest,
        app_id=_short(inbound.app_id) or envelope.source,
        user_id=_short(inbound.user_id),
        correlation_id=envelope.correlation_id,
        reply_to=_short(inbound.reply_to),
        traceparent=envelope.traceparent,
    )


def _named(data: Any) -> UUID | None:
    """Find the workspace a refused command named, so that its rejection can say so."""
    named = data.get("workspace_id") if isinstance(data, dict) else None
    try:
        return UUID(named) if isinstance(named, str) else None
    except ValueError:
        return None


def _header(inbound: Inbound, name: str) -> str | None:
    value = inbound.headers.get(name)
    return value if isinstance(value, str) else None


def _short(value: str | None) -> str | None:
    """Keep a property only where it can be stored and sent on: a short string without NUL."""
    try:
        usable = bool(value) and len(plain_text(value or "").encode()) <= SHORT_STRING
    except ValueError:
        return None
    return value if usable else None
