"""What cannot be handled is parked with its reason, and never lost."""

import struct
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from consumer.broker.consume import Consumer
from consumer.broker.parking import reason
from consumer.broker.translate import UnwritableError
from consumer.message import Inbound, UnreadableError
from schemas.catalog import COMMANDS_QUEUE
from tests.broker.tools import Bystander, Facts, running
from tests.support.byhand import Hand, Raw, long, short
from tests.support.hostile import table

DEAD = f"{COMMANDS_QUEUE}.dead"


class _WordlessError(Exception):
    """It has no text."""


async def _poison(message: Inbound) -> None:
    if message.body == b"poison":
        raise KeyError("name")
    if message.body == b"unreadable":
        raise UnreadableError("no JSON\nat all")


async def _leave(*_: object) -> None:
    """Declare nothing."""


def consumer(url: str, handle: Callable[[Inbound], Awaitable[None]] = _poison) -> Consumer:
    """Make a consumer of the commands queue."""
    return Consumer(url, COMMANDS_QUEUE, handle, prefetch=2, attempts=3)


async def test_poison_is_parked_after_its_attempts_and_the_rest_flows_on(
    wire: Bystander, declared_url: str, facts: Facts
) -> None:
    """A message that fails `attempts` times ends in the dead queue while others are handled."""
    await wire.send(body=b"poison", message_id="p")
    for _ in range(20):
        await wire.send(body=b"fine")
    async with running(consumer(declared_url)):
        await facts.wait("delivery.parked")
    assert len(facts.of("delivery.failed")) == 2
    assert (await wire.take(DEAD)).message_id == "p"
    assert await wire.emptied(COMMANDS_QUEUE)


async def test_a_parked_message_says_why_and_where_it_came_from(
    wire: Bystander, declared_url: str, facts: Facts
) -> None:
    """A parked message keeps body, properties and headers, and tells its story in new headers."""
    before, user = datetime.now(UTC), urlsplit(declared_url).username
    await wire.send(
        "workspace.resume",
        b"poison",
        message_id="p",
        type="t",
        correlation_id="c",
        app_id="a",
        reply_to="r",
        content_type="text/plain",
        headers={"mine": "kept", "CC": ["lifecycle.results"]},
        user_id=user,
        expiration=600,
    )
    async with running(consumer(declared_url)):
        await facts.wait("delivery.parked")
    found = await wire.take(DEAD)
    assert (found.body, found.message_id, found.type) == (b"poison", "p", "t")
    assert (found.correlation_id, found.app_id, found.reply_to) == ("c", "a", "r")
    assert (found.content_type, found.expiration, found.delivery_mode) == ("text/plain", None, 2)
    headers = dict(found.headers)
    assert before <= datetime.fromisoformat(str(headers.pop("x-parked-at")))
    assert headers == {
        "mine": "kept",
        "x-death-reason": "KeyError: 'name'",
        "x-original-exchange": "workspace.commands",
        "x-original-routing-key": "workspace.resume",
        "x-original-queue": COMMANDS_QUEUE,
        "x-original-user-id": user,
    }
    assert await wire.count("lifecycle.results.dead") == 0


async def test_nobody_says_for_us_who_sent_it(
    wire: Bystander, declared_url: str, facts: Facts
) -> None:
    """A sender's own word for the verified user is left out; our user tells that we parked it."""
    await wire.send(body=b"unreadable", headers={"x-original-user-id": "lifecycle"})
    async with running(consumer(declared_url)):
        await facts.wait("delivery.parked")
    found = await wire.take(DEAD)
    assert "x-original-user-id" not in found.headers
    assert found.user_id == urlsplit(declared_url).username


@pytest.mark.parametrize(
    "properties",
    [
        b"\x00\x04" + short(b"a cluster's id"),
        b"\x20\x00" + table([(b"double", b"d" + struct.pack(">d", 1e300))]),
        b"\x20\x00" + table([(b"text", b"S" + long(b"\xff"))]),
        b"\x20\x00" + table([(b"n" * 200, b"V")]),
    ],
    ids=["cluster id", "double", "bytes", "name"],
)
async def test_what_pamqp_reads_and_does_not_write_is_parked_all_the_same(
    wire: Bystander, declared_url: str, facts: Facts, properties: bytes
) -> None:
    """Else its delivery would be held for ever, and a thousand of them would stop the queue."""
    by_hand = Hand(declared_url)
    assert await by_hand.send(Raw("", COMMANDS_QUEUE.encode(), properties, b"unreadable"))
    await by_hand.close()
    async with running(consumer(declared_url)):
        await facts.wait("delivery.parked")
    assert (await wire.take(DEAD)).headers["x-death-reason"] == "at all"
    assert await wire.emptied(COMMANDS_QUEUE)


async def test_headers_without_room_for_a_reason_are_left_to_the_broker(
    wire: Bystander, declared_url: str, facts: Facts
) -> None:
    """A frame over the limit would end the connection each time, and be written again for ever."""
    full = b"\x20\x00" + table([(b"h", b"S" + long(b"h" * 131_000))])
    by_hand = Hand(declared_url)
    assert await by_hand.send(Raw("", COMMANDS_QUEUE.encode(), full, b"unreadable"))
    await by_hand.close()
    async with running(consumer(declared_url)):
        await facts.wait("delivery.parked")
    found = await wire.take(DEAD)
    assert (found.body, found.headers["x-first-death-reason"]) == (b"unreadable", "rejected")
    assert not facts.of("delivery.retried")
    assert await wire.emptied(COMMANDS_QUEUE)


async def test_what_cannot_be_written_again_is_dead_lettered_by_the_broker(
    wire: Bystander, declared_url: str, facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our reason is lost with it, the message is not."""

    def refuse(*_: object, **__: object) -> None:
        raise UnwritableError

    monkeypatch.setattr("consumer.broker.parking.rewritten", refuse)
    await wire.send(body=b"unreadable")
    async with running(consumer(declared_url)):
        await facts.wait("delivery.parked")
    found = await wire.take(DEAD)
    assert (found.body, found.headers["x-first-death-reason"]) == (b"unreadable", "rejected")
    assert await wire.emptied(COMMANDS_QUEUE)


async def test_a_fault_of_our_own_leaves_no_delivery_in_hand(
    wire: Bystander, declared_url: str, facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted like any failure, and at the broker's limit dead-lettered by it."""

    async def park(*_: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr("consumer.broker.parking.Parking.park", park)
    await wire.send(body=b"unreadable")
    async with running(consumer(declared_url)):
        assert (await wire.take(DEAD)).body == b"unreadable"
    assert "ZeroDivisionError" in facts.of("delivery.failed")[0]["why"]
    assert await wire.emptied(COMMANDS_QUEUE)


async def test_an_unreadable_message_is_parked_at_once(
    wire: Bystander, declared_url: str, facts: Facts
) -> None:
    """What nobody can be answered about is parked at its first delivery, with its own text."""
    await wire.send(body=b"unreadable")
    async with running(consumer(declared_url)):
        (told,) = await facts.wait("delivery.parked")
    assert told["why"] == "at all"
    assert not facts.of("delivery.failed")
    assert (await wire.take(DEAD)).headers["x-death-reason"] == "at all"


async def test_what_cannot_be_parked_now_is_kept_until_it_can(
    wire: Bystander, declared_url: str, facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message without a dead queue is held back, and parked once there is one again."""
    monkeypatch.setattr("consumer.broker.parking.declare_on", _leave)
    async with running(consumer(declared_url)):
        await wire.channel.queue_delete(DEAD)
        await wire.send(body=b"unreadable")
        (told, *_) = await facts.wait("delivery.retried")
        assert "no dead-letter queue" in told["why"]
        monkeypatch.undo()
        await facts.wait("delivery.parked")
    assert (await wire.take(DEAD)).body == b"unreadable"
    assert await wire.emptied(COMMANDS_QUEUE)


async def test_stop_gives_back_what_could_not_be_parked(
    wire: Bystander, declared_url: str, facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that waits to be parked goes back to its queue at a stop."""
    monkeypatch.setattr("consumer.broker.parking.declare_on", _leave)
    async with running(consumer(declared_url)):
        await wire.channel.queue_delete(DEAD)
        await wire.send(body=b"unreadable")
        await facts.wait("delivery.retried")
    assert (await wire.take(COMMANDS_QUEUE)).body == b"unreadable"


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (KeyError("name"), "KeyError: 'name'"),
        (ValueError("first\nlast\n"), "last"),
        (_WordlessError(), "_WordlessError"),
        (UnreadableError(""), "UnreadableError"),
        (UnreadableError("not JSON"), "not JSON"),
        (ValueError("\ud800"), "ValueError: \\ud800"),
        (ValueError("x" * 9000), "ValueError: " + "x" * 1988),
    ],
)
def test_the_reason_is_one_line_that_amqp_can_hold(failure: Exception, text: str) -> None:
    """The reason is the last line of the traceback or an unreadable message's own text."""
    assert reason(failure).endswith(text)
    assert "\n" not in reason(failure)
    assert len(reason(failure).encode()) <= 2000
