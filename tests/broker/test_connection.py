"""Connections: opened once, refused clearly, lost loudly, and never with a password in a text."""

import asyncio
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from consumer.broker.connection import (
    Backoff,
    Link,
    RefusedError,
    connected,
    keep,
    open_link,
    redacted,
    translating,
)
from consumer.devstack.server import free_ports
from consumer.message import UnavailableError
from tests.broker.conftest import Management
from tests.broker.gate import Gate
from tests.broker.tools import PATIENCE, Facts


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://me:secret@host:5672/v", "amqp://host:5672/v"),
        ("amqps://me:secret@host/", "amqps://host/"),
        ("amqp://me:secret@host/v?password=secret", "amqp://host/v"),
        ("amqp://me:sec/ret@host/", "a URL that cannot be read"),
        ("amqp://me:secret@host:port/", "a URL that cannot be read"),
        ("amqp:me:secret@host", "a URL that cannot be read"),
        ("me:secret@host", "a URL that cannot be read"),
        ("", "a URL that cannot be read"),
    ],
)
def test_a_url_is_shown_without_credentials(url: str, shown: str) -> None:
    """What is shown of a URL says where it leads, and holds neither user nor password."""
    assert redacted(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "me:secret@host",
        "http://me:secret@host/",
        "amqp://me:secret@host:port/",
        "amqp://",
        "amqp://me:77#secret@host/",
        "amqp://me:77/secret@host/",
        "amqp://me:77?secret@host/",
        "amqp://me:secret@77@host/",
    ],
)
async def test_what_is_no_amqp_url_is_named_without_its_password(url: str) -> None:
    """A setting that is no AMQP URL is refused as one, without repeating it or any part of it."""
    with pytest.raises(RefusedError, match="the AMQP URL") as caught:
        await open_link(url, "test")
    assert "secret" not in str(caught.value)
    assert "77" not in str(caught.value)


async def test_tls_for_a_url_without_it_is_refused(tmp_path: Path) -> None:
    """A CA that nobody would look at is a connection that is thought to be safe."""
    ca = tmp_path / "ca.pem"
    ca.touch()
    with pytest.raises(RefusedError, match="cafile= has no effect on amqp://: say amqps://"):
        await open_link(f"amqp://me:secret@127.0.0.1:1/?cafile={ca}", "test")


async def test_nobody_there_is_unavailable() -> None:
    """Where nobody listens, the error says where that is, and that it may pass."""
    (port,) = free_ports(1)
    with pytest.raises(UnavailableError, match=f"127.0.0.1:{port}/v") as caught:
        await open_link(f"amqp://me:secret@127.0.0.1:{port}/v", "test")
    assert not isinstance(caught.value, RefusedError)
    assert "secret" not in f"{caught.value!r} {caught.value.__cause__!r}"


async def test_a_wrong_password_is_refused_without_repeating_it(amqp_url: str) -> None:
    """A broker that refuses the password is told from one that is away."""
    parts = urlsplit(amqp_url)
    place = f"{parts.username}:wrong-secret@{parts.hostname}:{parts.port}"
    wrong = urlunsplit(parts._replace(netloc=place))
    with pytest.raises(RefusedError) as caught:
        await open_link(wrong, "test")
    assert "wrong-secret" not in f"{caught.value!r} {caught.value.__cause__!r}"


async def test_a_vhost_that_is_not_there_is_refused(amqp_url: str) -> None:
    """A virtual host that does not exist is named, since waiting will not make it."""
    with pytest.raises(RefusedError, match="no-such-vhost"):
        await open_link(f"{amqp_url}-no-such-vhost", "test")


async def test_a_broker_that_does_not_answer_is_unavailable(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that accepts and then says nothing does not hold us for ever."""
    monkeypatch.setattr("consumer.broker.connection.TIMEOUT", 0.2)
    gate.freeze()
    with pytest.raises(UnavailableError, match="TimeoutError"):
        await open_link(gate.url, "test")


async def test_a_cut_connection_is_told(gate: Gate) -> None:
    """A connection that breaks resolves `lost`."""
    async with connected(gate.url, "test") as link:
        gate.cut()
        assert "connection" in await asyncio.wait_for(link.lost, PATIENCE)


async def test_a_connection_closed_by_the_broker_is_told_with_its_reason(
    amqp_url: str, close_by_broker: Management
) -> None:
    """A connection that an operator closes resolves `lost` with what the broker said."""
    async with connected(amqp_url, "closed by the broker") as link:
        await close_by_broker("closed by the broker")
        assert "CONNECTION_FORCED" in await asyncio.wait_for(link.lost, PATIENCE)


async def test_a_vital_channel_is_the_link_and_a_side_channel_is_not(amqp_url: str) -> None:
    """The broker's closing of a vital channel is told with its reason; another's is not."""
    async with connected(amqp_url, "test") as link:
        for vital in (False, True):
            assert not link.lost.done()
            channel = await link.underlay("a test", vital=vital)
            with pytest.raises(Exception, match="NOT_FOUND"):
                await channel.queue_declare("no-such-queue", passive=True)
        assert "no-such-queue" in await asyncio.wait_for(link.lost, PATIENCE)


async def test_keep_serves_again_after_a_loss(gate: Gate, facts: Facts) -> None:
    """A lost link is followed by another one, with the loss said in between."""
    served: asyncio.Queue[Link] = asyncio.Queue()
    stop = asyncio.Event()

    async def serve(link: Link) -> None:
        served.put_nowait(link)
        await link.until(stop)

    task = asyncio.ensure_future(keep(gate.url, "test", serve, stop, "test.lost"))
    first = await asyncio.wait_for(served.get(), PATIENCE)
    gate.cut()
    assert await asyncio.wait_for(served.get(), PATIENCE) is not first
    assert facts.of("test.lost")
    stop.set()
    await asyncio.wait_for(task, PATIENCE)


async def test_stop_does_not_wait_for_a_broker_that_does_not_answer(gate: Gate) -> None:
    """A stop breaks an attempt to connect off."""
    gate.freeze()
    stop = asyncio.Event()
    task = asyncio.ensure_future(keep(gate.url, "test", _never, stop, "test.lost"))
    await asyncio.wait_for(gate.entered.wait(), PATIENCE)
    stop.set()
    await asyncio.wait_for(task, 2)


def test_what_aiormq_raises_without_a_name_is_unavailable() -> None:
    """A bare Exception: its reader ended between two frames, and tells those who wait nothing."""
    bare = Exception()
    closed = pytest.raises(UnavailableError, match="could not wait: the connection was closed")
    with closed, translating("wait"):
        raise bare
    with pytest.raises(ValueError, match="ours"), translating("wait"):
        raise ValueError("ours")


async def test_a_cancellation_that_was_swallowed_below_is_raised() -> None:
    """Or a loop that was told to end goes on."""
    done = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        with translating("wait"), suppress(asyncio.CancelledError):
            await done

    task = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _never(_: Link) -> None:
    raise AssertionError


def test_backoff_grows_is_bounded_and_jittered() -> None:
    """Delays double to a bound, each between a half and the whole, and begin again on reset."""
    backoff = Backoff(first=1, most=8)
    delays = [backoff.next() for _ in range(6)]
    for delay, whole in zip(delays, [1, 2, 4, 8, 8, 8], strict=True):
        assert whole / 2 <= delay <= whole
    assert len({round(delay, 6) for delay in delays}) == 6
    backoff.reset()
    assert backoff.next() <= 1
