"""Acknowledgements: everything that is due and nothing else, in as few frames as can be."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelInvalidStateError
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic

from consumer.broker.connection import connected
from consumer.broker.consuming import Ack, ConsumingChannel, Unsettled
from schemas.catalog import COMMANDS_QUEUE
from tests.broker.tap import Tap, tap_before
from tests.broker.tools import PATIENCE, Bystander

_STEPS = st.lists(st.sampled_from(["deliver", "done", "settle", "take"]), max_size=60)


class Broker:
    """What a broker makes of acknowledgements (AMQP 0-9-1, section 1.8.3.13)."""

    def __init__(self) -> None:
        self.open: list[int] = []
        self.acknowledged: set[int] = set()

    def take(self, acks: list[Ack]) -> None:
        """Take acknowledgements; a tag that is not open would close the channel."""
        for tag, multiple in acks:
            assert tag in self.open
            meant = {one for one in self.open if one == tag or (multiple and one < tag)}
            self.acknowledged |= meant
            self.open = [one for one in self.open if one not in meant]


@given(st.data())
def test_what_is_done_is_acknowledged_and_nothing_else(data: Any) -> None:
    """In whatever order deliveries are done, or settled by a frame of their own."""
    unsettled, broker, done, last = Unsettled(), Broker(), set[int](), 0
    for step in (*data.draw(_STEPS), "take"):
        in_hand = [tag for tag in broker.open if tag not in done]
        if step == "deliver":
            last += 1
            broker.open.append(last)
            unsettled.add(last)
        elif step == "take":
            broker.take(unsettled.take())
            assert broker.acknowledged == done
        elif in_hand:
            tag = data.draw(st.sampled_from(in_hand))
            if step == "done":
                assert unsettled.done(tag) is (done <= broker.acknowledged)
                done.add(tag)
            else:
                broker.open.remove(tag)
                unsettled.settle(tag)


def test_what_came_together_is_one_acknowledgement() -> None:
    """Whatever the order in which it ended; one that is still in hand is stepped over."""
    unsettled = Unsettled()
    for tag in range(1, 10):
        unsettled.add(tag)
    for tag in (5, 3, 1, 2, 4, 8):
        unsettled.done(tag)
    assert unsettled.take() == [Ack(5, multiple=True), Ack(8, multiple=False)]
    for tag in (7, 6, 9):
        unsettled.done(tag)
    assert unsettled.take() == [Ack(9, multiple=True)]
    assert unsettled.take() == []


@pytest.fixture
async def tap(declared_url: str) -> AsyncIterator[Tap]:
    """Listen to what is said to the broker."""
    async with tap_before(declared_url) as listening:
        yield listening


async def test_a_broker_hears_one_frame_of_what_ends_together(tap: Tap, wire: Bystander) -> None:
    """And gives out no message of it again."""
    taken: list[DeliveredMessage] = []
    for _ in range(10):
        await wire.send()
    async with connected(tap.url, "test") as link:
        channel = await link.own(ConsumingChannel, "a test")
        await channel.consume(COMMANDS_QUEUE, taken.append, 100)
        async with asyncio.timeout(PATIENCE):
            while len(taken) < 10:  # noqa: ASYNC110 (deliveries make no sound)
                await asyncio.sleep(0.01)
        assert [one.delivery_tag for one in taken] == [*range(1, 11)]
        channel.ack(10)
        await channel.reject(1, requeue=False)
        for tag in range(2, 10):
            channel.ack(tag)
        await channel.flush()
        await channel.basic_qos(prefetch_count=1)  # answered behind all that was written
    acks = tap.methods(Basic.Ack)
    assert [(ack.delivery_tag, ack.multiple) for ack in acks][-1] == (9, True)
    assert len(acks) <= 2
    assert await wire.emptied(COMMANDS_QUEUE)


async def test_a_closed_channel_acknowledges_nothing(declared_url: str) -> None:
    """Whoever asks for it learns that the broker will deliver again."""
    async with connected(declared_url, "test") as link:
        channel = await link.own(ConsumingChannel, "a test", vital=False)
        await channel.close()
        with pytest.raises(ChannelInvalidStateError):
            channel.ack(1)
