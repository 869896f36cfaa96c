"""A command's one transaction: seen before? what is there? what to do? written down."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Literal
from uuid import UUID, uuid4

from consumer.answers import NO_PLAN, Decided, recording, settled_at_once
from consumer.decision import as_asked, decide, over_rate, refuse_unseen
from consumer.gather import Gather, Turns
from consumer.intake import read_command
from consumer.message import Inbound
from consumer.observe import bound, say
from consumer.operation import (
    Carry,
    Command,
    Decision,
    Operation,
    Plan,
    Problem,
    Recorded,
    Reject,
)
from consumer.policy import Policy
from consumer.rates import Rates, Ticket
from consumer.store.inbox import claim, stored_answer
from consumer.store.operations import record_operation
from consumer.store.outbox import Outgoing, put_outbox
from consumer.store.pool import Connection, Database, StaleError
from consumer.store.targets import pause_targets, resume_targets, undo_targets
from consumer.store.tree import lineage, lock_tree, plan_cascade, plan_undo
from schemas.problems import Code

_LINEAGES_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class _Told:
    """What the transaction came to, said once it has committed."""

    fact: Literal["operation.recorded", "answer.repeated"]
    operation_id: UUID
    answer_type: str
    status: int | None = None
    code: str | None = None
    count: int = 0
    deprecated: bool = False


class Lifecycle:
    """The stage that carries commands into the database."""

    def __init__(
        self, database: Database, policy: Policy, *, max_body: int, settle_timeout: float
    ) -> None:
        self._database = database
        self._policy = policy
        self._max_body = max_body
        self._settle_timeout = timedelta(seconds=settle_timeout)
        self._turns = Turns()
        self._rates = Rates(policy)
        self._lineage = Gather(self._lineages, _LINEAGES_AT_ONCE)

    async def handle(self, inbound: Inbound) -> None:
        """Carry one command through. When this returns, its outcome is committed.

        Raises:
            UnreadableError: it is not known what was meant, so nobody can be answered.
            UnavailableError: the database cannot serve now; nothing happened.

        """
        received = read_command(inbound, self._max_body)
        ticket = self._rates.ticket(received.origin.user_id, _now())
        if isinstance(received, Problem):
            await self._transact(received, None, ticket)
            return
        named = received.data.workspace_id
        with bound(workspace_id=str(named)):
            if not ticket.look(_now()):
                # Whatever it would do, it waits for nobody, and nobody for it.
                await self._transact(received, None, ticket)
                return
            path = await self._lineage(named)
            async with self._turns.take(named, path):
                await self._transact(received, path, ticket)

    async def _transact(
        self, received: Command | Problem, path: frozenset[UUID] | None, ticket: Ticket
    ) -> None:
        try:
            told = await self._database.run(partial(self._once, received, path, ticket))
        except BaseException:
            ticket.give_back()
            raise
        say(
            told.fact,
            operation_id=str(told.operation_id),
            app_id=received.origin.app_id,
            type=told.answer_type,
            status=told.status,
            code=told.code,
            count=told.count,
            deprecated=told.deprecated,
        )

    async def _once(
        self,
        received: Command | Problem,
        path: frozenset[UUID] | None,
        ticket: Ticket,
        connection: Connection,
    ) -> _Told:
        """Do everything that is committed together."""
        operation_id = uuid4()
        claimed = await claim(connection, received.origin, operation_id)
        say("command.claimed")
        refused = self._unseen(received, path, claimed.at)
        if not claimed.fresh:
            stored = await stored_answer(connection, received.origin)
            if stored.digest == received.origin.digest:
                if reply := self._reply(received, stored.answer_type):
                    await put_outbox(connection, stored.operation_id, reply)
                return _Told("answer.repeated", stored.operation_id, stored.answer_type)
            refused = _id_reused(received) or refused
        else:
            refused = refused or _too_fast(received, ticket)
        return await self._fresh(connection, received, operation_id, claimed.at, refused)

    async def _fresh(
        self,
        connection: Connection,
        received: Command | Problem,
        operation_id: UUID,
        now: datetime,
        refused: Reject | None,
    ) -> _Told:
        """Decide a command that was not seen before, carry it out, and write its answer."""
        plan, recorded = NO_PLAN, None
        decision: Decision
        if isinstance(received, Problem):
            decision = Reject(Code.INVALID_COMMAND, received.detail)
        elif refused is not None:
            reused = refused.code is Code.ID_REUSED
            decision = refused if reused else as_asked(received, refused)
        else:
            plan = await self._plan(connection, received)
            say("command.planned")
            decision = decide(received, plan, self._policy)
            if isinstance(decision, Carry):
                recorded = await self._change(connection, received, operation_id)
                if recorded.tree_etag != plan.tree_etag:
                    raise StaleError(f"the tree of {received.data.workspace_id} changed")
                say("command.changed")
        return await self._record(
            connection, Decided(operation_id, received, decision, plan, recorded, now)
        )

    def _unseen(
        self, received: Command | Problem, path: frozenset[UUID] | None, now: datetime
    ) -> Reject | None:
        if isinstance(received, Problem):
            return None
        return refuse_unseen(received, self._policy, now, path)

    async def _plan(self, connection: Connection, command: Command) -> Plan:
        named, listed = command.data.workspace_id, self._policy.max_listed
        if not command.data.dry_run:
            await lock_tree(connection, named)
        if command.undo is not None:
            return await plan_undo(connection, named, command.undo, listed)
        return await plan_cascade(connection, named, command.origin.action, listed)

    async def _change(
        self, connection: Connection, command: Command, operation_id: UUID
    ) -> Recorded:
        named, listed = command.data.workspace_id, self._policy.max_listed
        if command.undo is not None:
            return await undo_targets(connection, named, operation_id, listed, command.undo)
        change = pause_targets if command.origin.action == "pause" else resume_targets
        return await change(connection, named, operation_id, listed)

    async def _record(self, connection: Connection, decided: Decided) -> _Told:
        """Write the operation, its answer and everything that leaves."""
        operation = recording(decided, self._policy.max_listed, self._settle_timeout)
        await record_operation(connection, operation)
        outgoing = [
            Outgoing(kind="event", type=operation.answer_type),
            *self._reply(decided.received, operation.answer_type),
            *_following(operation),
        ]
        await put_outbox(connection, operation.operation_id, outgoing)
        say("command.written")
        return _Told(
            "operation.recorded",
            operation.operation_id,
            operation.answer_type,
            operation.status,
            operation.code,
            operation.target_count,
            operation.deprecated,
        )

    def _reply(self, received: Command | Problem, kind: str) -> Sequence[Outgoing]:
        """Answer a request/response caller, where its reply queue is one we may write to."""
        origin = received.origin
        if origin.reply_to is None:
            return []
        if not self._policy.answers(origin.reply_to):
            say("reply.refused", reply_to=origin.reply_to, app_id=origin.app_id)
            return []
        correlation_id = origin.correlation_id or origin.message_id
        return [
            Outgoing(
                kind="reply", type=kind, reply_to=origin.reply_to, correlation_id=correlation_id
            )
        ]

    async def _lineages(self, workspace_ids: Sequence[UUID]) -> Sequence[frozenset[UUID]]:
        async with self._database.connection() as connection:
            found: Mapping[UUID, frozenset[UUID]] = await lineage(
                connection, sorted(set(workspace_ids))
            )
        return [found.get(one, frozenset({one})) for one in workspace_ids]


def _too_fast(received: Command | Problem, ticket: Ticket) -> Reject | None:
    """Refuse what is over its sender's rate; what is refused anyhow costs no token."""
    if isinstance(received, Problem) or ticket.take(_now()):
        return None
    assert ticket.refused_for is not None
    return over_rate(received, ticket.rule, ticket.rate, ticket.refused_for)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _id_reused(received: Command | Problem) -> Reject | None:
    """Refuse a known id with another body; a body that cannot be read is refused for that."""
    if isinstance(received, Problem):
        return None
    return Reject(
        Code.ID_REUSED,
        f"the id {received.origin.message_id!r} of {received.origin.source!r} was used before "
        "with another body: send a new command under a new id",
    )


def _following(operation: Operation) -> list[Outgoing]:
    """List what a carried command sends after its summary: commands, or at once its settlement."""
    if operation.outcome != "carried":
        return []
    if operation.open_count:
        verb = "stop" if operation.action == "pause" else "start"
        return [Outgoing(kind="fanout", type=f"workspace.{verb}")]
    settled = settled_at_once(operation)
    return [Outgoing(kind="event", type=settled.type, body=settled.body)]
