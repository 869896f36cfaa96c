"""One channel, many in flight, and each message's own fate."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.broker.confirming import Receipt
from consumer.broker.connection import connected
from consumer.broker.outlet import IN_FLIGHT, open_outlet, open_side_outlet, waves
from consumer.message import Outbound
from tests.broker.gate import Gate
from tests.broker.tools import PATIENCE, Bystander, Facts, event


def nowhere(number: int | str) -> Outbound:
    """Make a message for a queue that is not there."""
    return event(number, "amq.gen-gone", exchange="")


@given(st.lists(st.integers(0, 5)))
def test_waves_keep_the_order_and_hold_no_id_twice(ids: list[int]) -> None:
    """Cutting a batch loses nothing, keeps its order, and never puts one id into a wave twice."""
    batch = [event(one) for one in ids]
    cut = list(waves(batch))
    assert [message for wave in cut for message in wave] == batch
    for wave in cut:
        assert len({message.message_id for message in wave}) == len(wave) > 0


def test_waves_are_bounded() -> None:
    """No wave holds more than may be in flight."""
    assert [len(wave) for wave in waves([event(n) for n in range(IN_FLIGHT + 1)])] == [IN_FLIGHT, 1]


async def test_one_id_twice_gets_each_its_own_receipt(wire: Bystander, declared_url: str) -> None:
    """Two messages with one id, one of them unroutable, do not swap what became of them."""
    batch = [nowhere("x"), event("x"), event("y"), nowhere("x"), event("x")]
    async with connected(declared_url, "test") as link:
        outlet = await open_outlet(link, "a test")
        expected = ["returned", "confirmed", "confirmed", "returned", "confirmed"]
        assert await outlet.send(batch) == expected
    assert await wire.count("lifecycle.results") == 3


async def test_one_id_in_two_batches_at_once_gets_each_its_own_receipt(declared_url: str) -> None:
    """Batches in flight at once wait for each other where they share an id."""
    async with connected(declared_url, "test") as link:
        outlet = await open_outlet(link, "a test")
        sent = [outlet.send([nowhere("x") if odd else event("x")]) for odd in (1, 0, 1, 0)]
        receipts = await asyncio.wait_for(asyncio.gather(*sent), PATIENCE)
    assert [one for (one,) in receipts] == ["returned", "confirmed", "returned", "confirmed"]


async def test_messages_arrive_in_the_order_given(wire: Bystander, declared_url: str) -> None:
    """The queue holds a batch in the order in which it was given."""
    async with connected(declared_url, "test") as link:
        outlet = await open_outlet(link, "a test")
        assert set(await outlet.send([event(n) for n in range(2500)])) == {"confirmed"}
    queue = await wire.channel.get_queue("lifecycle.results")
    bodies = []
    await wire.channel.set_qos(prefetch_count=1000)
    async with asyncio.timeout(PATIENCE), queue.iterator() as messages:
        async for message in messages:
            await message.ack()
            bodies.append(int(message.body))
            if len(bodies) == 2500:
                break
    assert bodies == list(range(2500))


async def test_what_the_broker_refuses_has_failed_and_says_why(
    wire: Bystander, declared_url: str, facts: Facts
) -> None:
    """A message that the broker does not accept has failed, with the fact told; others have not."""
    await wire.channel.declare_queue(
        "full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"}, exclusive=True
    )
    batch = [event(n, "full", exchange="") for n in range(3)]
    async with connected(declared_url, "test") as link:
        outlet = await open_outlet(link, "a test")
        receipts = await outlet.send([*batch, event("fine")])
    assert receipts[0] == receipts[3] == "confirmed"
    assert "failed" in receipts
    assert facts.of("message.refused")[0]["routing_key"] == "full"


async def test_what_cannot_be_written_has_failed_alone(declared_url: str, facts: Facts) -> None:
    """A message that AMQP cannot hold does not take others along."""
    bad = [event(2, headers={"x": object()}), event("i" * 256), event(4, headers={"x": 2**80})]
    bad.append(event(5, headers={"x": "x" * 131_072}))
    async with connected(declared_url, "test") as link:
        outlet = await open_outlet(link, "a test")
        receipts = await outlet.send([event(1), *bad, event(3)])
        assert receipts == ["confirmed", *["failed"] * 4, "confirmed"]
        assert outlet.open
    assert len(facts.of("message.refused")) == 4


async def test_a_channel_closed_by_the_broker_fails_what_is_in_flight(declared_url: str) -> None:
    """A message that makes the broker close the channel fails with its reason, and says so."""
    async with connected(declared_url, "test") as link:
        outlet = await open_side_outlet(link, "a test")
        assert await outlet.send([event(1, exchange="no-such-exchange")]) == ["failed"]
        assert "no-such-exchange" in outlet.trouble
        assert not outlet.open
        assert await outlet.send([event(2)]) == ["failed"]
        assert not link.lost.done()


async def test_a_lost_connection_fails_what_is_in_flight(declared_url: str, gate: Gate) -> None:
    """Messages without a confirm when the connection breaks have failed, and nobody hangs."""
    assert declared_url
    async with connected(gate.url, "test") as link:
        outlet = await open_outlet(link, "a test")
        gate.freeze()
        sending = asyncio.ensure_future(outlet.send([event(n) for n in range(100)]))
        await asyncio.sleep(0)
        gate.cut()
        assert await asyncio.wait_for(sending, PATIENCE) == ["failed"] * 100


async def test_nobody_who_goes_on_sending_while_a_connection_ends_hangs(
    declared_url: str, gate: Gate
) -> None:
    """Whoever comes between the end of what writes and the end of the channel has failed too."""
    assert declared_url
    for _ in range(3):
        async with connected(gate.url, "test") as link:
            outlet, count = await open_outlet(link, "a test"), 0
            sending: list[asyncio.Future[list[Receipt]]] = []
            asyncio.get_running_loop().call_later(0.05, gate.cut)
            while not link.lost.done():
                for _ in range(30):
                    count += 1
                    sending.append(asyncio.ensure_future(outlet.send([event(count)])))
                await asyncio.sleep(0)
            _, left = await asyncio.wait(sending, timeout=PATIENCE)
            assert not left
            assert await outlet.send([event(0)]) == ["failed"]


async def test_a_broker_that_does_not_confirm_is_given_up(
    declared_url: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A confirm that does not come in time fails the message and the link: its books are wrong."""
    assert declared_url
    monkeypatch.setattr("consumer.broker.outlet.CONFIRM", 0.2)
    async with connected(gate.url, "test") as link:
        outlet = await open_outlet(link, "a test")
        gate.freeze()
        assert await outlet.send([event(1)]) == ["failed"]
        assert not outlet.open
        assert "alarm" in await asyncio.wait_for(link.lost, PATIENCE)
        gate.thaw()
