"""Callers: send, ask over direct reply-to, listen."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from consumer.broker.ask import Caller, UnroutableError
from consumer.broker.connection import RefusedError
from consumer.devstack.stack import Stack
from consumer.message import Outbound, UnavailableError
from tests.broker.gate import Gate
from tests.broker.tools import PATIENCE, Bystander, event
from tests.support.users import user_on


def command(number: int | str, **changes: object) -> Outbound:
    """Make a command."""
    return event(number, "workspace.pause", exchange="workspace.commands", **changes)


@dataclass
class Echo:
    """What was asked, and the news of it."""

    asked: list[AbstractIncomingMessage] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def heard(self) -> None:
        """Wait until something was asked."""
        await asyncio.wait_for(self.news.wait(), PATIENCE)

    def is_answered(self, message: AbstractIncomingMessage) -> bool:
        """Tell whether the command that was just taken gets its answer."""
        if message.body == b"late":
            return len(self.asked) > 1
        return message.body != b"silence"


@pytest.fixture
async def echo(wire: Bystander) -> AsyncIterator[Echo]:
    """Answer each command with its own body in capitals: `silence` never, `late` a second time."""
    queue = await wire.channel.get_queue("lifecycle.commands")
    echoed = Echo()

    async def answer(message: AbstractIncomingMessage) -> None:
        echoed.asked.append(message)
        echoed.news.set()
        await message.ack()
        if echoed.is_answered(message) and message.reply_to:
            reply = aio_pika.Message(message.body.upper(), correlation_id=message.correlation_id)
            await wire.channel.default_exchange.publish(reply, message.reply_to)

    tag = await queue.consume(answer)
    yield echoed
    await queue.cancel(tag)


async def test_sent_is_in_a_queue(wire: Bystander, declared_url: str) -> None:
    """What `send` returned from is with the broker."""
    async with Caller(declared_url) as caller:
        await caller.send(command(1))
        assert (await wire.take("lifecycle.commands")).message_id == "1"


@pytest.mark.parametrize("exchange", ["", "no-such-exchange"])
async def test_where_nobody_listens_the_error_says_what_to_start(
    declared_url: str, exchange: str
) -> None:
    """A missing queue and a missing exchange both name the place and the program to start."""
    async with Caller(declared_url) as caller:
        with pytest.raises(UnroutableError, match=f"'workspace.pause'.*'{exchange}'.*run"):
            await caller.send(event(1, "workspace.pause", exchange=exchange))
        await caller.send(command(2))


async def test_many_asks_at_once_get_each_their_own_answer(declared_url: str, echo: Echo) -> None:
    """Answers find who asked, by the correlation id, whatever their order."""
    async with Caller(declared_url) as caller:
        asks = [caller.ask(command(f"ask-{n}", body=b"body-%d" % n), PATIENCE) for n in range(50)]
        answers = await asyncio.gather(*asks)
    assert [answer.body for answer in answers] == [b"BODY-%d" % n for n in range(50)]
    assert {message.correlation_id for message in echo.asked} == {f"ask-{n}" for n in range(50)}


async def test_a_correlation_id_of_ones_own_is_kept(declared_url: str, echo: Echo) -> None:
    """A command that has a correlation id is asked and answered with that one."""
    async with Caller(declared_url) as caller:
        answer = await caller.ask(command(1, correlation_id="mine"), PATIENCE)
    assert answer.correlation_id == "mine"
    assert echo.asked[0].reply_to is not None
    assert echo.asked[0].reply_to.startswith("amq.rabbitmq.reply-to.")


async def test_a_timeout_says_that_the_command_may_still_be_carried_out(
    declared_url: str, echo: Echo
) -> None:
    """An answer that does not come in time is not taken for a refusal, and may be asked again."""
    assert not echo.asked
    async with Caller(declared_url) as caller:
        with pytest.raises(TimeoutError, match=r"pause 1 within 0.2 s.* may .* same message id"):
            await caller.ask(command(1, body=b"silence"), 0.2)
        assert (await caller.ask(command(1, body=b"again"), PATIENCE)).body == b"AGAIN"


async def test_one_id_is_not_asked_twice_at_once(declared_url: str, echo: Echo) -> None:
    """Two asks with one correlation id could not be told apart, so the second is refused."""
    assert not echo.asked
    async with Caller(declared_url) as caller:
        first = asyncio.ensure_future(caller.ask(command(1, body=b"silence"), 0.5))
        await asyncio.sleep(0)
        with pytest.raises(ValueError, match="1 is being asked already"):
            await caller.ask(command(1), PATIENCE)
        with pytest.raises(TimeoutError):
            await first


async def test_what_was_asked_when_the_connection_was_lost_is_asked_again(
    gate: Gate, echo: Echo
) -> None:
    """An answer that went with a connection comes over the next one, to the same id."""
    async with Caller(gate.url) as caller:
        asking = asyncio.ensure_future(caller.ask(command(1, body=b"late"), PATIENCE))
        await echo.heard()
        await gate.refuse()
        await asyncio.sleep(0.5)
        await gate.admit()
        assert (await asking).body == b"LATE"
    assert [message.message_id for message in echo.asked] == ["1", "1"]


async def test_a_broker_that_stays_away_ends_an_ask_when_its_time_is_up(gate: Gate) -> None:
    """The error says why nothing came, and that it may still come to something."""
    async with Caller(gate.url) as caller:
        await gate.refuse()
        with pytest.raises(TimeoutError, match=r"1 within 0.5 s \(could not connect"):
            await caller.ask(command(1), 0.5)
        await gate.admit()


async def test_whom_the_broker_refuses_does_not_ask_again(
    stack: Stack, gate: Gate, echo: Echo
) -> None:
    """A user that is gone is told at once, however long it would have waited."""
    with user_on(stack.management_url, gate.url, "gone") as url:
        caller = Caller(url)
        await caller.__aenter__()
    asking = asyncio.ensure_future(caller.ask(command(1), 10 * PATIENCE))
    assert not echo.asked
    gate.cut()
    with pytest.raises(RefusedError):
        await asyncio.wait_for(asking, PATIENCE)
    await caller.__aexit__(None, None, None)


async def test_a_broker_that_is_away_is_told_at_the_start(gate: Gate) -> None:
    """Entering a caller without a broker raises, and does not wait."""
    await gate.refuse()
    with pytest.raises(UnavailableError):
        async with Caller(gate.url):
            pass
    await gate.admit()


async def test_listening_hears_what_its_keys_name(declared_url: str) -> None:
    """A listener hears the messages of its keys, in order, and no others."""
    async with (
        Caller(declared_url) as caller,
        caller.listen("workspace.events", "workspace.*.settled", "workspace.started") as heard,
    ):
        for kind in ("workspace.stopped", "workspace.started", "workspace.pause.settled"):
            await caller.send(event(kind, kind))
        async with asyncio.timeout(PATIENCE):
            found = [(await anext(heard)).routing_key for _ in range(2)]
    assert found == ["workspace.started", "workspace.pause.settled"]


async def test_the_end_of_listening_disturbs_no_ask(declared_url: str, echo: Echo) -> None:
    """A block of listening ends while an answer is awaited, which still comes."""
    assert not echo.asked
    async with Caller(declared_url) as caller:
        async with caller.listen("workspace.events", "#"):
            asking = asyncio.ensure_future(caller.ask(command(1, body=b"silence"), 0.5))
            await echo.heard()
        with pytest.raises(TimeoutError):
            await asking


async def test_listening_to_a_missing_exchange_says_what_to_start(amqp_url: str) -> None:
    """On a vhost where the program never ran, listening names the exchange."""
    async with Caller(amqp_url) as caller:
        with pytest.raises(UnroutableError, match=r"'workspace\.events'"):
            async with caller.listen("workspace.events", "#"):
                pass


async def test_a_listener_whose_connection_is_lost_is_told(declared_url: str, gate: Gate) -> None:
    """Listening ends with an error rather than in silence when the connection breaks."""
    assert declared_url
    async with Caller(gate.url) as caller, caller.listen("workspace.events", "#") as heard:
        gate.cut()
        with pytest.raises(UnavailableError, match="no longer listening"):
            await asyncio.wait_for(anext(heard), PATIENCE)


async def test_a_wait_that_is_broken_off_loses_nothing(declared_url: str) -> None:
    """Who gave up waiting for a while hears what is said afterwards."""
    async with (
        Caller(declared_url) as caller,
        caller.listen("workspace.events", "workspace.started") as heard,
    ):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(heard), 0.05)
        await caller.send(event(1, "workspace.started"))
        assert (await asyncio.wait_for(anext(heard), PATIENCE)).body == b"1"


async def test_the_end_of_hearing_is_told_to_whoever_asks(declared_url: str, gate: Gate) -> None:
    """A lost connection is no end without a word for the second who waits, or the second time."""
    assert declared_url
    async with Caller(gate.url) as caller, caller.listen("workspace.events", "#") as heard:
        waits = [asyncio.ensure_future(anext(heard)) for _ in range(2)]
        gate.cut()
        async with asyncio.timeout(PATIENCE):
            ends = await asyncio.gather(*waits, return_exceptions=True)
            with pytest.raises(UnavailableError, match="no longer listening"):
                await anext(heard)
    assert [type(end) for end in ends] == [UnavailableError, UnavailableError]
