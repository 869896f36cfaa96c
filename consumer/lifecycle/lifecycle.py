"""Commands in hand: kept in their order, put together, carried into the database, told."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from consumer.gather import Gather, Turns
from consumer.intake import read_command
from consumer.lifecycle.case import Asked, Told, now
from consumer.lifecycle.transaction import Transaction
from consumer.message import Inbound
from consumer.observe import bound, say
from consumer.operation import Command, Problem
from consumer.policy import Policy
from consumer.rates import Rates, Ticket
from consumer.spans import processing
from consumer.store.pool import Connection, Database, StaleError
from consumer.store.tree import lineage

_LINEAGES_AT_ONCE = 256
_AT_ONCE = 64


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
        self._together = Gather(self._carry_together, _AT_ONCE)

    async def handle(self, inbound: Inbound) -> None:
        """Carry one command through. When this returns, its outcome is committed.

        Raises:
            UnreadableError: it is not known what was meant, so nobody can be answered.
            UnavailableError: the database cannot serve now; nothing happened.

        """
        received = read_command(inbound, self._max_body)
        ticket = self._rates.ticket(received.origin.user_id, now())
        with processing(inbound, received.origin.traceparent) as span:
            await self._handle(_within(received, span.traceparent), ticket)

    async def _handle(self, received: Command | Problem, ticket: Ticket) -> None:
        if isinstance(received, Problem):
            await self._carry(Asked(received, None, ticket))
            return
        named = received.data.workspace_id
        with bound(workspace_id=str(named)):
            if not ticket.look(now()):
                # Whatever it would do, it waits for nobody, and nobody for it.
                await self._carry(Asked(received, None, ticket))
                return
            path = await self._lineage(named)
            async with self._turns.take(named, path):
                await self._carry(Asked(received, path, ticket))

    async def _carry(self, asked: Asked) -> None:
        try:
            _tell(asked.received, await self._carried(asked))
        except BaseException:
            asked.ticket.give_back()
            raise

    async def _carried(self, asked: Asked) -> Told:
        """Carry a command out with others, or alone where that would hold them up."""
        try:
            told = await self._together(asked)
        except StaleError:
            told = None
        return told or await self._carry_alone(asked)

    async def _carry_together(self, several: Sequence[Asked]) -> Sequence[Told | None]:
        """Carry commands out in one transaction; of those that have one id, the first alone."""
        keys = [(one.received.origin.source, one.received.origin.key) for one in several]
        first = [key not in keys[:place] for place, key in enumerate(keys)]
        chosen = [one for one, is_first in zip(several, first, strict=True) if is_first]

        async def work(connection: Connection) -> Sequence[Told | None]:
            return await self._transaction(connection, alone=False).carry(chosen)

        told = iter(await self._database.run_briefly(work))
        return [next(told) if is_first else None for is_first in first]

    async def _carry_alone(self, asked: Asked) -> Told:
        async def work(connection: Connection) -> Told:
            (told,) = await self._transaction(connection, alone=True).carry([asked])
            assert told is not None
            return told

        return await self._database.run(work)

    def _transaction(self, connection: Connection, *, alone: bool) -> Transaction:
        return Transaction(connection, self._policy, self._settle_timeout, alone=alone)

    async def _lineages(self, workspace_ids: Sequence[UUID]) -> Sequence[frozenset[UUID]]:
        async with self._database.connection() as connection:
            found: Mapping[UUID, frozenset[UUID]] = await lineage(
                connection, sorted(set(workspace_ids))
            )
        return [found.get(one, frozenset({one})) for one in workspace_ids]


def _within(received: Command | Problem, traceparent: str | None) -> Command | Problem:
    """Have what follows from a command carry the trace of its handling, where that is traced."""
    if traceparent == received.origin.traceparent:
        return received
    return replace(received, origin=replace(received.origin, traceparent=traceparent))


def _tell(received: Command | Problem, told: Told) -> None:
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
