"""Channels of our own on aiormq's connection: they tell what closed them."""

import asyncio
from typing import Self

from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from aiormq.connection import Connection
from pamqp.commands import Basic
from pamqp.header import ContentHeader


class OwnChannel(Channel):
    """A channel without aiormq's confirms and without its bound on frames that wait to be read.

    Attributes:
        reason: what closed it.

    """

    def __init__(self, connector: Connection, number: int) -> None:
        super().__init__(connector, number, publisher_confirms=False, on_return_raises=False)
        self.reason: BaseException | None = None
        self.closing.add_done_callback(self._closed)

    @classmethod
    async def opened(cls, connection: Connection) -> Self:
        """Open one on an open connection."""
        number = max(connection.channels, default=0) + 1
        channel = cls(connection, number)
        connection.channels[number] = channel
        await channel.open()
        return channel

    async def _content(self, frame: Basic.Deliver | Basic.Return) -> DeliveredMessage:
        """Read what follows a method that brings a message."""
        header = await self._get_frame()
        assert isinstance(header, ContentHeader)
        return await self._read_content(frame, header)

    def _closed(self, closed: asyncio.Future[None]) -> None:
        self.reason = None if closed.cancelled() else closed.exception()
