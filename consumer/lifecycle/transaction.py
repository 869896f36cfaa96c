"""The one transaction of commands that came together: seen before, planned, decided, written.

A constant number of statements, however many commands there are and however large their trees.
A command that is alone waits for what others hold. Of several, those that would have to wait and
those with large trees are left for a transaction of their own: nobody waits for what others do.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

from consumer.answers import Decided, recording
from consumer.decision import decide, opts_in
from consumer.lifecycle.case import Asked, Case, Told, decided_unseen, leaving, reply, told
from consumer.observe import say
from consumer.operation import Carry, Operation, Plan, Recorded
from consumer.policy import Policy
from consumer.store.inbox import claim, stored_answers, unclaim
from consumer.store.operations import record_operations
from consumer.store.outbox import Outgoing, put_outbox
from consumer.store.pool import Connection, StaleError
from consumer.store.targets import Change, pause_targets, resume_targets, undo_targets
from consumer.store.tree import Look, lock_tree, plan_cascades, plan_undo, try_lock_trees
from schemas.events import Action

LARGE = 500
"""Workspaces of a tree that is not changed in one transaction with others."""


class Transaction:
    """Carries commands over one connection. `alone`: there is one, which waits for its locks."""

    def __init__(
        self, connection: Connection, policy: Policy, settle_timeout: timedelta, *, alone: bool
    ) -> None:
        self._connection, self._policy, self._alone = connection, policy, alone
        self._settle_timeout = settle_timeout

    async def carry(self, asked: Sequence[Asked]) -> list[Told | None]:
        """Do everything that is committed together. None: left for a transaction of its own.

        No two commands have one source and key, and none names what stands above another's.

        Raises:
            StaleError: what was planned is no longer what is there; roll back.

        """
        cases = await self._claimed(asked)
        await self._look([case for case in cases if case.told is None and case.decision is None])
        if left := [case for case in cases if case.left]:
            await unclaim(self._connection, [case.received.origin for case in left])
        decided = [case for case in cases if case.decision is not None]
        await self._change([case for case in decided if isinstance(case.decision, Carry)])
        await self._record(decided)
        return [case.told for case in cases]

    async def _claimed(self, asked: Sequence[Asked]) -> list[Case]:
        """Tell new commands from known ones, and decide what needs no look at the tree."""
        ids = [uuid4() for _ in asked]
        origins = [one.received.origin for one in asked]
        claims = await claim(self._connection, [*zip(origins, ids, strict=True)])
        say("command.claimed", count=len(asked))
        cases = [
            Case(one, operation_id, claim.at)
            for one, operation_id, claim in zip(asked, ids, claims, strict=True)
        ]
        fresh = [claim.fresh for claim in claims]
        await self._repeat([case for case, new in zip(cases, fresh, strict=True) if not new])
        for case, new in zip(cases, fresh, strict=True):
            if case.told is None:
                case.decision = decided_unseen(case, self._policy, fresh=new)
        return cases

    async def _repeat(self, known: Sequence[Case]) -> None:
        """Give the stored answer to what is the same command, to the last byte of its meaning."""
        if not known:
            return
        replies: list[Outgoing] = []
        origins = [case.received.origin for case in known]
        for case, stored in zip(
            known, await stored_answers(self._connection, origins), strict=True
        ):
            if stored.digest == case.received.origin.digest:
                operation_id, kind = stored.operation_id, stored.answer_type
                replies += reply(case.received, operation_id, kind, self._policy)
                case.told = Told("answer.repeated", operation_id, kind)
        if replies:
            await put_outbox(self._connection, replies)

    async def _look(self, cases: Sequence[Case]) -> None:
        """Lock the trees, plan, and decide; leave what would hold up the others."""
        await self._lock([case for case in cases if not case.command.data.dry_run])
        await self._plan([case for case in cases if not case.left])
        planned = [case for case in cases if not case.left]
        for case in planned:
            case.decision = decide(case.command, case.plan, self._policy)
        if cases:
            say("command.planned", count=len(planned))
        if unlisted := [case for case in planned if self._lacks_its_list(case)]:
            await self._plan(unlisted, whole=True)
            for case in unlisted:
                case.decision = decide(case.command, case.plan, self._policy)

    async def _lock(self, cases: Sequence[Case]) -> None:
        if self._alone:
            for case in cases:
                await lock_tree(self._connection, case.named)
        elif cases:
            locked = await try_lock_trees(self._connection, [case.named for case in cases])
            for case, mine in zip(cases, locked, strict=True):
                case.left = not mine

    async def _plan(self, cases: Sequence[Case], *, whole: bool = False) -> None:
        """Plan; a descendants' list is read only where it will be told, or where it is `whole`."""
        plain = [case for case in cases if case.command.undo is None]
        if plain:
            looks = [self._look_at(case, whole=whole) for case in plain]
            most = None if self._alone else LARGE
            for case, plan in zip(
                plain, await plan_cascades(self._connection, looks, most), strict=True
            ):
                self._found(case, plan)
        for case in cases:
            if case.command.undo is not None:
                self._found(case, await self._undo_plan(case))

    def _found(self, case: Case, plan: Plan | None) -> None:
        if plan is None:
            case.left = True
        else:
            case.plan = plan

    async def _undo_plan(self, case: Case) -> Plan | None:
        undo = case.command.undo
        if not self._alone or undo is None:
            return None
        return await plan_undo(self._connection, case.named, undo, self._policy.max_listed)

    def _look_at(self, case: Case, *, whole: bool) -> Look:
        action, listed = case.command.origin.action, self._policy.max_listed
        return Look(case.named, action, listed if whole or self._tells_its_list(case) else 0)

    def _tells_its_list(self, case: Case) -> bool:
        return case.command.data.dry_run or not opts_in(case.command, self._policy)

    def _lacks_its_list(self, case: Case) -> bool:
        """Tell whether a command was refused that was expected to be carried out."""
        refused = not isinstance(case.decision, Carry)
        return refused and case.command.undo is None and not self._tells_its_list(case)

    async def _change(self, cases: Sequence[Case]) -> None:
        """Carry out what was decided; what is found under the locks must be what was planned."""
        for action in ("pause", "resume"):
            mine = [case for case in cases if case.command.origin.action == action]
            plain = [case for case in mine if case.command.undo is None]
            for case, recorded in zip(plain, await self._changed(action, plain), strict=True):
                case.recorded = recorded
        for case in cases:
            if case.command.undo is not None:
                case.recorded = await self._undone(case)
            if case.recorded is None or case.recorded.tree_etag != case.plan.tree_etag:
                raise StaleError(f"the tree of {case.named} changed")
        if cases:
            say("command.changed", count=len(cases))

    async def _changed(self, action: Action, cases: Sequence[Case]) -> Sequence[Recorded]:
        if not cases:
            return []
        change = pause_targets if action == "pause" else resume_targets
        changes = [Change(case.named, case.operation_id) for case in cases]
        return await change(self._connection, changes, self._policy.max_listed)

    async def _undone(self, case: Case) -> Recorded:
        assert case.command.undo is not None
        return await undo_targets(
            self._connection,
            case.named,
            case.operation_id,
            self._policy.max_listed,
            case.command.undo,
        )

    async def _record(self, cases: Sequence[Case]) -> None:
        """Write operations, their answers and everything that leaves."""
        if not cases:
            return
        operations = [self._operation(case) for case in cases]
        await record_operations(self._connection, operations)
        outgoing: list[Outgoing] = []
        for case, operation in zip(cases, operations, strict=True):
            outgoing += leaving(case.received, operation, self._policy)
            case.told = told(operation)
        await put_outbox(self._connection, outgoing)
        say("command.written", count=len(cases))

    def _operation(self, case: Case) -> Operation:
        assert case.decision is not None
        decided = Decided(
            case.operation_id, case.received, case.decision, case.plan, case.recorded, case.at
        )
        return recording(decided, self._policy.max_listed, self._settle_timeout)
