"""Results and deadlines become outcomes; the last outcome of an operation settles it."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from consumer.answers import Followed, corrected_event, progress_event, settled_event
from consumer.gather import Gather
from consumer.intake import read_result
from consumer.message import Inbound, UnavailableError, UnreadableError
from consumer.observe import bound, say
from consumer.operation import Result, Standing
from consumer.policy import Policy, refusal_text
from consumer.spans import processing
from consumer.store.operations import next_deadline, standing
from consumer.store.outbox import Outgoing, put_outbox
from consumer.store.pool import Connection, Database
from consumer.store.targets import News, expire_targets, failures, settle_targets

_RESULTS_AT_ONCE = 500
_NEWS_AT_ONCE = 500
_LONG = 100_000
_LONGEST_PAUSE = 15.0


class Settlement:
    """The stage that takes results in, many in one transaction."""

    def __init__(self, database: Database, policy: Policy, *, max_body: int) -> None:
        self._database = database
        self._policy = policy
        self._max_body = max_body
        self._settle = Gather(self._settle_together, _RESULTS_AT_ONCE)

    async def handle(self, inbound: Inbound) -> None:
        """Take one result in. Twice, late, or of an unknown operation, it changes nothing.

        Raises:
            UnreadableError: it is no result, or from somebody who may send none.
            UnavailableError: the database cannot serve now; nothing happened.

        """
        if rule := self._policy.refuses_result(inbound.user_id):
            say("result.refused", rule=rule, user_id=inbound.user_id, app_id=inbound.app_id)
            raise UnreadableError(refusal_text(rule, "send results", inbound.user_id))
        result = read_result(inbound, self._max_body)
        with (
            bound(operation_id=str(result.operation_id), workspace_id=str(result.workspace_id)),
            processing(inbound, result.traceparent),
        ):
            await self._settle(result)
            say("result.taken", outcome=result.outcome, code=result.code)

    async def _settle_together(self, results: Sequence[Result]) -> Sequence[None]:
        told = await self._database.run(partial(self._once, results))
        _tell(told)
        return [None] * len(results)

    async def _once(self, results: Sequence[Result], connection: Connection) -> list[News]:
        news = await settle_targets(connection, results)
        await put_news(connection, news, self._policy.max_listed)
        say("results.written", count=len(results))
        return news


class Deadlines:
    """A service that times out what has had no outcome by its operation's deadline.

    It sleeps until the next deadline there is, and at most for `settle_timeout` seconds: whatever
    is recorded meanwhile cannot be due before it looks again.
    """

    def __init__(self, database: Database, *, settle_timeout: float, max_listed: int) -> None:
        self._database = database
        self._settle_timeout = settle_timeout
        self._max_listed = max_listed

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Expire what is due, until `stop`."""
        ready()
        stopping = asyncio.create_task(stop.wait())
        failed = 0
        while not stop.is_set():
            try:
                seconds = await self._database.run(self._next)
                failed = 0
            except UnavailableError as error:
                failed += 1
                seconds = min(0.1 * 2**failed, _LONGEST_PAUSE)
                say("deadlines.paused", why=str(error), again_in=seconds)
            await asyncio.wait([stopping], timeout=seconds)

    async def _next(self, connection: Connection) -> float:
        """Expire what is due and tell for how many seconds nothing else can be."""
        expired = await expire_targets(connection)
        await put_news(connection, expired, self._max_listed)
        _tell(expired)
        if timed_out := sum(one.outcome_count for one in expired):
            say("targets.timed_out", count=timed_out)
        seconds = await next_deadline(connection)
        return self._settle_timeout if seconds is None else min(seconds, self._settle_timeout)


async def put_news(connection: Connection, news: Sequence[News], max_listed: int) -> None:
    """Put what is to be said of each operation into the outbox: progress, corrections, its end."""
    telling = [one for one in news if one.settled or one.progressed or one.corrections]
    for start in range(0, len(telling), _NEWS_AT_ONCE):
        few = telling[start : start + _NEWS_AT_ONCE]
        stands = await standing(connection, [one.operation_id for one in few])
        outgoing: list[Outgoing] = []
        for one in few:
            event = await _event(connection, one, stands[one.operation_id], max_listed)
            outgoing.append(_outgoing(one, event))
            if len(event.body) > _LONG:  # a thousand such would be too much to hold at once
                await put_outbox(connection, outgoing)
                outgoing = []
        if outgoing:
            await put_outbox(connection, outgoing)


async def _event(connection: Connection, news: News, stands: Standing, max_listed: int) -> Followed:
    """Write the one event that a batch of results led to for an operation."""
    cause = news.last_result
    if news.corrections:
        return corrected_event(stands, news.corrections, cause)
    if news.progressed:
        return progress_event(stands, cause)
    failed = stands.failed_count and await failures(connection, news.operation_id, max_listed)
    return settled_event(stands, failed or (), cause)


def _outgoing(news: News, event: Followed) -> Outgoing:
    return Outgoing(
        operation_id=news.operation_id,
        kind="event",
        type=event.type,
        body=event.body,
        derived_from=event.derived_from,
    )


def _tell(news: Sequence[News]) -> None:
    for one in news:
        operation = str(one.operation_id)
        if one.settled:
            say("operation.settled", operation_id=operation, action=one.action, seconds=one.seconds)
        if one.corrections:
            say("operation.corrected", operation_id=operation, count=len(one.corrections))
        if one.compensated_count:
            say("workspaces.compensated", count=one.compensated_count)
