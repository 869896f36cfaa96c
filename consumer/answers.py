"""What is said about an operation, in the contract's shapes. Pure: values in, events out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, assert_never
from uuid import UUID

from pydantic import BaseModel

from consumer.operation import (
    Carry,
    Command,
    Decision,
    Operation,
    Plan,
    Preview,
    Problem,
    Recorded,
    Reject,
    Standing,
    message_id,
)
from schemas.catalog import BY_NAME, SOURCE
from schemas.envelope import Attributes, write
from schemas.events import (
    Changed,
    Corrected,
    Correction,
    Failure,
    Progress,
    Rejected,
    RejectedPreview,
    Settled,
    Summary,
    SummaryPreview,
)
from schemas.problems import OK, Code

Answer = Rejected | RejectedPreview | Summary | SummaryPreview
_VACANT = b'"workspaces":[]'
_OUTCOMES: dict[type, Literal["rejected", "previewed", "carried"]] = {
    Reject: "rejected",
    Preview: "previewed",
    Carry: "carried",
}


@dataclass(frozen=True, slots=True)
class Decided:
    """All that is known of a command once it is decided and, if so decided, carried out."""

    operation_id: UUID
    received: Command | Problem
    decision: Decision
    plan: Plan
    recorded: Recorded | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Followed:
    """An event that follows a summary, as it will leave.

    Attributes:
        derived_from: what its id is derived from beside the operation; None: its type.

    """

    type: str
    body: bytes
    derived_from: str | None


def recording(decided: Decided, max_listed: int, settle_timeout: timedelta) -> Operation:
    """Give the row that remembers a decided command, with its answer as it will be sent."""
    received, recorded, origin = decided.received, decided.recorded, decided.received.origin
    kind, answer = _answer(decided, max_listed)
    return Operation(
        operation_id=decided.operation_id,
        action=origin.action,
        workspace_id=answer.workspace_id,
        source=origin.source,
        app_id=origin.app_id,
        message_id=origin.message_id,
        correlation_id=origin.correlation_id,
        traceparent=origin.traceparent,
        cascade=answer.cascade,
        undo=received.undo if isinstance(received, Command) else None,
        requested_by=answer.requested_by,
        reason=answer.reason,
        outcome=_OUTCOMES[type(decided.decision)],
        status=answer.status,
        code=answer.code if isinstance(answer, Rejected) else None,
        deprecated=answer.deprecated if isinstance(answer, Summary) else False,
        generation=recorded.generation if recorded else None,
        answer_type=kind,
        answer=_of_command(decided, kind, answer),
        target_count=recorded.count if recorded else 0,
        open_count=recorded.target_count if recorded else 0,
        recorded_at=decided.now,
        deadline=decided.now + settle_timeout,
    )


def _answer(decided: Decided, max_listed: int) -> tuple[str, Answer]:
    """Give the answer's type and data."""
    operation_id, received, plan = decided.operation_id, decided.received, decided.plan
    stem = f"workspace.{received.origin.action}"
    match decided.decision:
        case Reject() as why:
            return f"{stem}.rejected", rejected(operation_id, received, why, plan)
        case Preview(would):
            assert isinstance(received, Command)
            preview = previewed(operation_id, received, plan, would, max_listed)
            return f"{stem}.previewed", preview
        case Carry() as carry:
            assert isinstance(received, Command)
            assert decided.recorded is not None
            found = decided.recorded
            told = summary(operation_id, received, plan, found, carry, max_listed)
            return f"{stem}.summary", told
        case _:
            assert_never(decided.decision)


def _of_command(decided: Decided, kind: str, data: Answer) -> bytes:
    origin = decided.received.origin
    body = enveloped(
        kind,
        decided.operation_id,
        data,
        subject=data.workspace_id,
        time=decided.now,
        correlation_id=origin.correlation_id or origin.message_id,
        causation_id=origin.message_id,
        traceparent=origin.traceparent,
    )
    if decided.recorded is None:
        return body
    # Only here can this stand: within a text the quotes would be escaped.
    return body.replace(_VACANT, _VACANT[:-2] + decided.recorded.changed.encode(), 1)


def rejected(operation_id: UUID, received: Command | Problem, why: Reject, plan: Plan) -> Rejected:
    """Say that a command was refused, and list what it would have hit."""
    return Rejected(**_rejection(operation_id, received, why, plan))


def summary(
    operation_id: UUID,
    command: Command,
    plan: Plan,
    recorded: Recorded,
    carry: Carry,
    max_listed: int,
) -> Summary:
    """Say what an operation changed, as found under its locks, but for the list of workspaces."""
    return Summary(
        **_operation(operation_id, command),
        **_found(plan),
        **_count(command, recorded.count),
        workspaces=(),
        workspaces_truncated=recorded.count > max_listed,
        tree_etag=recorded.tree_etag,
        deprecated=carry.deprecated,
    )


def previewed(
    operation_id: UUID, command: Command, plan: Plan, would: Reject | Carry, max_listed: int
) -> RejectedPreview | SummaryPreview:
    """Say what either of the two above would have said."""
    if isinstance(would, Reject):
        return RejectedPreview(**_rejection(operation_id, command, would, plan))
    changed = _would_change(command, plan)[:max_listed]
    return SummaryPreview(
        **_operation(operation_id, command),
        **_found(plan),
        **_count(command, plan.change_count),
        workspaces=changed,
        workspaces_truncated=len(changed) < plan.change_count,
        tree_etag=plan.tree_etag or "",
        deprecated=would.deprecated,
    )


def settled_event(stands: Standing, failures: Sequence[Failure], cause: str | None) -> Followed:
    """Say how an operation ended, caused by its last result or by the command."""
    data = Settled(
        **_of(stands),
        **_counts(stands),
        timed_out_count=stands.timed_out_count,
        failures=tuple(failures),
        duration_ms=round((stands.at - stands.recorded_at).total_seconds() * 1000),
    )
    return _following(stands, "settled", data, cause)


def progress_event(stands: Standing, cause: str | None) -> Followed:
    """Say how far an operation has come."""
    done = stands.target_count - stands.open_count
    data = Progress(**_of(stands), **_counts(stands), open_count=stands.open_count)
    return _following(stands, "progress", data, cause, str(done))


def corrected_event(
    stands: Standing, corrections: Sequence[Correction], cause: str | None
) -> Followed:
    """Say which targets of a settled operation have an outcome after all."""
    data = Corrected(
        **_of(stands),
        **_counts(stands),
        timed_out_count=stands.timed_out_count,
        corrections=tuple(corrections),
    )
    first = min(str(one.workspace_id) for one in corrections)  # each is corrected only once
    return _following(stands, "corrected", data, cause, first)


def settled_at_once(operation: Operation) -> Followed:
    """Say that an operation which had nothing to send is over."""
    stands = Standing(
        operation_id=operation.operation_id,
        action=operation.action,
        workspace_id=operation.workspace_id,
        message_id=operation.message_id,
        correlation_id=operation.correlation_id,
        traceparent=operation.traceparent,
        cascade=operation.cascade,
        requested_by=operation.requested_by,
        reason=operation.reason,
        target_count=operation.target_count,
        open_count=0,
        succeeded_count=operation.target_count,
        failed_count=0,
        superseded_count=0,
        timed_out_count=0,
        recorded_at=operation.recorded_at,
        at=operation.recorded_at,
    )
    return settled_event(stands, (), None)


def _of(stands: Standing) -> dict[str, Any]:
    return {
        "operation_id": stands.operation_id,
        "action": stands.action,
        "workspace_id": stands.workspace_id,
        "status": OK,
        "requested_by": stands.requested_by,
        "reason": stands.reason,
        "cascade": stands.cascade,
    }


def _counts(stands: Standing) -> dict[str, Any]:
    return {
        "target_count": stands.target_count,
        "succeeded_count": stands.succeeded_count,
        "failed_count": stands.failed_count,
        "superseded_count": stands.superseded_count,
    }


def _following(
    stands: Standing, what: str, data: BaseModel, cause: str | None, mark: str | None = None
) -> Followed:
    """Write an event that follows a summary; `mark` tells it from others of its type."""
    kind = f"workspace.{stands.action}.{what}"
    derived_from = f"{kind}:{mark}" if mark else None
    body = enveloped(
        kind,
        stands.operation_id,
        data,
        subject=stands.workspace_id,
        time=stands.at,
        correlation_id=stands.correlation_id or stands.message_id,
        causation_id=cause or stands.message_id,
        traceparent=stands.traceparent,
        derived_from=derived_from,
    )
    return Followed(kind, body, derived_from)


def enveloped(  # noqa: PLR0913 (the context attributes of CloudEvents are this many)
    kind: str,
    operation_id: UUID,
    data: BaseModel,
    *,
    subject: UUID | None,
    time: datetime,
    correlation_id: str | None,
    causation_id: str | None,
    traceparent: str | None,
    derived_from: str | None = None,
) -> bytes:
    """Write an event about an operation. Equal arguments give equal bytes and the same id."""
    attributes = Attributes(
        id=str(message_id(operation_id, derived_from or kind)),
        source=SOURCE,
        type=kind,
        subject=str(subject) if subject else None,
        time=time,
        correlation_id=correlation_id,
        causation_id=causation_id,
        traceparent=traceparent,
        operation_id=str(operation_id),
        dataschema=BY_NAME[kind].dataschema,
    )
    return write(attributes, data)


def _operation(operation_id: UUID, received: Command | Problem, status: int = OK) -> dict[str, Any]:
    data = received.data if isinstance(received, Command) else None
    return {
        "operation_id": operation_id,
        "action": received.origin.action,
        "workspace_id": data.workspace_id if data else _named(received),
        "status": status,
        "requested_by": data.requested_by if data else None,
        "reason": data.reason if data else None,
        "cascade": data.cascade if data else None,
    }


def _named(received: Command | Problem) -> UUID | None:
    return received.workspace_id if isinstance(received, Problem) else received.data.workspace_id


def _count(command: Command, count: int) -> dict[str, Any]:
    return {f"{command.origin.action}d_count": count}


def _found(plan: Plan) -> dict[str, Any]:
    return {"not_restored": plan.not_restored, "cycle_at": plan.cycle_at}


def _rejection(
    operation_id: UUID, received: Command | Problem, why: Reject, plan: Plan
) -> dict[str, Any]:
    """Fill in the members of RFC 9457 and the list."""
    return {
        **_operation(operation_id, received, why.code.status),
        **_found(plan),
        "type": why.code.type,
        "title": why.code.heading,
        "detail": why.detail,
        "code": why.code,
        "descendants": plan.descendants,
        "descendant_count": plan.descendant_count,
        "descendants_truncated": len(plan.descendants) < plan.descendant_count,
        "tree_etag": plan.tree_etag,
        "ancestor": plan.paused_ancestor if why.code is Code.ANCESTOR_PAUSED else None,
    }


def _would_change(command: Command, plan: Plan) -> tuple[Changed, ...]:
    named = Changed(
        workspace_id=command.data.workspace_id, name=plan.name, previous_status=plan.status
    )
    below = (
        Changed(workspace_id=one.workspace_id, name=one.name, previous_status=one.status)
        for one in plan.descendants
    )
    return (*([named] if plan.named_changes else []), *below)
