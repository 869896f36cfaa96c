"""One command on its way through a transaction, and what is said of it afterwards."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from consumer.answers import settled_at_once
from consumer.decision import as_asked, over_rate, refuse_unseen
from consumer.observe import say
from consumer.operation import (
    NO_PLAN,
    Command,
    Decision,
    Operation,
    Plan,
    Problem,
    Recorded,
    Reject,
)
from consumer.policy import Policy
from consumer.rates import Ticket
from consumer.store.outbox import Outgoing
from schemas.problems import Code


@dataclass(frozen=True, slots=True)
class Asked:
    """A command in hand.

    Attributes:
        path: the named workspace and all above it; None where the tree need not be looked at.

    """

    received: Command | Problem
    path: frozenset[UUID] | None
    ticket: Ticket


@dataclass(frozen=True, slots=True)
class Told:
    """What a transaction came to for one command, said once it has committed."""

    fact: Literal["operation.recorded", "answer.repeated"]
    operation_id: UUID
    answer_type: str
    status: int | None = None
    code: str | None = None
    count: int = 0
    deprecated: bool = False


@dataclass(slots=True)
class Case:
    """What is known of a command so far, in one try of its transaction.

    Attributes:
        at: the database's time in this transaction.
        decision: what is to be done; None as long as the tree has to be looked at first.
        told: what came of it; None where it was left for a transaction of its own.

    """

    asked: Asked
    operation_id: UUID
    at: datetime
    decision: Decision | None = None
    plan: Plan = NO_PLAN
    recorded: Recorded | None = None
    told: Told | None = None
    left: bool = False

    @property
    def received(self) -> Command | Problem:
        """The command, readable or not."""
        return self.asked.received

    @property
    def command(self) -> Command:
        """The command, where it is known to be readable."""
        assert isinstance(self.asked.received, Command)
        return self.asked.received

    @property
    def named(self) -> UUID:
        """The named workspace."""
        return self.command.data.workspace_id


def decided_unseen(case: Case, policy: Policy, *, fresh: bool) -> Decision | None:
    """Refuse what can be refused without a look at the tree.

    A command that is not `fresh` has the id of another one.
    """
    received = case.received
    if isinstance(received, Problem):
        return Reject(Code.INVALID_COMMAND, received.detail)
    if not fresh:
        return _id_reused(received)
    refused = refuse_unseen(received, policy, case.at, case.asked.path) or _too_fast(case.asked)
    return None if refused is None else as_asked(received, refused)


def _too_fast(asked: Asked) -> Reject | None:
    """Refuse what is over its sender's rate; what is refused anyhow costs no token."""
    ticket = asked.ticket
    if ticket.take(now()):
        return None
    assert ticket.refused_for is not None
    assert isinstance(asked.received, Command)
    return over_rate(asked.received, ticket.rule, ticket.rate, ticket.refused_for)


def _id_reused(received: Command) -> Reject:
    return Reject(
        Code.ID_REUSED,
        f"the id {received.origin.message_id!r} of {received.origin.source!r} was used before "
        "with another body: send a new command under a new id",
    )


def now() -> float:
    """Give the time by which rates go."""
    return asyncio.get_running_loop().time()


def told(operation: Operation) -> Told:
    """Say what was recorded."""
    return Told(
        "operation.recorded",
        operation.operation_id,
        operation.answer_type,
        operation.status,
        operation.code,
        operation.target_count,
        operation.deprecated,
    )


def leaving(received: Command | Problem, operation: Operation, policy: Policy) -> list[Outgoing]:
    """List what leaves for a command: its event, its reply, and what follows a summary."""
    operation_id, kind = operation.operation_id, operation.answer_type
    return [
        Outgoing(operation_id=operation_id, kind="event", type=kind),
        *reply(received, operation_id, kind, policy),
        *_following(operation),
    ]


def reply(
    received: Command | Problem, operation_id: UUID, kind: str, policy: Policy
) -> Sequence[Outgoing]:
    """Answer a request/response caller, where its reply queue is one we may write to."""
    origin = received.origin
    if origin.reply_to is None:
        return []
    if not policy.answers(origin.reply_to):
        say("reply.refused", reply_to=origin.reply_to, app_id=origin.app_id)
        return []
    return [
        Outgoing(
            operation_id=operation_id,
            kind="reply",
            type=kind,
            reply_to=origin.reply_to,
            correlation_id=origin.correlation_id or origin.message_id,
        )
    ]


def _following(operation: Operation) -> list[Outgoing]:
    """List what a carried command sends after its summary: commands, or at once its settlement."""
    if operation.outcome != "carried":
        return []
    operation_id = operation.operation_id
    if operation.open_count:
        verb = "stop" if operation.action == "pause" else "start"
        return [Outgoing(operation_id=operation_id, kind="fanout", type=f"workspace.{verb}")]
    settled = settled_at_once(operation)
    return [Outgoing(operation_id=operation_id, kind="event", type=settled.type, body=settled.body)]
