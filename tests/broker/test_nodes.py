"""Several URLs in one setting: whatever opens a connection goes on where a node is left."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest

from consumer.broker.ask import Caller
from consumer.broker.connection import Link, RefusedError, connected, keep, open_link, redacted
from consumer.broker.consume import Consumer
from consumer.broker.dead import dead_queue
from consumer.broker.identity import user_of
from consumer.broker.nodes import Nodes, urls_of, vhost_of
from consumer.broker.publish import Publisher
from consumer.broker.stream import Stream
from consumer.broker.topology import declare, examine
from consumer.devstack.server import free_ports
from consumer.message import Inbound, UnavailableError, UnreadableError
from schemas.catalog import AUDIT_STREAM, COMMANDS_QUEUE
from tests.broker.gate import Gate, gate_before
from tests.broker.tools import PATIENCE, Bystander, Facts, event, running

DEAD = f"{COMMANDS_QUEUE}.dead"


def at(url: str, port: int, **changes: str) -> str:
    """Lead a URL to another port of this machine, for another user or vhost where it says so."""
    parts = urlsplit(url)
    user = changes.get("user", parts.username)
    path = changes.get("path", parts.path)
    return urlunsplit(parts._replace(netloc=f"{user}:secret@127.0.0.1:{port}", path=path))


@pytest.fixture
def pair(amqp_url: str) -> str:
    """Give two URLs, at the first of which nobody listens."""
    return f"{at(amqp_url, *free_ports(1))}, {amqp_url}"


@pytest.fixture
async def gates(amqp_url: str) -> AsyncIterator[tuple[Gate, Gate]]:
    """Put two gates before the broker, as two nodes of one cluster would be."""
    async with gate_before(amqp_url) as first, gate_before(amqp_url) as second:
        yield first, second


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("amqp://a/v", ["amqp://a/v"]),
        ("amqp://a/v,amqps://b/v", ["amqp://a/v", "amqps://b/v"]),
        (" amqp://a/v , amqp://b/v ", ["amqp://a/v", "amqp://b/v"]),
        ("amqp://u:a,b@c/v,w,amqp://d/v", ["amqp://u:a,b@c/v,w", "amqp://d/v"]),
        ("no URL, at all", ["no URL, at all"]),
        ("", [""]),
    ],
)
def test_urls_are_taken_apart_at_commas_before_a_scheme(text: str, urls: list[str]) -> None:
    """A comma in a password, a vhost or what is no URL separates nothing."""
    assert urls_of(text) == urls


def test_all_of_them_tell_one_user_one_vhost_and_no_secret() -> None:
    """What is shown of each says where it leads."""
    text = "amqp://me:secret@one:5672/v,amqps://me:secret@two/v?password=secret"
    assert redacted(text) == "amqp://one:5672/v, amqps://two/v"
    assert user_of(text) == "me"
    assert user_of("amqps://one/v?user_id=me,amqps://two/v?user_id=me") == "me"
    assert [vhost_of(url) for url in ("amqp://a", "amqp://a/", "amqp://a/v%2Fw")] == [
        "/",
        "/",
        "v/w",
    ]


def test_the_one_that_let_us_in_is_first_until_it_loses_us() -> None:
    """A loss that others had before changes nothing."""
    nodes = Nodes("abc")
    assert [*nodes.in_turn()] == ["a", "b", "c"]
    nodes.reached("b")
    assert [*nodes.in_turn()] == ["b", "c", "a"]
    nodes.lost("a")
    assert [*nodes.in_turn()] == ["b", "c", "a"]
    for _ in range(2):
        nodes.lost("b")
        assert [*nodes.in_turn()] == ["c", "a", "b"]
    nodes.lost("c")
    assert [*nodes.in_turn()] == ["a", "b", "c"]


async def test_whatever_opens_a_connection_passes_over_a_node_that_is_away(
    pair: str, facts: Facts
) -> None:
    """Declaring, looking, publishing, asking, consuming, parking, reading: one place for all."""
    await declare(pair)
    assert all(found.there for found in await examine(pair))

    async def park(_: Inbound) -> None:
        raise UnreadableError("nobody can be answered")

    publisher = Publisher(pair)
    async with running(publisher), running(Consumer(pair, COMMANDS_QUEUE, park, prefetch=1)):
        command = event("m", "workspace.pause", exchange="workspace.commands")
        assert await publisher.publish([command]) == ["confirmed"]
        await facts.wait("delivery.parked")
    async with Caller(pair) as caller:
        await caller.send(event("e"))
    assert await Stream(pair, AUDIT_STREAM).end() == 1
    async with dead_queue(pair, DEAD) as letters:
        assert [letter.message.message_id async for letter in letters.letters()] == ["m"]
    (passed,) = facts.of("node.passed_over")  # the first to open one found it out for all
    assert "secret" not in f"{passed}"


async def test_a_lost_connection_is_opened_again_on_the_next(
    gates: tuple[Gate, Gate], facts: Facts
) -> None:
    """The first node goes away, and when the second does the first is there again."""
    first, second = gates
    links: asyncio.Queue[Link] = asyncio.Queue()
    stop = asyncio.Event()

    async def serve(link: Link) -> None:
        links.put_nowait(link)
        await link.until(stop)

    url = f"{first.url},{second.url}"
    task = asyncio.ensure_future(keep(url, "test", serve, stop, "test.lost"))
    await asyncio.wait_for(links.get(), PATIENCE)
    assert not second.entered.is_set()
    await first.refuse()
    await asyncio.wait_for(links.get(), PATIENCE)
    assert second.entered.is_set()
    assert not facts.of("node.passed_over")
    first.entered.clear()
    await first.admit()
    second.cut()
    await asyncio.wait_for(links.get(), PATIENCE)
    assert first.entered.is_set()
    stop.set()
    await asyncio.wait_for(task, PATIENCE)


async def test_others_begin_with_the_node_that_was_found(gates: tuple[Gate, Gate]) -> None:
    """One connection that was lost is enough to know; one that was closed tells nothing."""
    first, second = gates
    url = f"{first.url},{second.url}"
    async with connected(url, "test"):
        assert first.entered.is_set()
    async with connected(url, "test") as link:
        first.cut()
        await asyncio.wait_for(link.lost, PATIENCE)
        assert not second.entered.is_set()
    async with connected(url, "test"):
        assert second.entered.is_set()


async def test_consuming_goes_on_when_the_first_broker_goes_away(
    wire: Bystander, gates: tuple[Gate, Gate], facts: Facts
) -> None:
    """A consumer and a publisher live through the end of the node they were at."""
    first, second = gates
    url = f"{first.url},{second.url}"
    seen: asyncio.Queue[str | None] = asyncio.Queue()

    async def note(message: Inbound) -> None:
        seen.put_nowait(message.message_id)

    publisher = Publisher(url)
    async with running(publisher), running(Consumer(url, COMMANDS_QUEUE, note, prefetch=1)):
        await first.refuse()
        await facts.wait("consumer.started", 2)
        await facts.wait("publisher.started", 2)
        identity = str(uuid4())
        command = event(identity, "workspace.pause", exchange="workspace.commands")
        assert await publisher.publish([command]) == ["confirmed"]
        assert await asyncio.wait_for(seen.get(), PATIENCE) == identity
    assert await wire.emptied(COMMANDS_QUEUE)


async def test_where_nobody_is_there_each_is_named() -> None:
    """The error tells all of them, and that waiting may help."""
    one, other = free_ports(2)
    text = f"amqp://me:secret@127.0.0.1:{one}/v,amqp://me:secret@127.0.0.1:{other}/v"
    with pytest.raises(UnavailableError, match=f"127.0.0.1:{one}/v.*; .*:{other}/v") as caught:
        await open_link(text, "test")
    assert not isinstance(caught.value, RefusedError)
    assert "secret" not in f"{caught.value!r}"


async def test_where_one_may_come_back_a_refusal_by_the_other_is_waited_out(
    amqp_url: str,
) -> None:
    """Only where each refuses us is waiting no use."""
    port = urlsplit(amqp_url).port or 0
    wrong = at(amqp_url, port)
    with pytest.raises(UnavailableError) as caught:
        await open_link(f"{wrong},{at(amqp_url, *free_ports(1))}", "test")
    assert not isinstance(caught.value, RefusedError)
    with pytest.raises(RefusedError):
        await open_link(f"{wrong},{at(amqp_url, port)}", "test")


@pytest.mark.parametrize(
    ("changes", "what"),
    [({"path": "/another"}, "vhost"), ({"user": "another"}, "user")],
)
async def test_urls_of_several_vhosts_or_users_are_refused(
    amqp_url: str, changes: dict[str, str], what: str
) -> None:
    """One connection would go there and another one elsewhere: nothing is opened at all."""
    text = f"{amqp_url},{at(amqp_url, 1, **changes)}"
    with pytest.raises(RefusedError, match=f"do not all have the same {what}") as caught:
        await open_link(text, "test")
    assert "secret" not in str(caught.value)
    assert "another" not in str(caught.value)


async def test_each_url_has_to_be_one(amqp_url: str) -> None:
    """What is wrong with the second is found before the first is tried."""
    with pytest.raises(RefusedError, match="cannot be read") as caught:
        await open_link(f"{amqp_url},amqp://me:77/secret@host/", "test")
    assert "secret" not in str(caught.value)
