"""A channel whose confirms are kept by delivery tag, for runs of messages written at once.

aiormq keeps a future for each message and finds a returned one by its id: 110 us a message, and two
in flight with one id swap their results. Here a run is one write, one future and a list, and what
is confirmed with `multiple` is taken as it comes (RabbitMQ documentation, Publisher Confirms).
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Literal

from aiormq.abc import ChannelFrame, ConfirmationFrameType, TimeoutType
from aiormq.connection import Connection
from pamqp.commands import Basic, Channel, Confirm

from consumer.broker.channel import OwnChannel

Receipt = Literal["confirmed", "returned", "failed"]


class Run:
    """Messages that were written together.

    Attributes:
        receipts: one a message, all there once `done` is.

    """

    def __init__(self, first: int, ids: Sequence[str]) -> None:
        self.receipts: list[Receipt | None] = [None] * len(ids)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._first = first
        self._places = {one: place for place, one in enumerate(ids)}
        self._returned: set[int] = set()
        self._low, self._open = 0, len(ids)

    @property
    def last(self) -> int:
        """The delivery tag of the last message."""
        return self._first + len(self.receipts) - 1

    def returned(self, identity: str) -> bool:
        """Note that no queue takes a message of this run. Its confirm comes behind."""
        place = self._places.get(identity)
        if place is None or self.receipts[place] is not None:
            return False
        self._returned.add(place)
        return True

    def confirmed(self, tag: int, receipt: Receipt, *, multiple: bool) -> None:
        """Note what the broker said of one message, or of all up to it."""
        place = min(tag, self.last) - self._first
        for one in range(self._low if multiple else place, place + 1):
            self._settle(one, receipt)
        if multiple:
            self._low = place + 1

    def broken(self) -> None:
        """Give up what has no confirm by now."""
        self.receipts = [receipt or "failed" for receipt in self.receipts]
        if not self.done.done():
            self.done.set_result(None)

    def _settle(self, place: int, receipt: Receipt) -> None:
        if self.receipts[place] is None:
            returned = receipt == "confirmed" and place in self._returned
            self.receipts[place] = "returned" if returned else receipt
            self._open -= 1
            if self._open == 0 and not self.done.done():
                self.done.set_result(None)


class ConfirmingChannel(OwnChannel):
    """Publishes runs of frames; everything else is as in aiormq, whose own confirms are off."""

    def __init__(self, connector: Connection, number: int) -> None:
        super().__init__(connector, number)
        self._tag = 0
        self._runs: deque[Run] = deque()

    async def open(self, timeout: TimeoutType = None) -> Channel.OpenOk:  # noqa: ASYNC109 (aiormq's)
        """Open it, and have the broker confirm."""
        opened = await super().open(timeout)
        await self.rpc(Confirm.Select(), timeout)
        return opened

    async def write(self, frames: bytes, ids: Sequence[str]) -> Run:
        """Write messages, all different in their ids, and give the run to wait for."""
        run = Run(self._tag + 1, ids)
        self._tag = run.last
        self._runs.append(run)
        if self.is_closed or not ids:
            run.broken()
        else:
            await self.write_queue.put(ChannelFrame(payload=frames, should_close=False))
        return run

    async def _on_confirm_frame(self, frame: ConfirmationFrameType) -> None:
        receipt: Receipt = "confirmed" if isinstance(frame, Basic.Ack) else "failed"
        tag, multiple = frame.delivery_tag or self._tag, getattr(frame, "multiple", False)
        for run in self._runs:
            if multiple or run.last >= tag:
                run.confirmed(tag, receipt, multiple=multiple)
            if run.last >= tag:
                break
        while self._runs and self._runs[0].done.done():
            self._runs.popleft()

    async def _on_return_frame(self, frame: Basic.Return) -> None:
        returned = await self._content(frame)
        identity = returned.header.properties.message_id or ""
        any(run.returned(identity) for run in self._runs)

    def _closed(self, closed: asyncio.Future[None]) -> None:
        super()._closed(closed)
        for run in self._runs:
            run.broken()
        self._runs.clear()
