"""A channel that hands deliveries over as they come, and acknowledges those of a moment at once.

aiormq makes a task of each delivery, and writes and drains a frame for each acknowledgement. What
ends together mostly came together: one frame with `multiple` says it of all (RabbitMQ
documentation, Consumer Acknowledgements), and spares a quorum queue a command for each.
"""

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from aiormq.abc import DeliveredMessage
from aiormq.connection import Connection
from aiormq.exceptions import ChannelInvalidStateError
from pamqp.commands import Basic

from consumer.broker.channel import OwnChannel


class Ack(NamedTuple):
    """An acknowledgement; `multiple`: of everything up to this delivery."""

    tag: int
    multiple: bool


class Unsettled:
    """The delivery tags of a channel, in their order, from their delivery to their settling."""

    def __init__(self) -> None:
        self._tags: deque[int] = deque()
        self._done: set[int] = set()
        self._settled: set[int] = set()

    def add(self, tag: int) -> None:
        """Note a delivery; tags come in their order."""
        self._tags.append(tag)

    def settle(self, tag: int) -> None:
        """Note what the broker was told already, in a frame of its own."""
        self._settled.add(tag)

    def done(self, tag: int) -> bool:
        """Note what is to be acknowledged; tell whether it is the first since `take`."""
        self._done.add(tag)
        return len(self._done) == 1

    def take(self) -> list[Ack]:
        """Give what acknowledges what is to be, and nothing else."""
        last = None
        while self._tags and (self._tags[0] in self._done or self._tags[0] in self._settled):
            tag = self._tags.popleft()
            if tag in self._done:
                last = tag
            self._done.discard(tag)
            self._settled.discard(tag)
        alone = sorted(self._done)
        self._settled.update(alone)
        self._done.clear()
        together = [] if last is None else [Ack(last, multiple=True)]
        return [*together, *(Ack(tag, multiple=False) for tag in alone)]


class ConsumingChannel(OwnChannel):
    """Consumes one queue; everything else is as in aiormq."""

    def __init__(self, connector: Connection, number: int) -> None:
        super().__init__(connector, number)
        self._take: Callable[[DeliveredMessage], object] = lambda _: None
        self._unsettled = Unsettled()

    async def consume(
        self,
        queue: str,
        take: Callable[[DeliveredMessage], object],
        prefetch: int,
        arguments: Mapping[str, Any] | None = None,
    ) -> str:
        """Have every delivery given to `take`, in order; give the consumer's tag."""
        self._take = take
        await self.basic_qos(prefetch_count=prefetch)
        answer = await self.basic_consume(queue, _never, arguments=dict(arguments or {}))
        assert answer.consumer_tag is not None
        return answer.consumer_tag

    def ack(self, tag: int) -> None:
        """Acknowledge a delivery, together with all that is acknowledged in this moment.

        Raises:
            ChannelInvalidStateError: the channel is closed; the broker delivers again.

        """
        if self.is_closed:
            raise ChannelInvalidStateError(f"{self!r} closed")
        if self._unsettled.done(tag):
            self.create_task(self.flush())

    async def reject(self, tag: int, *, requeue: bool) -> None:
        """Give up an attempt that counts."""
        await self.basic_reject(tag, requeue=requeue)
        self._unsettled.settle(tag)

    async def give_back(self, tag: int) -> None:
        """Give back what was not tried: on RabbitMQ 4.3 that does not count against it."""
        await self.basic_nack(tag, requeue=True)
        self._unsettled.settle(tag)

    async def flush(self) -> None:
        """Write now what is to be acknowledged."""
        with suppress(ChannelInvalidStateError):
            for tag, multiple in self._unsettled.take():
                await self.basic_ack(tag, multiple=multiple, wait=False)

    async def _on_deliver_frame(self, frame: Basic.Deliver) -> None:
        delivered = await self._content(frame)
        self._unsettled.add(frame.delivery_tag or 0)
        self._take(delivered)


async def _never(_: DeliveredMessage) -> None:
    """Stand where aiormq wants the callback that `_on_deliver_frame` does not call."""
