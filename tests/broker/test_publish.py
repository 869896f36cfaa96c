"""Publishing: one receipt a message, over a connection that comes back."""

import asyncio

import pytest

from consumer.broker.publish import Publisher
from consumer.message import UnavailableError
from tests.broker.conftest import Management
from tests.broker.gate import Gate
from tests.broker.tools import PATIENCE, Bystander, Facts, event, running


async def test_confirmed_and_returned_are_told_apart(wire: Bystander, declared_url: str) -> None:
    """What a queue took is confirmed, and what none took is returned, in the batch's order."""
    await wire.channel.declare_exchange("elsewhere", "topic")  # ours all lead to the audit stream
    publisher = Publisher(declared_url)
    async with running(publisher):
        batch = [event(1), event(2, exchange="elsewhere"), event(3)]
        assert await publisher.publish(batch) == ["confirmed", "returned", "confirmed"]
        assert await publisher.publish([]) == []
    assert await wire.count("lifecycle.results") == 2


async def test_an_event_and_its_reply_with_one_id_get_each_their_own_receipt(
    wire: Bystander, declared_url: str
) -> None:
    """A reply to a queue that is gone is returned, and the event with the same id confirmed."""
    replies = await wire.channel.declare_queue(exclusive=True)
    publisher = Publisher(declared_url)
    async with running(publisher):
        for _ in range(20):
            batch = [
                event("x", "amq.gen-gone", exchange=""),
                event("x"),
                event("x", replies.name, exchange=""),
            ]
            assert await publisher.publish(batch) == ["returned", "confirmed", "confirmed"]


async def test_what_breaks_the_replies_leaves_the_events_alone(
    declared_url: str, facts: Facts
) -> None:
    """A reply that makes the broker close its channel takes no event along, and replies go on."""
    publisher = Publisher(declared_url)
    async with running(publisher):
        refused = event("bad", "amq.gen-gone", exchange="", reply_to="amq.rabbitmq.reply-to")
        receipts = await publisher.publish([event(1), refused, event(2)])
        assert receipts == ["confirmed", "failed", "confirmed"]
        assert await publisher.publish([event(3, "gone", exchange="")]) == ["returned"]
    assert not facts.of("publisher.lost")


async def test_a_publisher_comes_back_after_the_broker_closed_its_connection(
    declared_url: str, facts: Facts, close_by_broker: Management
) -> None:
    """A connection that an operator closes is opened again, and publishing goes on."""
    publisher = Publisher(declared_url, "publisher to be closed")
    async with running(publisher):
        await close_by_broker("publisher to be closed")
        await facts.wait("publisher.started", 2)
        assert "CONNECTION_FORCED" in facts.of("publisher.lost")[0]["why"]
        assert await publisher.publish([event(1)]) == ["confirmed"]


async def test_a_lost_exchange_comes_back(wire: Bystander, declared_url: str, facts: Facts) -> None:
    """An event without its exchange fails; with the topology declared again it is confirmed."""
    publisher = Publisher(declared_url)
    async with running(publisher):
        await wire.channel.exchange_delete("workspace.events")
        assert await publisher.publish([event(1)]) == ["failed"]
        await facts.wait("publisher.started", 2)
        assert await publisher.publish([event(1)]) == ["confirmed"]


async def test_a_batch_waits_for_a_connection_that_is_coming(
    declared_url: str, gate: Gate, facts: Facts
) -> None:
    """A batch given while the connection is being rebuilt is published when it is there."""
    assert declared_url
    publisher = Publisher(gate.url)
    async with running(publisher):
        await gate.refuse()
        await facts.wait("publisher.lost", 2)
        sending = asyncio.ensure_future(publisher.publish([event(1)]))
        await gate.admit()
        assert await asyncio.wait_for(sending, PATIENCE) == ["confirmed"]


async def test_without_a_connection_a_batch_is_refused(
    declared_url: str, gate: Gate, facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that finds no connection within its patience raises, and nothing was published."""
    assert declared_url
    monkeypatch.setattr("consumer.broker.publish.PATIENCE", 0.05)
    publisher = Publisher(gate.url)
    async with running(publisher):
        await gate.refuse()
        await facts.wait("publisher.lost")
        with pytest.raises(UnavailableError, match="no connection"):
            await publisher.publish([event(1)])


async def test_a_connection_lost_underway_fails_the_batch(declared_url: str, gate: Gate) -> None:
    """A batch in flight when the connection breaks gets its receipts; none says confirmed."""
    assert declared_url
    publisher = Publisher(gate.url)
    async with running(publisher):
        gate.freeze()
        sending = asyncio.ensure_future(publisher.publish([event(n) for n in range(10)]))
        await asyncio.sleep(0)
        gate.cut()
        gate.thaw()
        assert await asyncio.wait_for(sending, PATIENCE) == ["failed"] * 10


async def test_stop_lets_every_batch_in_hand_end(wire: Bystander, declared_url: str) -> None:
    """A batch handed over before the stop is published to its end, even if its caller is gone."""
    publisher = Publisher(declared_url)
    async with running(publisher) as stop:
        sending = asyncio.ensure_future(publisher.publish([event(n) for n in range(3000)]))
        await asyncio.sleep(0)
        stop.set()
        sending.cancel()
    assert await wire.count("lifecycle.results") == 3000


async def test_after_its_end_a_publisher_refuses_at_once(declared_url: str) -> None:
    """A batch given to a publisher that has ended is refused without waiting."""
    publisher = Publisher(declared_url)
    async with running(publisher):
        pass
    with pytest.raises(UnavailableError, match="ended"):
        await asyncio.wait_for(publisher.publish([event(1)]), 1)
