"""A dead-letter queue in hand: looked at, and let go again as it was, message by message."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from aiormq.exceptions import ChannelNotFoundEntity
from pamqp.commands import Basic

from consumer.broker.connection import TIMEOUT, connected, frame_max_of, translating
from consumer.broker.outlet import CONFIRM
from consumer.broker.parking import SENDER
from consumer.broker.topology import exists
from consumer.broker.translate import DELIVERY_COUNT, UnwritableError, inbound, rewritten
from consumer.broker.transport import has_readable_properties
from consumer.message import Inbound, UnavailableError
from schemas.catalog import COMMANDS, EVENTS, TRIGGERS_QUEUE
from schemas.topology import WORK_QUEUES, dead

_OURS = frozenset(
    {
        *("x-death-reason", "x-original-exchange", "x-original-routing-key", "x-original-queue"),
        *("x-parked-at", SENDER),
        *("x-death", "x-first-death-exchange", "x-first-death-queue", "x-first-death-reason"),
        *("x-last-death-exchange", "x-last-death-queue", "x-last-death-reason"),
        *(DELIVERY_COUNT, "x-acquired-count"),
    }
)
"""Headers of a message's death: one that lives again does not carry them."""


class NoWayBackError(Exception):
    """A dead letter cannot be sent to where it came from."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One message of a dead-letter queue.

    Attributes:
        message: as it lies there; `exchange` and `routing_key` are those it was first sent to,
            empty where its headers do not tell.
        why: the reason, of ours or of the broker.
        parked_at: when, RFC 3339; None where the broker dead-lettered it.
        sender: who sent it, as the broker verified; None where that is not known.

    """

    message: Inbound
    why: str
    parked_at: str | None
    sender: str | None
    delivered: DeliveredMessage


class DeadQueue:
    """One dead-letter queue over a channel of its own. What is neither sent nor dropped stays.

    `user_id` is the one under which the broker takes messages from us, if that is known.
    """

    def __init__(self, channel: Channel, name: str, count: int, user_id: str | None) -> None:
        self._channel, self.name, self.count = channel, name, count
        self._user_id = user_id

    async def letters(self) -> AsyncIterator[Letter]:
        """Give what lies there, the oldest first; what comes meanwhile is left for another time.

        Raises:
            UnavailableError: the connection was lost.

        """
        for _ in range(self.count):
            with translating(f"look into {self.name}"):
                got = await self._channel.basic_get(self.name, timeout=TIMEOUT)
            if got.delivery_tag is None:
                return
            yield _letter(got, self.name, self._user_id)

    async def send_back(self, letter: Letter, *, vouch: bool = False) -> None:
        """Publish a letter to where it was first sent, confirmed, and take it out of here.

        It has our `user_id` where it was ours, or where we vouch for it, and else none: nobody may
        publish as somebody else.

        Raises:
            NoWayBackError: nobody knows where that was, or nobody takes it there.
            UnavailableError: it is not certain that it arrived; it stays here.

        """
        message = letter.message
        if not message.exchange:
            raise NoWayBackError("its headers do not tell where it was sent to")
        if message.exchange not in {COMMANDS, EVENTS}:
            # Headers can be forged: a letter is no way to write to somebody else's queue.
            raise NoWayBackError(f"nothing of ours is sent to {message.exchange!r}")
        ours = vouch or letter.sender == self._user_id
        headers = {k: v for k, v in message.headers.items() if k not in _OURS}
        user_id = self._user_id if ours else None
        try:
            properties = rewritten(
                letter.delivered, frame_max_of(self._channel), user_id=user_id, headers=headers
            )
        except UnwritableError as error:
            raise NoWayBackError(f"its properties cannot be written again: {error}") from None
        with translating(f"send a letter of {self.name} back"):
            result = await self._channel.basic_publish(
                message.body,
                exchange=message.exchange,
                routing_key=message.routing_key,
                properties=properties,
                mandatory=True,
                timeout=CONFIRM,
            )
        if not isinstance(result, Basic.Ack):
            raise NoWayBackError(f"{message.exchange!r} routes {message.routing_key!r} to no queue")
        await self.drop(letter)

    async def drop(self, letter: Letter) -> None:
        """Take a letter out for good.

        Raises:
            UnavailableError: the connection was lost; it stays here.

        """
        with translating(f"take a letter out of {self.name}"):
            await self._channel.basic_ack(letter.delivered.delivery_tag or 0)


@asynccontextmanager
async def dead_queue(url: str, name: str) -> AsyncIterator[DeadQueue]:
    """Open a dead-letter queue for the time of a block.

    Raises:
        UnavailableError: the broker is away, or has no such queue.

    """
    async with connected(url, f"workspace-lifecycle dead letters {name}") as link:
        channel = await link.underlay("dead letters")
        with translating(f"look into {name}"):
            try:
                found = await channel.queue_declare(name, passive=True, timeout=TIMEOUT)
            except ChannelNotFoundEntity:
                raise UnavailableError(
                    f"there is no queue {name!r} yet: `workspace-lifecycle run` declares it"
                ) from None
        yield DeadQueue(channel, name, found.message_count or 0, link.user_id)


def _letter(delivered: DeliveredMessage, queue: str, user_id: str | None) -> Letter:
    message = inbound(delivered, queue)
    sender = _sender(message, user_id)
    if not has_readable_properties(delivered):
        why = "its AMQP properties cannot be read"
        return Letter(replace(message, exchange="", routing_key=""), why, None, sender, delivered)
    said, death = message.headers, _death(message.headers)
    exchange = said.get("x-original-exchange", death.get("exchange", ""))
    keys = death.get("routing-keys")  # anybody can have written this
    first = keys[0] if isinstance(keys, list) and keys else ""
    key = said.get("x-original-routing-key", first)
    why = said.get("x-death-reason", f"{death.get('reason', 'sent')} by the broker")
    parked_at = said.get("x-parked-at")
    return Letter(
        replace(message, exchange=str(exchange), routing_key=str(key)),
        str(why),
        None if parked_at is None else str(parked_at),
        sender,
        delivered,
    )


def _sender(message: Inbound, user_id: str | None) -> str | None:
    """Tell who sent a letter: headers are believed where the broker says that we wrote them."""
    if user_id is not None and message.user_id == user_id and "x-parked-at" in message.headers:
        said = message.headers.get(SENDER)
        return said if isinstance(said, str) else None
    return message.user_id


def _death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the newest entry of the broker's own table of deaths, if there is one."""
    deaths = headers.get("x-death")
    newest = deaths[0] if isinstance(deaths, list) and deaths else {}
    return newest if isinstance(newest, Mapping) else {}


async def dead_queues(url: str) -> list[str]:
    """Name the dead-letter queues; that of triggers is not on every broker.

    Raises:
        UnavailableError: the broker is away, or does not let us look.

    """
    optional = dead(TRIGGERS_QUEUE)
    has_it = await exists(url, "queue", optional)
    return [*map(dead, WORK_QUEUES), *([optional] if has_it else [])]
