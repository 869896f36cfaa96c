"""How many messages wait in queues."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from aiormq.channel import Channel
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity

from consumer.broker.connection import TIMEOUT, connected, translating
from consumer.message import UnavailableError

AGAIN = 600.0
"""Seconds for which a queue that need not be there is not looked for again: RabbitMQ logs each
such look as an error."""


class Depths:
    """Counts over a connection of its own, which is opened when asked and kept.

    The `optional` queues are on some brokers only.
    """

    def __init__(self, url: str, queues: Sequence[str], optional: Sequence[str] = ()) -> None:
        self._url, self._queues = url, [*queues, *optional]
        self._again = dict.fromkeys(optional, 0.0)
        self._rooms = AsyncExitStack()
        self._channel: Channel | None = None

    async def read(self) -> Mapping[str, int]:
        """Count what is ready in each queue; one that does not exist yet is left out.

        So is, from then on, one that we may not look at: RabbitMQ 4.2.6 and later have such.

        Raises:
            UnavailableError: the broker is away.

        """
        try:
            return {
                queue: count
                for queue in self._due()
                if (count := await self._count(queue)) is not None
            }
        except UnavailableError:
            await self.close()
            raise

    async def close(self) -> None:
        """Let the connection go."""
        self._channel = None
        await self._rooms.aclose()
        self._rooms = AsyncExitStack()

    def _due(self) -> list[str]:
        """Name the queues to look at now."""
        now = asyncio.get_running_loop().time()
        return [queue for queue in self._queues if self._again.get(queue, 0.0) <= now]

    async def _count(self, queue: str) -> int | None:
        if self._channel is None:
            name = "workspace-lifecycle depths"
            link = await self._rooms.enter_async_context(connected(self._url, name))
            self._channel = await link.underlay("counting messages", vital=False)
        with translating(f"count the messages of {queue}"):
            try:
                found = await self._channel.queue_declare(queue, passive=True, timeout=TIMEOUT)
            except ChannelNotFoundEntity:  # which also closed the channel
                if queue in self._again:
                    self._again[queue] = asyncio.get_running_loop().time() + AGAIN
                await self.close()
                return None
            except ChannelAccessRefused:
                self._queues.remove(queue)
                await self.close()
                return None
        return found.message_count or 0
