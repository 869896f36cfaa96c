"""The way out: outbox rows become messages, are published, confirmed, and forgotten."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from consumer.message import Outbound, UnavailableError
from consumer.observe import say
from consumer.operation import Target, message_id
from consumer.orders import Orders
from consumer.policy import is_direct
from consumer.store.outbox import Taken, confirm_outbox, leave_relay, take_outbox, try_relay
from consumer.store.pool import Connection, Database
from schemas.catalog import BY_NAME, IMPLICIT_CASCADE_HEADER, OPERATION_HEADER

Publish = Callable[
    [Sequence[Outbound]], Awaitable[Sequence[Literal["confirmed", "returned", "failed"]]]
]

_ANSWERS = (".rejected", ".summary", ".previewed")
_CHUNK = 1000
_CHUNK_BYTES = 8_000_000
_SWEEP = 30.0
_REPLY_ATTEMPTS = 3
_LONGEST_PAUSE = 15.0


@dataclass(slots=True)
class _Verdict:
    """What is to be noted of a chunk that was published."""

    done: list[int] = field(default_factory=list)
    partly: tuple[int, UUID] | None = None
    failed: list[int] = field(default_factory=list)
    broken: str | None = None


class Relay:
    """Empties the outbox, one relay at a time, in the order in which things were decided.

    `wake` is set by the database when the outbox grew; a slow sweep stands behind it for a wake
    that was lost with the process that got it.
    """

    def __init__(
        self, database: Database, publish: Publish, wake: asyncio.Event, sweep: float = _SWEEP
    ) -> None:
        self._database = database
        self._publish = publish
        self._wake = wake
        self._sweep = sweep

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Publish until `stop`, then once more what is there by then."""
        ready()
        stopping = asyncio.create_task(stop.wait())
        pause = 0.1
        while not stop.is_set():
            self._wake.clear()
            try:
                await self._drain()
                pause = 0.1
                await self._sleep(stopping)
            except UnavailableError as error:
                say("relay.paused", why=str(error), again_in=pause)
                await asyncio.wait([stopping], timeout=pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
        with suppress(UnavailableError):
            await self._drain()

    async def _sleep(self, stopping: asyncio.Task[bool]) -> None:
        woken = asyncio.create_task(self._wake.wait())
        await asyncio.wait(
            [woken, stopping], timeout=self._sweep, return_when=asyncio.FIRST_COMPLETED
        )
        woken.cancel()

    async def _drain(self) -> None:
        """Publish until nothing is left, unless another process is at it."""
        async with self._database.connection() as connection:
            if not await try_relay(connection):
                return
            while await self._step(connection):
                pass
            await leave_relay(connection)

    async def _step(self, connection: Connection) -> bool:
        """Publish one chunk and note what was confirmed. False: there was nothing."""
        taken = await take_outbox(connection, _CHUNK, _CHUNK_BYTES)
        if not taken:
            return False
        compose = _Composer().outbound
        sent = [(one, message) for one in taken if (message := compose(one)) is not None]
        say("outbox.taken", count=len(sent))
        receipts = await self._publish([message for _, message in sent]) if sent else []
        verdict = _judge(taken, dict(zip((id(one) for one, _ in sent), receipts, strict=True)))
        say("outbox.published", count=len(sent))
        await confirm_outbox(connection, verdict.done, verdict.partly, verdict.failed)
        say("outbox.confirmed", count=len(verdict.done), broken=verdict.broken)
        if verdict.broken:
            raise UnavailableError(verdict.broken)
        return True


class _Composer:
    """Makes messages of outbox rows. What the rows of one fan-out share is made once."""

    def __init__(self) -> None:
        self._seq: int | None = None
        self._orders: Orders | None = None
        self._headers: Mapping[str, Any] = {}

    def outbound(self, taken: Taken) -> Outbound | None:
        """Make the message of a row; None for a fan-out that has nothing left to send."""
        if taken.kind == "fanout":
            return self._order(taken, taken.target) if taken.target else None
        return _told(taken)

    def _order(self, taken: Taken, target: Target) -> Outbound:
        if self._orders is None or taken.seq != self._seq:
            self._seq, self._headers, self._orders = taken.seq, _headers(taken), _orders(taken)
        identity, body = self._orders.write(target)
        return Outbound(
            exchange=BY_NAME[taken.type].exchange,
            routing_key=taken.type,
            body=body,
            message_id=identity,
            type=taken.type,
            correlation_id=taken.origin_id,
            timestamp=taken.recorded_at,
            headers=self._headers,
        )


def _told(taken: Taken) -> Outbound:
    """Make an event or a reply."""
    assert taken.body is not None
    return Outbound(
        exchange="" if taken.kind == "reply" else BY_NAME[taken.type].exchange,
        routing_key=taken.reply_to or "" if taken.kind == "reply" else taken.type,
        body=taken.body,
        message_id=str(message_id(taken.operation_id, taken.derived_from or taken.type)),
        type=taken.type,
        correlation_id=taken.correlation_id if taken.kind == "reply" else taken.origin_id,
        timestamp=taken.recorded_at,
        headers=_headers(taken),
        mandatory=not is_direct(taken.reply_to),
    )


def _orders(taken: Taken) -> Orders:
    return Orders(
        taken.type,
        taken.operation_id,
        time=taken.recorded_at,
        correlation_id=taken.origin_id,
        causation_id=taken.causation_id,
        traceparent=taken.traceparent,
    )


def _headers(taken: Taken) -> Mapping[str, Any]:
    headers = {OPERATION_HEADER: str(taken.operation_id)}
    if taken.traceparent:
        headers["traceparent"] = taken.traceparent
    if taken.deprecated and taken.type.endswith(_ANSWERS):
        headers[IMPLICIT_CASCADE_HEADER] = "deprecated"
    return headers


def _judge(taken: Sequence[Taken], receipts: Mapping[int, str]) -> _Verdict:
    """Tell what may be forgotten: everything up to the first message that is not confirmed.

    A reply that cannot be delivered holds nobody up: the caller is gone, or never had the queue.
    """
    verdict = _Verdict()
    for one in taken:
        receipt = receipts.get(id(one), "confirmed")
        if one.kind == "reply":
            _judge_reply(one, receipt, verdict)
        elif receipt != "confirmed":
            verdict.failed.append(one.seq)
            verdict.broken = f"{one.type} of operation {one.operation_id} was {receipt}"
            return verdict
        elif one.target is not None:
            _pass(verdict, one)
        else:
            verdict.done.append(one.seq)
    if verdict.partly is not None and (len(taken) < _CHUNK or verdict.partly[0] != taken[-1].seq):
        verdict.done.append(verdict.partly[0])
        verdict.partly = None
    return verdict


def _pass(verdict: _Verdict, one: Taken) -> None:
    """Note a confirmed command: a fan-out is over where the next thing taken is not its own."""
    assert one.target is not None
    if verdict.partly is not None and verdict.partly[0] != one.seq:
        verdict.done.append(verdict.partly[0])
    verdict.partly = (one.seq, one.target.workspace_id)


def _judge_reply(one: Taken, receipt: str, verdict: _Verdict) -> None:
    if receipt == "failed" and one.attempts + 1 < _REPLY_ATTEMPTS:
        verdict.failed.append(one.seq)
        return
    if receipt != "confirmed":
        say(
            "reply.dropped",
            reply_to=one.reply_to,
            operation_id=str(one.operation_id),
            why="nobody has that queue" if receipt == "returned" else "the broker refused it",
        )
    verdict.done.append(one.seq)
