"""Publishing on one channel, and what became of each message."""

import asyncio
from collections.abc import Callable, Iterator, Sequence

from consumer import observe
from consumer.broker.confirming import ConfirmingChannel, Receipt
from consumer.broker.connection import Link, describe, frame_max_of
from consumer.broker.frames import Frames
from consumer.message import Outbound

IN_FLIGHT = 1000
"""Most messages without a confirm that one call has on a channel."""
CONFIRM = 30.0
"""Seconds a confirm may take. After it the channel's bookkeeping is no longer sound: it goes."""
_NACKED = "the broker does not take it now (basic.nack): is a queue full?"


class Outlet:
    """Publishes on one channel, as its own user, and tells what became of each message.

    No two messages in flight have one id: what the broker returns is known by its id alone.

    Attributes:
        trouble: what the last message that failed failed of.

    """

    def __init__(
        self,
        channel: ConfirmingChannel,
        give_up: Callable[[str], None],
        user_id: str | None = None,
    ) -> None:
        self.trouble = ""
        self._channel = channel
        self._give_up = give_up
        self._frames = Frames(channel.number, frame_max_of(channel), user_id)
        self._flying: dict[str, asyncio.Future[None]] = {}
        self._sound = True

    @property
    def open(self) -> bool:
        """Whether another message may be sent here."""
        return self._sound and not self._channel.is_closed

    async def send(self, messages: Sequence[Outbound]) -> list[Receipt]:
        """Publish in the order given, many in flight; one receipt a message, in the same order."""
        receipts: list[Receipt] = []
        for wave in waves(messages):
            receipts += await self._send_wave(wave)
        return receipts

    async def _send_wave(self, wave: Sequence[Outbound]) -> list[Receipt]:
        ids = [message.message_id for message in wave]
        while busy := {self._flying[one] for one in ids if one in self._flying}:
            await asyncio.wait(busy)
        if not self.open:
            return ["failed"] * len(wave)
        landed = asyncio.get_running_loop().create_future()
        self._flying.update(dict.fromkeys(ids, landed))
        try:
            return await self._confirmed(wave)
        finally:
            for one in ids:
                del self._flying[one]
            landed.set_result(None)

    async def _confirmed(self, wave: Sequence[Outbound]) -> list[Receipt]:
        """Write a wave at once; what AMQP cannot hold fails alone."""
        frames = [self._written(message) for message in wave]
        sent = [message for message, frame in zip(wave, frames, strict=True) if frame]
        run = await self._channel.write(b"".join(frames), [one.message_id for one in sent])
        await asyncio.wait([run.done], timeout=CONFIRM)
        if not run.done.done():
            self._sound = False
            self._give_up(f"no confirm within {CONFIRM:.0f} s; is there a memory or disk alarm?")
            run.broken()
        self._note(sent, run.receipts)
        taken = iter(run.receipts)
        receipts = [next(taken) if frame else "failed" for frame in frames]
        return [receipt or "failed" for receipt in receipts]

    def _written(self, message: Outbound) -> bytes:
        try:
            return self._frames.write(message)
        except Exception as error:  # noqa: BLE001 - pamqp raises what it likes, OverflowError too
            self._refused(message, describe(error))
            return b""

    def _note(self, sent: Sequence[Outbound], receipts: Sequence[Receipt | None]) -> None:
        """Remember why something failed: with its channel, or refused by the broker alone."""
        if "failed" not in receipts:
            return
        if not self.open:
            self.trouble = describe(self._channel.reason)
            return
        for message, receipt in zip(sent, receipts, strict=True):
            if receipt == "failed":
                self._refused(message, _NACKED)

    def _refused(self, message: Outbound, why: str) -> None:
        self.trouble = why
        observe.say(
            "message.refused",
            message_id=message.message_id,
            exchange=message.exchange,
            routing_key=message.routing_key,
            why=why,
        )


async def open_outlet(link: Link, purpose: str) -> Outlet:
    """Open an outlet whose loss is the loss of the link."""
    return Outlet(await link.own(ConfirmingChannel, purpose), link.fail, link.user_id)


async def open_side_outlet(link: Link, purpose: str) -> Outlet:
    """Open an outlet whose loss leaves the rest of the link as it is."""
    channel = await link.own(ConfirmingChannel, purpose, vital=False)
    return Outlet(channel, lambda _: None, link.user_id)


def waves(messages: Sequence[Outbound]) -> Iterator[list[Outbound]]:
    """Cut into runs of at most `IN_FLIGHT` messages in which no id occurs twice."""
    wave: dict[str, Outbound] = {}
    for message in messages:
        if message.message_id in wave or len(wave) == IN_FLIGHT:
            yield list(wave.values())
            wave = {}
        wave[message.message_id] = message
    if wave:
        yield list(wave.values())
