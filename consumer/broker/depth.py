"""How many messages wait in queues."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from aiormq.channel import Channel
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity

from consumer.broker.connection import TIMEOUT, connected, translating
from consumer.message import UnavailableError


class Depths:
    """Counts over a connection of its own, which is opened when asked and kept."""

    def __init__(self, url: str, queues: Sequence[str]) -> None:
        self._url, self._queues = url, [*queues]
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
                for queue in tuple(self._queues)
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

    async def _count(self, queue: str) -> int | None:
        if self._channel is None:
            name = "workspace-lifecycle depths"
            link = await self._rooms.enter_async_context(connected(self._url, name))
            self._channel = await link.underlay("counting messages", vital=False)
        with translating(f"count the messages of {queue}"):
            try:
                found = await self._channel.queue_declare(queue, passive=True, timeout=TIMEOUT)
            except ChannelNotFoundEntity:  # which also closed the channel
                await self.close()
                return None
            except ChannelAccessRefused:
                self._queues.remove(queue)
                await self.close()
                return None
        return found.message_count or 0
