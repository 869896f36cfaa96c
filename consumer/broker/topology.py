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

from consumer.broker.admission import missing, verify_user
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
    """Declare the topology over an open link; where we may not, make sure that it is there.

    Then nothing tells whether arguments and bindings are ours.

    Raises:
        UnavailableError: the connection broke.
        RefusedError: we may not declare it, and not all of it is there.
        TopologyError: the broker holds one of the names with other arguments.

    """
    try:
        await _declare_all(link, queues)
    except RefusedError as refused:
        lacks = await missing(link, queues)
        if lacks:
            raise RefusedError(
                f"{refused}. There is no {', no '.join(lacks)}: have `workspace-lifecycle declare` "
                "run as a user who may configure this vhost"
            ) from None


async def _declare_all(link: Link, queues: Sequence[Queue]) -> None:
    """Declare on a channel of its own: a refusal closes it."""
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
    """One of our queues as the broker has it.

    Attributes:
        there: False where it was never declared; True also where we may not look.
        compared: False where we may not declare it, and so cannot tell whether it is as we need.

    """

    name: str
    there: bool
    messages: int = 0
    consumers: int = 0
    compared: bool = True


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
            found = await channel.declare_queue(queue.name, passive=True, timeout=TIMEOUT)
        except ChannelNotFoundEntity:
            return Found(queue.name, there=False)
        except ChannelAccessRefused:
            return Found(queue.name, there=True, compared=False)
    seen = found.declaration_result
    messages, consumers = seen.message_count or 0, seen.consumer_count or 0
    try:
        await _asked(
            channel.declare_queue(
                queue.name, durable=True, arguments=queue.arguments, timeout=TIMEOUT
            )
        )
    except RefusedError:
        return Found(queue.name, True, messages, consumers, compared=False)
    await channel.close()
    return Found(queue.name, True, messages, consumers)


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
