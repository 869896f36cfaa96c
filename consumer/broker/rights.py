"""What this user may write and read on the broker, found out without doing either."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from aiormq.channel import Channel
from aiormq.exceptions import (
    ChannelAccessRefused,
    ChannelInvalidStateError,
    ChannelPreconditionFailed,
)

from consumer.broker.connection import TIMEOUT, connected, translating

_Attempt = Callable[[Channel, str], Awaitable[None]]
_NO_PRIORITY: Any = "none"


@dataclass(frozen=True, slots=True)
class Lack:
    """A right that is missing: `write` to an exchange, `read` from a queue."""

    right: Literal["write", "read"]
    name: str


async def lacking(url: str, exchanges: Sequence[str], queues: Sequence[str]) -> list[Lack]:
    """Tell which of these exchanges may not be written to, and which queues may not be read.

    The topology has to be declared.

    Raises:
        UnavailableError: the broker is away.

    """
    unwritable = [
        Lack("write", exchange or "amq.default")
        for exchange in exchanges
        if await _is_refused(url, exchange, _write)
    ]
    unreadable = [Lack("read", queue) for queue in queues if await _is_refused(url, queue, _read)]
    return unwritable + unreadable


async def _is_refused(url: str, name: str, attempt: _Attempt) -> bool:
    """Try on a connection of its own: a refusal may take the whole of it down."""
    async with connected(url, "workspace-lifecycle doctor") as link:
        channel = await link.underlay("doctor", vital=False, confirms=False)
        with translating(f"try the rights on {name!r}"):
            try:
                await attempt(channel, name)
            except ChannelAccessRefused:
                return True
            except ChannelInvalidStateError:
                if isinstance(await _reason(channel), ChannelAccessRefused):
                    return True
                raise
        return False


async def _reason(channel: Channel) -> BaseException | None:
    """Tell what closes a channel: a call that comes while it is being closed does not know."""
    closing = channel.closing
    await asyncio.wait([closing], timeout=TIMEOUT)
    return closing.exception() if closing.done() and not closing.cancelled() else None


async def _write(channel: Channel, exchange: str) -> None:
    """Publish in a transaction that is rolled back: the right is asked for at once.

    Both leave together: what follows a refusal would meet a channel that is no more.
    """
    await channel.tx_select(timeout=TIMEOUT)
    await asyncio.gather(
        channel.basic_publish(b"", exchange=exchange, routing_key="workspace.doctor", wait=False),
        channel.tx_rollback(timeout=TIMEOUT),
    )
    await channel.close()


async def _read(channel: Channel, queue: str) -> None:
    """Consume with a priority that is none: the right is asked for before that is looked at."""

    async def never(_: object) -> None:
        raise AssertionError("nothing can be delivered to a consumer that was refused")

    with suppress(ChannelPreconditionFailed):
        await channel.basic_consume(
            queue, never, arguments={"x-priority": _NO_PRIORITY}, timeout=TIMEOUT
        )
