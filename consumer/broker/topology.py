"""Declaring the topology of `schemas.topology`, and saying what stands in its way."""

import re
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeVar

from aio_pika.abc import AbstractChannel
from aiormq.exceptions import (
    ChannelAccessRefused,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)

from consumer.broker.admission import verify_user
from consumer.broker.connection import TIMEOUT, Link, RefusedError, connected, translating
from consumer.foreseen import ForeseenError
from consumer.message import UnavailableError
from schemas.topology import EXCHANGES, QUEUES, Queue

T = TypeVar("T")

_MISMATCH = re.compile(
    r"inequivalent arg '(?P<argument>[^']+)' for (?P<kind>\w+) '(?P<name>[^']+)' in vhost "
    r"'(?P<vhost>[^']*)': received (?P<ours>.+?) but current is (?P<theirs>.+?)[\"')]*$"
)


class TopologyError(ForeseenError):
    """The broker holds one of our names with other arguments, or cannot hold what we declare."""


async def declare(url: str, queues: Sequence[Queue] = QUEUES) -> None:
    """Declare the topology over a connection of its own, and see that we are whom we say.

    Declaring what is there changes nothing.

    Raises:
        UnavailableError: the broker is away.
        RefusedError: the broker does not let us in, or knows us as somebody else.
        TopologyError: the broker holds one of the names with other arguments.

    """
    async with connected(url, "workspace-lifecycle topology") as link:
        await declare_on(link, queues)
        await verify_user(link)


async def declare_on(link: Link, queues: Sequence[Queue] = QUEUES) -> None:
    """Declare the topology over an open link, on a channel of its own: a refusal closes it.

    Raises:
        UnavailableError: the connection broke.
        TopologyError: the broker holds one of the names with other arguments.

    """
    channel = await link.channel("topology", vital=False)
    try:
        for exchange in EXCHANGES:
            await _asked(channel.declare_exchange(exchange, "topic", durable=True, timeout=TIMEOUT))
        for queue in queues:
            await _declare(channel, queue)
    finally:
        with suppress(UnavailableError), translating("close the channel for topology"):
            await channel.close()


@dataclass(frozen=True, slots=True)
class Found:
    """One of our queues as the broker has it; `there` is False where it was never declared."""

    name: str
    there: bool
    messages: int = 0
    consumers: int = 0


async def examine(url: str, queues: Sequence[Queue] = QUEUES) -> list[Found]:
    """Look at each queue of ours without declaring any.

    Raises:
        UnavailableError: the broker is away.
        TopologyError: the broker holds one of the names with other arguments.

    """
    async with connected(url, "workspace-lifecycle doctor") as link:
        return [await _examine(link, queue) for queue in queues]


async def exists(url: str, kind: Literal["queue", "exchange"], name: str) -> bool:
    """Tell whether the broker has a queue or an exchange, without declaring it.

    Raises:
        UnavailableError: the broker is away, or does not let us look.

    """
    async with connected(url, "workspace-lifecycle looks") as link:
        channel = await link.channel("looking", vital=False)
        with translating(f"look at the {kind} {name!r}"):
            try:
                if kind == "queue":
                    await channel.declare_queue(name, passive=True, timeout=TIMEOUT)
                else:
                    await channel.declare_exchange(name, passive=True, timeout=TIMEOUT)
            except ChannelNotFoundEntity:
                return False
        return True


async def _examine(link: Link, queue: Queue) -> Found:
    channel = await link.channel("doctor", vital=False)
    with translating(f"look at {queue.name}"):
        try:
            await channel.declare_queue(queue.name, passive=True, timeout=TIMEOUT)
        except ChannelNotFoundEntity:
            return Found(queue.name, there=False)
    declared = await _asked(
        channel.declare_queue(queue.name, durable=True, arguments=queue.arguments, timeout=TIMEOUT)
    )
    await channel.close()
    seen = declared.declaration_result
    return Found(queue.name, True, seen.message_count or 0, seen.consumer_count or 0)


async def _declare(channel: AbstractChannel, queue: Queue) -> None:
    declared = await _asked(
        channel.declare_queue(queue.name, durable=True, arguments=queue.arguments, timeout=TIMEOUT)
    )
    for exchange, key in queue.bindings:
        await _asked(declared.bind(exchange, key, timeout=TIMEOUT))


async def _asked(request: Awaitable[T]) -> T:
    with translating("declare the topology"):
        try:
            return await request
        except ChannelPreconditionFailed as error:
            raise TopologyError(_explained(str(error))) from None
        except ChannelAccessRefused as error:
            raise RefusedError(f"could not declare the topology: {error}") from None


def _explained(text: str) -> str:
    """Say what differs, and the way out."""
    found = _MISMATCH.search(text)
    if not found:
        return f"RabbitMQ cannot hold our topology: {text}. It needs RabbitMQ 3.10 or newer"
    kind, name, argument = found["kind"], found["name"], found["argument"]
    return (
        f"the {kind} {name!r} in vhost {found['vhost']!r} has {argument} = "
        f"{_value(found['theirs'])} and we need {_value(found['ours'])}. Nothing was changed. "
        f"Empty and delete that {kind}, or take another vhost, and start again"
    )


def _value(text: str) -> str:
    """Read Erlang's `the value 'x' of type 'longstr'` as `x`."""
    return text.removeprefix("the value ").split(" of type ")[0].strip("'\"")
