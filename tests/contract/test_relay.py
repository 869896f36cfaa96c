"""The way out: nothing is forgotten before its confirm, and what is sent again has the same id."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Literal

import asyncpg
import pytest

from consumer.message import Outbound, UnavailableError
from consumer.relay.relay import Relay
from consumer.settings import Settings
from consumer.store.outbox import try_relay
from consumer.store.pool import Database
from tests.support.caller import WireCaller
from tests.support.forest import Forest
from tests.support.program import running

Receipt = Literal["confirmed", "returned", "failed"]


class Broker:
    """Takes batches, and says of each message what the test says."""

    def __init__(self, judge: Callable[[Outbound, int], Receipt]) -> None:
        self.judge = judge
        self.calls = 0
        self.confirmed: list[Outbound] = []
        self.seen: list[Outbound] = []

    async def publish(self, batch: Sequence[Outbound]) -> Sequence[Receipt]:
        """Give one receipt a message."""
        self.calls += 1
        receipts = []
        for message in batch:
            receipts.append(self.judge(message, self.calls))
            self.seen.append(message)
        await asyncio.sleep(0)
        self.confirmed += [m for m, r in zip(batch, receipts, strict=True) if r == "confirmed"]
        return receipts


async def drain(pool: Database, forest: Forest, broker: Broker) -> None:
    """Run a relay until the outbox is empty."""
    wake, stop = asyncio.Event(), asyncio.Event()
    relay = asyncio.create_task(Relay(pool, broker.publish, wake).run(lambda: None, stop))
    left = "select count(*) from lifecycle.outbox"
    async with asyncio.timeout(30):
        while await forest.connection.fetchval(left):
            wake.set()
            await asyncio.sleep(0.02)
    stop.set()
    await relay


async def pause_eleven(
    caller: WireCaller, forest: Forest, settings: Settings, **properties: str
) -> set[str]:
    """Have a pause of eleven decided, with nobody to relay it; give what has to be sent."""
    top = await forest.plant("top", *(f"top/w{i}" for i in range(10)))
    async with running(settings, ["commands"]):
        command = {"workspace_id": top, "cascade": True}
        await caller.send("workspace.pause", command, **properties)
        async with asyncio.timeout(20):
            while not await forest.connection.fetchval(  # noqa: ASYNC110 (only asking can tell)
                "select count(*) from lifecycle.outbox"
            ):
                await asyncio.sleep(0.02)
    return {"workspace.pause.summary", *(str(one) for one in forest.ids.values())}


def what(message: Outbound) -> str:
    """Name a message as `pause_eleven` does."""
    if message.type == "workspace.stop":
        return str(json.loads(message.body)["subject"])
    return str(message.type)


@pytest.mark.parametrize("at", [0, 1, 5, 11])
async def test_what_was_not_confirmed_is_sent_again_and_what_was_need_not_be(
    caller: WireCaller,
    forest: Forest,
    pool: Database,
    settings_of: Callable[..., Settings],
    at: int,
) -> None:
    """A message the broker refuses or loses stays, with all after it, until it is confirmed."""
    expected = await pause_eleven(caller, forest, settings_of())
    place = iter(range(1000))
    broker = Broker(lambda _, call: "failed" if call == 1 and next(place) == at else "confirmed")
    await drain(pool, forest, broker)
    assert {what(message) for message in broker.confirmed} == expected
    assert len({message.message_id for message in broker.seen}) == len(expected) == 12
    again = broker.seen[12:]
    assert len(again) == 12 - at
    first = {message.message_id: message.body for message in broker.seen[:12]}
    assert all(first[message.message_id] == message.body for message in again)


async def test_who_finds_another_at_it_looks_again_without_being_woken(
    caller: WireCaller,
    forest: Forest,
    pool: Database,
    settings_of: Callable[..., Settings],
) -> None:
    """A relay that dies has taken the wakes of all; what it left is published all the same."""
    expected = await pause_eleven(caller, forest, settings_of())
    broker, stop = Broker(lambda *_: "confirmed"), asyncio.Event()
    other = await asyncpg.connect(settings_of().database_url.get_secret_value())
    assert await try_relay(other)
    relay = asyncio.create_task(
        Relay(pool, broker.publish, asyncio.Event()).run(lambda: None, stop)
    )
    await asyncio.sleep(0.5)
    assert not broker.seen
    other.terminate()
    async with asyncio.timeout(20):
        while len(broker.confirmed) < len(expected):  # noqa: ASYNC110 (a broker makes no sound)
            await asyncio.sleep(0.02)
    stop.set()
    await relay


@pytest.mark.parametrize("chunk", [1, 2, 3, 4, 12])
@pytest.mark.parametrize("at", [0, 4, 11, 99])
async def test_chunks_that_are_under_way_at_once_leave_in_order_and_whole(
    caller: WireCaller,
    forest: Forest,
    pool: Database,
    settings_of: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
    at: int,
    chunk: int,
) -> None:
    """Wherever a fan-out is cut, and whichever message fails while others are behind it."""
    monkeypatch.setattr("consumer.relay.backlog._CHUNK", chunk)
    expected = await pause_eleven(caller, forest, settings_of())
    failed = iter([at])

    def judge(_: Outbound, __: int) -> Receipt:
        if len(broker.seen) == at and next(failed, None) is not None:
            return "failed"
        return "confirmed"

    broker = Broker(judge)
    await drain(pool, forest, broker)
    first = list(dict.fromkeys(what(message) for message in broker.seen))
    assert first == ["workspace.pause.summary", *sorted(expected - {"workspace.pause.summary"})]
    assert {what(message) for message in broker.confirmed} == expected
    if at == 99:
        assert len(broker.seen) == 12


async def test_a_broker_that_is_away_loses_nothing(
    caller: WireCaller, forest: Forest, pool: Database, settings_of: Callable[..., Settings]
) -> None:
    """While nothing can be published everything waits, and then leaves in its order."""
    expected = await pause_eleven(caller, forest, settings_of())

    def judge(_: Outbound, call: int) -> Receipt:
        if call < 3:
            raise UnavailableError("away")
        return "confirmed"

    broker = Broker(judge)
    await drain(pool, forest, broker)
    assert what(broker.confirmed[0]) == "workspace.pause.summary"
    assert {what(message) for message in broker.confirmed} == expected


async def test_a_reply_that_cannot_be_delivered_is_given_up_alone(
    caller: WireCaller, forest: Forest, pool: Database, settings_of: Callable[..., Settings]
) -> None:
    """An unroutable reply is dropped at once, one that fails after three attempts."""
    expected = await pause_eleven(caller, forest, settings_of(), reply_to="amq.gen-gone")
    broker = Broker(lambda message, _: "confirmed" if message.exchange else "failed")
    await drain(pool, forest, broker)
    assert {what(message) for message in broker.confirmed} == expected
    assert len([message for message in broker.seen if not message.exchange]) == 3
