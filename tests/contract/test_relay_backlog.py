"""A long backlog: replies go ahead of it, all else keeps its order, and nothing is left out."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias
from uuid import uuid4

import aio_pika
import asyncpg
import pytest

from consumer.message import Outbound
from consumer.observe import listening
from consumer.relay import backlog
from consumer.relay.relay import Relay
from consumer.settings import Settings
from consumer.store.outbox import Taken, take_outbox, take_replies
from consumer.store.pool import Database
from tests.store.carried import operation
from tests.support.backlog import LEFT, fill
from tests.support.caller import WireCaller
from tests.support.one import outgoing, put_outbox
from tests.support.program import running

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
REPLY = outgoing("reply", "late.reply", reply_to="amq.gen-late", body=b"{}")
EVENT = outgoing("event", "workspace.pause.settled", body=b"{}")


class Broker:
    """Takes whatever it is given, and does something at one of its calls."""

    def __init__(self) -> None:
        self.seen: list[Outbound] = []
        self.sizes: list[int] = []
        self.at: dict[int, Callable[[], Awaitable[None]]] = {}

    async def publish(self, batch: Sequence[Outbound]) -> Sequence[backlog.Receipt]:
        """Confirm all."""
        self.sizes.append(len(batch))
        self.seen += batch
        if work := self.at.pop(len(self.sizes), None):
            await work()
        return ["confirmed"] * len(batch)

    @property
    def places(self) -> list[int]:
        """What was seen of the backlog's events, by their places in it."""
        return [
            json.loads(one.body)["place"] for one in self.seen if one.exchange and one.body != b"{}"
        ]


async def drained(pool: Database, broker: Broker, connection: Connection) -> None:
    """Run a relay until nothing is left."""
    stop, wake = asyncio.Event(), asyncio.Event()
    relay = asyncio.create_task(Relay(pool, broker.publish, wake).run(lambda: None, stop))
    async with asyncio.timeout(60):
        while await connection.fetchval(LEFT):
            wake.set()
            await asyncio.sleep(0.02)
    stop.set()
    await relay


def events(count: int) -> list[int]:
    """List the places of a backlog's events."""
    return [place for place in range(1, count + 1) if place % 10]


async def test_a_reply_that_is_decided_meanwhile_goes_ahead(
    pool: Database, connection: Connection
) -> None:
    """It does not wait for the twenty thousand before it, whose events keep their order."""
    await fill(connection, 20_000)
    broker, one = Broker(), await operation(connection)

    async def decide() -> None:
        async with pool.connection() as other:
            await put_outbox(other, one, [EVENT, REPLY])

    broker.at[2] = decide
    await drained(pool, broker, connection)
    kinds = [message.type for message in broker.seen]
    assert kinds.index("late.reply") < 6000
    assert kinds.index(EVENT.type) == len(kinds) - 1
    assert broker.places == events(20_000)
    assert len(broker.seen) == len({one.message_id for one in broker.seen}) == 20_002
    assert max(broker.sizes) <= 1000


async def test_the_newest_replies_go_first(pool: Database, connection: Connection) -> None:
    """Somebody still waits for those; the others follow, a few at a time, or in their turn."""
    await fill(connection, 20_000)
    broker = Broker()
    await drained(pool, broker, connection)
    replies = [json.loads(one.body)["place"] for one in broker.seen if not one.exchange]
    assert sorted(replies) == [*range(10, 20_001, 10)]
    first = sorted(replies[100:600])
    assert first == [*range(20_000 - 10 * 499, 20_001, 10)]


async def test_a_short_outbox_is_emptied_in_its_order(
    pool: Database, connection: Connection
) -> None:
    """Nothing goes ahead where nobody has to wait for it."""
    await fill(connection, 900)
    broker = Broker()
    await drained(pool, broker, connection)
    assert [json.loads(one.body)["place"] for one in broker.seen] == [*range(1, 901)]


async def test_bodies_make_a_backlog_long_as_well(pool: Database, connection: Connection) -> None:
    """A few large events in a chunk do not hold a reply up either."""
    one, broker = await operation(connection), Broker()
    large = outgoing("event", "workspace.pause.summary", body=b"[" + b" " * 1_000_000 + b"]")
    for _ in range(20):
        await put_outbox(connection, one, [large])

    async def decide() -> None:
        async with pool.connection() as other:
            await put_outbox(other, one, [REPLY])

    broker.at[1] = decide
    await drained(pool, broker, connection)
    kinds = [message.type for message in broker.seen]
    assert kinds.index("late.reply") < 15
    assert len(kinds) == 21


@pytest.mark.parametrize("at", [1, 4, 9])
async def test_what_commits_late_leaves_before_what_is_numbered_after_it(
    pool: Database, connection: Connection, database_url: str,
    monkeypatch: pytest.MonkeyPatch, at: int,
) -> None:  # fmt: skip
    """A row may be seen long after rows with higher numbers: no floor has passed it by then."""
    monkeypatch.setattr(backlog, "_CHUNK", 20)
    slow = await asyncpg.connect(database_url)
    transaction = slow.transaction()
    await transaction.start()
    await put_outbox(slow, await operation(slow), [EVENT])
    await fill(connection, 400)
    broker = Broker()
    broker.at[at] = transaction.commit
    await drained(pool, broker, connection)
    await slow.close()
    place = [message.type for message in broker.seen].index(EVENT.type)
    # Up to three chunks and a run of replies were under way, and began before.
    assert sum(broker.sizes[: at - 1]) < place <= sum(broker.sizes[: at + 5])
    assert broker.places == events(400)


class Spy:
    """Calls what takes from the outbox, and notes the highest floor it was given."""

    def __init__(self, take: Callable[..., Awaitable[Sequence[Taken]]]) -> None:
        self._take, self.floor = take, 0

    async def called(self, *asked: Any) -> Sequence[Taken]:
        """Note it, and call."""
        self.floor = max(self.floor, asked[-1])
        return await self._take(*asked)


async def test_what_was_deleted_is_not_read_again(
    pool: Database, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a floor under them, later chunks cost as much as the first, whoever looks back."""
    monkeypatch.setattr(backlog, "_CHUNK", 100)
    behind, ahead = Spy(take_outbox), Spy(take_replies)
    monkeypatch.setattr(backlog, "take_outbox", behind.called)
    monkeypatch.setattr(backlog, "take_replies", ahead.called)
    broker, filled = Broker(), 0
    # Other tests have transactions under way at this server, for which the floor waits as well.
    while not filled or min(behind.floor, ahead.floor) < filled - 1000:
        await fill(connection, 5000, first=filled + 1)
        filled += 5000
        await drained(pool, broker, connection)
    assert broker.places == events(filled)


async def test_a_caller_is_answered_while_a_backlog_drains(
    connection: Connection, declared_url: str, settings_of: Callable[..., Settings]
) -> None:
    """Over a real broker: the answer comes while events that were decided before still wait."""
    await fill(connection, 20_000)
    async with await aio_pika.connect(declared_url) as line:
        caller = await WireCaller.on(line, listen=False)
        asking = asyncio.create_task(caller.pause(uuid4()))
        before: list[int] = []

        def notice(fact: str, fields: Mapping[str, Any]) -> None:
            if fact == "outbox.confirmed" and not asking.done():
                before.append(fields["count"])

        with listening(notice):
            async with running(settings_of()):
                answer = await asking
        assert sum(before) < 20_000
    assert answer.data["code"] == "workspace_not_found"
    assert not await connection.fetchval(LEFT)
