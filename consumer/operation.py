"""The values of one command's way down: command, plan, decision, and what was recorded."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, NewType
from uuid import UUID, uuid5

from schemas.commands import PauseWorkspace, ResumeWorkspace
from schemas.events import Action, Ancestor, Descendant, NotRestored
from schemas.problems import Code

OperationId = NewType("OperationId", UUID)
WorkspaceId = NewType("WorkspaceId", UUID)
Generation = NewType("Generation", int)

Outcome = Literal["succeeded", "failed", "superseded", "timed_out"]


def message_id(operation_id: UUID, what: str) -> UUID:
    """Derive an outgoing id: the same operation and `what` give the same id on every retry.

    `what` is an event's type, or a command's workspace id. (RFC 9562, UUID version 5.)
    """
    return uuid5(operation_id, what)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a command came from and how to tell it from any other.

    Attributes:
        message_id: the sender's id for it; None where it had none that can be used.
        key: what the inbox remembers it by: the message id, or a digest where there is none.
        digest: SHA-256 over what it means, so that another spelling is the same command.
        app_id: who sent it, as it says itself: the AMQP `app_id`, else the source.
        user_id: who sent it, as the broker verified; None where the sender did not say.

    """

    action: Action
    source: str
    message_id: str | None
    key: str
    digest: bytes
    app_id: str
    user_id: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A command that could be read."""

    origin: Origin
    data: PauseWorkspace | ResumeWorkspace

    @property
    def undo(self) -> UUID | None:
        """The earlier pause's operation to put back, if that is what is asked."""
        return self.data.undo if isinstance(self.data, ResumeWorkspace) else None


@dataclass(frozen=True, slots=True)
class Problem:
    """A command that could not be read. It goes the same way down and is answered."""

    origin: Origin
    detail: str
    workspace_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a command would meet in the tree. Bounded by `MAX_LISTED`, whatever the tree is.

    Attributes:
        exists: whether the named workspace is there and not removed.
        named_changes: whether the command would change the named workspace itself.
        descendant_count: all that would change below it, listed or not.
        tree_etag: hex SHA-256 over the sorted ids of all that would change.
        undo_known: False where `undo` names no pause of this workspace that was carried out.

    """

    exists: bool
    name: str = ""
    status: str = ""
    named_changes: bool = False
    descendants: tuple[Descendant, ...] = ()
    descendant_count: int = 0
    tree_etag: str | None = None
    paused_ancestor: Ancestor | None = None
    cycle_at: UUID | None = None
    undo_known: bool = True
    not_restored: tuple[NotRestored, ...] | None = None

    @property
    def change_count(self) -> int:
        """How many workspaces would change, the named one included where it would."""
        return self.descendant_count + self.named_changes


NO_PLAN = Plan(exists=False)
"""Of a workspace that is not there, or was not looked at."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Nothing changes; the sender is told why."""

    code: Code
    detail: str


@dataclass(frozen=True, slots=True)
class Carry:
    """Everything in the plan changes; `deprecated` marks a cascade nobody asked for in words."""

    deprecated: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """A dry run: tell what would be decided, change nothing."""

    would: Reject | Carry


Decision = Reject | Preview | Carry


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What was changed in the database, as it was found under its locks.

    Attributes:
        changed: the first of them as a JSON array of `schemas.events.Changed`. It goes into the
            answer as it is: of ten thousand nothing would be gained by reading it.

    """

    generation: Generation
    count: int
    target_count: int
    tree_etag: str
    changed: str


class Target(NamedTuple):
    """One workspace in an operation: what its stop or start command says."""

    operation_id: UUID
    workspace_id: UUID
    name: str
    instance_id: str | None
    runtime: str | None
    previous_status: str
    generation: int
    deadline: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What an executor said about one target."""

    operation_id: UUID
    workspace_id: UUID
    generation: int
    action: Action
    outcome: Outcome
    message_id: str
    code: str | None = None
    detail: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A command's outcome as a row, in the order in which the database takes them."""

    operation_id: UUID
    action: Action
    workspace_id: UUID | None
    source: str
    app_id: str
    message_id: str | None
    correlation_id: str | None
    traceparent: str | None
    cascade: bool | None
    undo: UUID | None
    requested_by: str | None
    reason: str | None
    outcome: Literal["rejected", "previewed", "carried"]
    status: int
    code: str | None
    deprecated: bool
    generation: int | None
    answer_type: str
    answer: bytes
    target_count: int
    open_count: int
    recorded_at: datetime
    deadline: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How an operation stands at a moment, for the events that follow its summary."""

    operation_id: UUID
    action: Action
    workspace_id: UUID | None
    message_id: str | None
    correlation_id: str | None
    traceparent: str | None
    cascade: bool | None
    requested_by: str | None
    reason: str | None
    target_count: int
    open_count: int
    succeeded_count: int
    failed_count: int
    superseded_count: int
    timed_out_count: int
    recorded_at: datetime
    at: datetime
