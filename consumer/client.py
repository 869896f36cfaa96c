"""What other services call: pause, resume, wait for the outcome. Typed, over direct reply-to."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

from consumer.broker.ask import Caller
from consumer.broker.connection import Backoff, RefusedError
from consumer.broker.stream import Start, Stream
from consumer.message import Inbound, Outbound, UnavailableError
from consumer.record import Record
from schemas.catalog import AUDIT_STREAM, BY_NAME, EVENTS
from schemas.commands import PauseWorkspace, ResumeWorkspace
from schemas.envelope import Attributes, read, write
from schemas.events import (
    Corrected,
    Progress,
    Rejected,
    RejectedPreview,
    Settled,
    Summary,
    SummaryPreview,
)
from schemas.results import Stopped
from schemas.strict import canonical_json

Answer = Summary | RejectedPreview | SummaryPreview
Course = Stopped | Progress | Settled | Corrected
"""What is said of an operation after its answer; a result of either action among it."""


_LOOKED_BACK = timedelta(hours=1)


class RejectedError(Exception):
    """The command was refused and nothing changed. `event` has the code and the descendants."""

    def __init__(self, event: Rejected) -> None:
        super().__init__(f"{event.status} {event.code.value}: {event.detail}")
        self.event = event


def event_of(message: Inbound) -> Any:
    """Read the data of one of the program's messages into its model.

    Raises:
        ValueError: it is none of them.

    """
    return _event_in(message.body)


def _event_in(body: bytes) -> Any:
    attributes, data = read(body)
    kind = BY_NAME.get(attributes.type)
    if kind is None:
        raise ValueError(f"{attributes.type!r} is no message type of the contract")
    return kind.adapter.validate_json(canonical_json(data))


class LifecycleClient:
    """Asks for pauses and resumes over one connection, which is opened again when it is lost.

    `source` says who asks: it is the `app_id` that the operator's policy looks at.
    """

    def __init__(self, amqp_url: str, *, source: str = "workspace-lifecycle-client") -> None:
        self._caller = Caller(amqp_url, source)
        self._trail = Stream(amqp_url, AUDIT_STREAM)
        self._source = source

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            UnavailableError: the broker is away.

        """
        await self._caller.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._caller.__aexit__(kind, error, trace)

    async def pause(  # noqa: PLR0913 (the contract's fields)
        self,
        workspace_id: UUID,
        *,
        cascade: bool | None = None,
        dry_run: bool = False,
        if_match: str | None = None,
        max_affected: int | None = None,
        not_after: datetime | None = None,
        reason: str | None = None,
        requested_by: str | None = None,
        message_id: str | None = None,
        timeout: float = 30.0,  # noqa: ASYNC109 (its error says what to do next)
    ) -> Answer:
        """Pause a workspace; with `cascade=True` what is below it too.

        `timeout` is in seconds. Where the connection is lost meanwhile the command is sent again
        under its id: what was carried out is not carried out twice, and the answer is the same.
        After a TimeoutError you can do so too, with the same `message_id`.

        Raises:
            RejectedError: it was refused; nothing changed.
            TimeoutError: no answer came in time; it may still be carried out.
            UnroutableError: the program has never run on this vhost.
            RefusedError: the broker does not let us in any more.

        """
        command = PauseWorkspace(
            workspace_id=workspace_id,
            cascade=cascade,
            dry_run=dry_run,
            if_match=if_match,
            max_affected=max_affected,
            not_after=not_after,
            reason=reason,
            requested_by=requested_by,
        )
        return _answer(await self.ask("workspace.pause", command, message_id, timeout))

    async def resume(  # noqa: PLR0913 (the contract's fields)
        self,
        workspace_id: UUID,
        *,
        cascade: bool | None = None,
        dry_run: bool = False,
        if_match: str | None = None,
        max_affected: int | None = None,
        not_after: datetime | None = None,
        undo: UUID | None = None,
        reason: str | None = None,
        requested_by: str | None = None,
        message_id: str | None = None,
        timeout: float = 30.0,  # noqa: ASYNC109 (its error says what to do next)
    ) -> Answer:
        """Resume a workspace; with `undo`, put back what that pause changed. As `pause`."""
        command = ResumeWorkspace(
            workspace_id=workspace_id,
            cascade=cascade,
            dry_run=dry_run,
            if_match=if_match,
            max_affected=max_affected,
            not_after=not_after,
            undo=undo,
            reason=reason,
            requested_by=requested_by,
        )
        return _answer(await self.ask("workspace.resume", command, message_id, timeout))

    async def ask(
        self,
        kind: str,
        command: PauseWorkspace,
        message_id: str | None = None,
        timeout: float = 30.0,  # noqa: ASYNC109 (its error says what to do next)
    ) -> Inbound:
        """Send a command and give the answer as the broker delivered it, rejections too.

        Raises:
            TimeoutError, UnroutableError, RefusedError: as `pause`.

        """
        identity = message_id or str(uuid4())
        attributes = Attributes(
            id=identity,
            source=self._source,
            type=kind,
            subject=str(command.workspace_id),
            dataschema=BY_NAME[kind].dataschema,
        )
        message = Outbound(
            exchange=BY_NAME[kind].exchange,
            routing_key=kind,
            body=write(attributes, command),
            message_id=identity,
            type=kind,
            app_id=self._source,
            timestamp=datetime.now(UTC),
        )
        return await self._caller.ask(message, timeout)

    async def wait_settled(
        self,
        operation_id: UUID,
        *,
        since: datetime | None = None,
        timeout: float = 900.0,  # noqa: ASYNC109 (its error says what to do next)
    ) -> Settled:
        """Wait until an operation is settled, or find that it was.

        It is read in the audit trail, from `since` on (an hour ago where it is not given), over a
        connection of its own that is opened again when it is lost: the user needs the right to
        read `lifecycle.audit`. What was rejected or only previewed never settles.

        Raises:
            TimeoutError: nothing told its end so far.
            RefusedError: the user may not read the trail.

        """
        start = datetime.now(UTC) - _LOOKED_BACK if since is None else since
        lost: list[UnavailableError] = []
        try:
            async with asyncio.timeout(timeout):
                return await self._end_of(operation_id, start, lost)
        except TimeoutError:
            why = f" ({lost[-1]})" if lost else ""
            raise TimeoutError(
                f"operation {operation_id} is not settled after {timeout:g} s{why}; it goes on"
            ) from None

    async def _end_of(
        self, operation_id: UUID, start: Start, lost: list[UnavailableError]
    ) -> Settled:
        backoff = Backoff()
        while True:
            try:
                async with aclosing(self._trail.read(start)) as reading:
                    async for batch in reading:
                        for settled in filter(None, map(_settled_in, batch)):
                            if settled.operation_id == operation_id:
                                return settled
                        start = batch[-1].offset + 1
                        backoff.reset()
            except RefusedError:
                raise
            except UnavailableError as error:
                lost.append(error)
                await asyncio.sleep(backoff.next())

    @asynccontextmanager
    async def watching(self) -> AsyncIterator["Watch"]:
        """Listen to how operations go on; begin before the command whose outcome is waited for."""
        results = [kind.name for kind in BY_NAME.values() if kind.role == "result"]
        course = [f"workspace.*.{word}" for word in ("progress", "settled", "corrected")]
        async with self._caller.listen(EVENTS, *results, *course) as heard:
            yield Watch(heard)


class Watch:
    """What is heard of operations; several may be waited for at once."""

    def __init__(self, heard: AsyncIterator[Inbound]) -> None:
        self._heard = heard
        self._reading = asyncio.Lock()
        self._settled: dict[UUID, Settled] = {}
        self._followed: dict[UUID, list[deque[Course]]] = {}

    async def settled(
        self, operation_id: UUID, progress: Callable[[Stopped], None] | None = None
    ) -> Settled:
        """Wait until an operation is settled; `progress` gets each workspace's result before, once.

        There is no limit to the wait: put `asyncio.timeout` around it. A result that came while
        only other operations were waited for is not told any more.

        Raises:
            UnavailableError: the connection was lost, and it may have been settled meanwhile.

        """
        told: set[UUID] = set()
        with self.following(operation_id) as course:
            while operation_id not in self._settled:
                event = await anext(course)
                if isinstance(event, Stopped) and event.workspace_id not in told:
                    told.add(event.workspace_id)
                    if progress is not None:
                        progress(event)
        return self._settled[operation_id]

    @contextmanager
    def following(self, operation_id: UUID) -> Iterator[AsyncIterator[Course]]:
        """Follow one operation for the time of a block.

        The iterator gives each event about it, some of them twice, and never ends by itself. It
        raises UnavailableError when the connection is lost: what was said meanwhile was missed.
        """
        news: deque[Course] = deque()
        followers = self._followed.setdefault(operation_id, [])
        followers.append(news)
        try:
            yield _Following(partial(self._next, news))
        finally:
            followers[:] = [one for one in followers if one is not news]
            if not followers:
                self._followed.pop(operation_id, None)

    async def _next(self, news: deque[Course]) -> Course:
        """Read on until there is news; whoever reads hears for all who follow."""
        while not news:
            async with self._reading:
                if not news:
                    self._take(await anext(self._heard))
        return news.popleft()

    def _take(self, message: Inbound) -> None:
        event = _readable(message)
        if isinstance(event, Settled):
            self._settled[event.operation_id] = event
        if isinstance(event, Course):
            for news in self._followed.get(event.operation_id, ()):
                news.append(event)


class _Following(AsyncIterator[Course]):
    """What a watch hears of one operation."""

    def __init__(self, following: Callable[[], Awaitable[Course]]) -> None:
        self._next = following

    async def __anext__(self) -> Course:
        return await self._next()


def _settled_in(record: Record) -> Settled | None:
    """Read a settled event out of the trail; None where it is something else."""
    if record.exchange != EVENTS or not record.type.endswith(".settled"):
        return None
    try:
        event = _event_in(record.body)
    except ValueError:
        return None
    return event if isinstance(event, Settled) else None


def _readable(message: Inbound) -> Any:
    """Read an event, or give None: anybody can say anything on the events exchange."""
    try:
        return event_of(message)
    except ValueError:
        return _plain_result(message)


def _plain_result(message: Inbound) -> Any:
    """Read a result in the plain form, which an executor may use; None where it is none."""
    kind = BY_NAME.get(message.type or message.routing_key)
    if kind is None or kind.role != "result":
        return None
    try:
        return kind.adapter.validate_json(message.body)
    except ValueError:
        return None


def _answer(message: Inbound) -> Answer:
    event = event_of(message)
    if isinstance(event, Rejected) and not isinstance(event, RejectedPreview):
        raise RejectedError(event)
    assert isinstance(event, Answer)
    return event
