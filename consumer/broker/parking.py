"""Puts what could not be handled into the dead-letter queue, with why."""

import asyncio
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from aio_pika.abc import AbstractChannel
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from consumer.broker.connection import Link, frame_max_of, open_link, translating
from consumer.broker.outlet import CONFIRM
from consumer.broker.topology import TopologyError, declare_on
from consumer.broker.translate import DELIVERY_COUNT, UnwritableError, rewritten
from consumer.message import UnavailableError, UnreadableError
from schemas.catalog import DEAD_LETTER
from schemas.strict import rfc3339
from schemas.topology import QUEUES, Queue

LONGEST_REASON = 2000
SENDER = "x-original-user-id"
_LEFT_OUT = frozenset({DELIVERY_COUNT, "x-acquired-count", "CC", "BCC", SENDER})
"""The broker's own counts, of which 4.3 has two; what would make copies; what only we may say."""


class UnparkableError(Exception):
    """The properties cannot be written again: the broker has to dead-letter it itself."""


class Parking:
    """Publishes to the dead-letter exchange over a connection opened when first needed.

    Not over the consumer's: a broker under an alarm stops reading from whoever publishes, and
    then the acknowledgements would stop too.
    """

    def __init__(self, url: str, queue: str, queues: Sequence[Queue] = QUEUES) -> None:
        self._url, self._queue, self._queues = url, queue, queues
        self._turn = asyncio.Lock()
        self._link: Link | None = None
        self._channel: AbstractChannel | None = None

    async def park(self, delivered: DeliveredMessage, failure: Exception) -> str:
        """Publish a copy with its reason, confirmed; returns the reason.

        Raises:
            UnavailableError: it is not certain that the copy arrived; try again.
            UnparkableError: it cannot be written.

        """
        why = reason(failure)
        async with self._turn:
            try:
                await self._publish(delivered, why)
            except UnavailableError:
                await self.close()
                raise
        return why

    async def close(self) -> None:
        """Close the connection, if there is one."""
        link, self._link, self._channel = self._link, None, None
        if link:
            await link.close()

    async def _opened(self) -> AbstractChannel:
        await self.close()
        self._link = await open_link(self._url, f"workspace-lifecycle parking {self._queue}")
        try:
            await declare_on(self._link, self._queues)
        except TopologyError as error:
            raise UnavailableError(str(error)) from error
        return await self._link.channel("parking")

    async def _publish(self, delivered: DeliveredMessage, why: str) -> None:
        if self._channel is None or self._channel.is_closed:
            self._channel = await self._opened()
        user_id = self._link.user_id if self._link else None
        channel = await self._channel.get_underlay_channel()
        changes = _changes(delivered, self._queue, why, user_id)
        try:
            properties = rewritten(delivered, frame_max_of(channel), **changes)
        except UnwritableError as error:
            raise UnparkableError(str(error)) from error
        with translating(f"park a message from {self._queue}"):
            result = await channel.basic_publish(
                delivered.body,
                exchange=DEAD_LETTER,
                routing_key=self._queue,
                properties=properties,
                mandatory=True,
                timeout=CONFIRM,
            )
        if not isinstance(result, Basic.Ack):
            raise UnavailableError(f"no dead-letter queue takes messages from {self._queue}")


def reason(failure: Exception) -> str:
    """Take an unreadable message's own text, else the last line of the traceback."""
    text = str(failure) if isinstance(failure, UnreadableError) else ""
    lines = (text or "".join(traceback.format_exception_only(failure))).strip().splitlines()
    last = lines[-1] if lines else type(failure).__name__
    return last.encode("utf-8", "backslashreplace").decode()[:LONGEST_REASON]


def _changes(
    delivered: DeliveredMessage, queue: str, why: str, user_id: str | None
) -> dict[str, Any]:
    """Tell what becomes of what would hinder: an expiry, another user's id, copies.

    Our own `user_id` on it tells that its story in the headers is ours.
    """
    kept = delivered.header.properties
    headers: dict[str, Any] = {
        name: value for name, value in (kept.headers or {}).items() if name not in _LEFT_OUT
    }
    headers |= {
        "x-death-reason": why,
        "x-original-exchange": delivered.exchange,
        "x-original-routing-key": delivered.routing_key,
        "x-original-queue": queue,
        "x-parked-at": rfc3339(datetime.now(UTC)),
    }
    if kept.user_id:
        headers[SENDER] = kept.user_id
    return {"headers": headers, "expiration": None, "user_id": user_id}
