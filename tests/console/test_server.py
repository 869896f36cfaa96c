"""The console over HTTP: who gets in, what is told, and that nothing is changed."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from consumer.broker.depth import Depths
from consumer.broker.topology import declare
from consumer.console.server import Address, Console, ExposedError
from schemas.topology import trigger_queues
from tests.console.conftest import serving
from tests.support.caller import WireCaller
from tests.support.forest import Forest

TOKEN = "a token of sixteen or more"


class Told:
    """What the stream of events told, part by part, the newest of each."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._lines = response.content
        self.parts: dict[str, Any] = {}

    async def next(self) -> tuple[str, Any]:
        """Wait for the next event."""
        event = data = ""
        async with asyncio.timeout(30):
            while line := (await self._lines.readline()).decode():
                name, _, value = line.rstrip("\n").partition(": ")
                event, data = (
                    (value if name == "event" else event),
                    (value if name == "data" else data),
                )
                if line == "\n" and event:
                    self.parts[event] = json.loads(data)
                    return event, self.parts[event]
        raise EOFError

    async def until(self, part: str, holds: Any) -> Any:
        """Wait until a part is as it should be."""
        while part not in self.parts or not holds(self.parts[part]):
            await self.next()
        return self.parts[part]


@pytest.fixture
async def told(console: str, http: aiohttp.ClientSession) -> AsyncIterator[Told]:
    """Give what the console tells."""
    async with http.get(f"{console}feed") as response:
        assert response.content_type == "text/event-stream"
        yield Told(response)


def statuses(forest: Any) -> dict[str, str]:
    """Give each workspace's status, by name."""
    return {name: status for _, _, name, status, _ in forest["nodes"]}


@pytest.mark.usefixtures("program")
async def test_the_state_comes_first_and_then_what_changed(
    forest: Forest, caller: WireCaller, console: str, http: aiohttp.ClientSession
) -> None:
    """Forest, operations, rejections with who asked, what waits; then a pause as it goes."""
    top = await forest.plant("top", "top/a")
    await caller.pause(top)
    async with http.get(f"{console}feed") as response:
        told = Told(response)
        found = await told.until("forest", bool)
        assert statuses(found) == {"top": "online", "a": "online"}
        (rejection,) = await told.until("rejections", bool)
        assert (rejection["code"], rejection["descendants"][0]["name"]) == (
            "descendants_exist",
            "a",
        )
        assert rejection["app_id"]
        queues = await told.until("queues", lambda queues: queues["lifecycle.commands.dead"] == 0)
        assert "lifecycle.triggers" not in queues
        assert (await told.until("waiting", bool))["open"] == 0
        await caller.pause(top, cascade=True)
        await told.until("forest", lambda found: set(statuses(found).values()) == {"paused"})
        await told.until("operations", lambda all_: all_ and all_[0]["succeeded_count"] == 2)


async def test_events_that_wait_for_a_trigger_are_told_where_there_are_any(
    amqp_url: str, database_url: str, http: aiohttp.ClientSession, caller: WireCaller
) -> None:
    """And what of them was parked, wherever that stands among the dead letters."""
    await declare(amqp_url, trigger_queues())
    for name in ("lifecycle.triggers", "lifecycle.triggers", "lifecycle.triggers.dead"):
        await caller.send("spent", b"{}", exchange="", routing_key=name)
    async with (
        serving(amqp_url, database_url) as console,
        http.get(f"{console}feed") as response,
        http.get(f"{console}dead-letters") as listed,
    ):
        await Told(response).until(
            "queues",
            lambda told: (told["lifecycle.triggers"], told["lifecycle.triggers.dead"]) == (2, 1),
        )
        assert [one["queue"] for one in await listed.json()] == ["lifecycle.triggers.dead"]


async def test_a_queue_that_need_not_be_there_is_not_looked_for_at_every_look(
    amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ would log each as an error; what is there is counted all the same."""
    await declare(amqp_url)
    depths = Depths(amqp_url, ["lifecycle.commands"], optional=["lifecycle.triggers"])
    monkeypatch.setattr("consumer.broker.depth.AGAIN", 1.0)
    assert await depths.read() == {"lifecycle.commands": 0}
    await declare(amqp_url, trigger_queues())
    assert await depths.read() == {"lifecycle.commands": 0}
    await asyncio.sleep(1.0)
    assert await depths.read() == {"lifecycle.commands": 0, "lifecycle.triggers": 0}
    await depths.close()


@pytest.mark.usefixtures("program")
async def test_what_the_platform_changes_is_told_too(told: Told, forest: Forest) -> None:
    """Nobody publishes it: the database is asked from time to time."""
    top = await forest.plant("top")
    await told.until("forest", lambda found: statuses(found) == {"top": "online"})
    await forest.connection.execute("update workspaces set status = 'failed' where id = $1", top)
    await told.until("forest", lambda found: statuses(found) == {"top": "failed"})


@pytest.mark.usefixtures("program")
async def test_a_dry_run_tells_what_a_cascade_would_hit(
    console: str, http: aiohttp.ClientSession, forest: Forest
) -> None:
    """It is the program's own answer, and nothing is changed."""
    top = await forest.plant("top", "top/a")
    for cascade, would in ((True, "summary"), (None, "rejected")):
        wanted = {"action": "pause", "workspace_id": str(top), "cascade": cascade}
        async with http.post(f"{console}dry-run", json=wanted) as response:
            assert (await response.json())["would"] == would
    assert set((await forest.statuses()).values()) == {"online"}


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"action": "pause"}', "application/json", 400),
        (b'{"action": "stop", "workspace_id": "x"}', "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"x" * 5000, "application/json", 413),
        (b"action=pause", "application/x-www-form-urlencoded", 415),
        (b"{}", "text/plain", 415),
    ],
)
async def test_a_dry_run_that_cannot_be_read_is_refused(
    console: str, http: aiohttp.ClientSession, body: bytes, kind: str, status: int
) -> None:
    """And so is what a form on another site could send."""
    headers = {"Content-Type": kind}
    async with http.post(f"{console}dry-run", data=body, headers=headers) as response:
        assert response.status == status


async def test_a_dry_run_without_the_program_is_503(
    console: str, http: aiohttp.ClientSession, forest: Forest
) -> None:
    """It says what is missing."""
    wanted = {"action": "pause", "workspace_id": str(await forest.plant("top"))}
    async with http.post(f"{console}dry-run", json=wanted) as response:
        assert (response.status, "workspace-lifecycle run" in await response.text()) == (503, True)


@pytest.mark.usefixtures("program")
async def test_dead_letters_are_listed_and_stay(
    console: str, http: aiohttp.ClientSession, caller: WireCaller
) -> None:
    """Looking twice shows the same."""
    for _ in range(2):
        await caller.send("workspace.stopped", b"no json", exchange="workspace.events")
    letters: list[Any] = []
    async with asyncio.timeout(30):
        while len(letters) < 2:
            async with http.get(f"{console}dead-letters") as response:
                letters = await response.json()
    async with http.get(f"{console}dead-letters") as response:
        assert await response.json() == letters
    assert {one["queue"] for one in letters} == {"lifecycle.results.dead"}
    assert all(one["why"] for one in letters)


@pytest.mark.parametrize(
    ("password", "status"), [(TOKEN, 200), ("another", 401), ("", 401), (None, 401)]
)
async def test_with_a_token_only_who_has_it_gets_in(
    amqp_url: str,
    database_url: str,
    http: aiohttp.ClientSession,
    password: str | None,
    status: int,
) -> None:
    """On every path, with the scheme that browsers ask their people for."""
    credentials = base64.b64encode(f"anybody:{password}".encode()).decode()
    headers = {} if password is None else {"Authorization": f"Basic {credentials}"}
    async with serving(amqp_url, database_url, "0.0.0.0", TOKEN) as url:
        for path in ("", "feed", "dead-letters"):
            if path == "dead-letters" and status == 200:
                continue
            async with http.get(f"{url}{path}", headers=headers) as response:
                assert response.status == status
                if status == 401:
                    assert response.headers["WWW-Authenticate"].startswith("Basic")


async def test_an_open_console_is_not_served_to_the_network(
    amqp_url: str, database_url: str
) -> None:
    """Without a token it refuses to start there, naming the way out."""
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(ExposedError, match="LIFECYCLE_CONSOLE_TOKEN"):
            Console(amqp_url, database_url, Address(host, 0))


async def test_another_sites_name_for_this_machine_gets_nothing(
    console: str, http: aiohttp.ClientSession
) -> None:
    """DNS rebinding: the browser names the other site, and is refused."""
    async with http.get(console, headers={"Host": "evil.example"}) as response:
        assert response.status == 403


async def test_the_page_may_run_its_own_script_only(
    console: str, http: aiohttp.ClientSession
) -> None:
    """No frame, no form, nothing from elsewhere."""
    async with http.get(console) as response:
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "src=" not in (await response.text()).replace("default-src=", "")


@pytest.mark.parametrize("text", ["", "127.0.0.1", "127.0.0.1:x", ":80"])
def test_an_address_is_a_host_and_a_port(text: str) -> None:
    """Anything else is named."""
    with pytest.raises(ValueError, match="host:port"):
        Address.of(text)
    assert Address.of("[::1]:80") == Address("::1", 80)
    assert Address.of("[::1]:80").is_loopback


async def test_servers_that_are_away_are_told_and_waited_for(
    http: aiohttp.ClientSession, database_url: str, forest: Forest
) -> None:
    """The page says which is away, and shows what the other one tells."""
    await forest.plant("top")
    async with (
        serving("amqp://guest:guest@127.0.0.1:1/none", database_url) as url,
        http.get(f"{url}feed") as response,
    ):
        told = Told(response)
        assert "127.0.0.1:1" in await told.until("broker", bool)
        assert statuses(await told.until("forest", bool)) == {"top": "online"}
    async with (
        serving("amqp://guest:guest@127.0.0.1:1/none", "postgresql://x@127.0.0.1:1/x") as url,
        http.get(f"{url}feed") as response,
    ):
        assert await Told(response).until("database", bool)
