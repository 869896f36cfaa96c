"""docs/recipes.md: its Python is run as it stands, against the program; its Go too."""

import asyncio
import json
import os
import re
import shlex
import shutil
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from faststream.rabbit import RabbitBroker
from pika.exceptions import ChannelClosedByBroker

from consumer.devstack.lease import vhost
from consumer.devstack.stack import Stack
from tests.support.caller import WireCaller
from tests.support.documented import DOCS, block
from tests.support.forest import Forest

PAGE = (DOCS / "recipes.md").read_text()
PAUSE = "workspace.pause"
pytestmark = pytest.mark.usefixtures("program")


def recipe(name: str) -> dict[str, Any]:
    """Run a recipe's block; give what it defines."""
    (source,) = re.findall(rf"```python {name}\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {"__name__": name}
    exec(compile(source, f"recipes.md: {name}", "exec"), names)
    return names


@pytest.fixture
def gateway(amqp_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Run the gateway, in a loop of its own."""
    monkeypatch.setenv("LIFECYCLE_AMQP_URL", amqp_url)
    with TestClient(recipe("gateway")["app"]) as client:
        yield client


Call = Callable[..., Coroutine[Any, Any, Any]]


def beside(call: Callable[..., Any], *first: object) -> Call:
    """Have a call that blocks made beside the program."""

    async def called(*others: object, **named: object) -> Any:
        return await asyncio.to_thread(call, *first, *others, **named)

    return called


@pytest.fixture
def post(gateway: TestClient) -> Call:
    """Post to the gateway."""
    return beside(gateway.post)


async def test_the_gateway_answers_as_the_route_did_and_lists_what_it_will_not_hit(
    post: Call, forest: Forest
) -> None:
    """409 and the descendants without the flag, and nothing changed; 200 and the count with it."""
    parent = await forest.plant("parent", "parent/one", "parent/two")
    refused = await post(f"/workspaces/{parent}/pause")
    problem = refused.json()
    assert refused.status_code == problem["status"] == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert problem["code"] == "descendants_exist"
    assert [one["name"] for one in problem["descendants"]] == ["one", "two"]
    assert set((await forest.statuses()).values()) == {"online"}
    listed = {"If-Match": f'"{problem["tree_etag"]}"'}
    paused = await post(f"/workspaces/{parent}/pause?cascade=true", headers=listed)
    assert (paused.status_code, paused.json()["paused_count"]) == (200, 3)
    assert "X-Molecule-Implicit-Cascade" not in paused.headers
    resumed = await post(f"/workspaces/{parent}/resume?cascade=true")
    assert (resumed.status_code, resumed.json()["resumed_count"]) == (200, 3)


async def test_the_gateway_carries_out_one_key_once(post: Call, forest: Forest) -> None:
    """Who posts again under the same Idempotency-Key gets the same answer."""
    lone = await forest.plant("lone")
    key = {"Idempotency-Key": "once"}
    answers = [await post(f"/workspaces/{lone}/pause", headers=key) for _ in range(2)]
    assert [answer.json()["paused_count"] for answer in answers] == [1, 1]
    assert answers[0].json() == answers[1].json()


async def test_the_gateway_tells_what_is_not_there_and_what_it_cannot_read(
    post: Call, forest: Forest
) -> None:
    """An unknown workspace is 404, another tree 412, no UUID and no such flag 422."""
    lone = await forest.plant("lone")
    assert (await post(f"/workspaces/{uuid4()}/pause")).status_code == 404
    changed = await post(f"/workspaces/{lone}/pause", headers={"If-Match": '"another"'})
    assert changed.status_code == 412
    assert (await post("/workspaces/lone/pause")).status_code == 422
    assert (await post(f"/workspaces/{lone}/pause?cascade=perhaps")).status_code == 422


async def test_the_gateway_tells_that_nobody_listens(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wrong vhost, or a program that has never run there, is a 503 that says so."""
    with vhost(stack) as empty_url:
        monkeypatch.setenv("LIFECYCLE_AMQP_URL", empty_url)
        with TestClient(recipe("gateway")["app"]) as client:
            answer = await asyncio.to_thread(client.post, f"/workspaces/{uuid4()}/pause")
    assert (answer.status_code, answer.json()["status"]) == (503, 503)
    assert "workspace-lifecycle run" in answer.json()["detail"]


@pytest.mark.settings(implicit_cascade="deprecated")
async def test_the_gateway_marks_a_cascade_that_nobody_asked_for(
    post: Call, forest: Forest
) -> None:
    """In the migration period the old call goes through, with the header."""
    parent = await forest.plant("parent", "parent/one", "parent/two")
    paused = await post(f"/workspaces/{parent}/pause")
    assert (paused.status_code, paused.json()["paused_count"]) == (200, 3)
    assert paused.headers["X-Molecule-Implicit-Cascade"] == "deprecated"


async def test_the_client_recipe_waits_for_the_machines(forest: Forest, amqp_url: str) -> None:
    """It pauses a tree and gives how many machines stopped; a refusal ends it."""
    parent = await forest.plant("parent", "parent/one", "parent/two")
    pause_tree = recipe("client")["pause_tree"]
    assert await pause_tree(amqp_url, parent) == 3
    with pytest.raises(SystemExit, match="not paused: 404"):
        await pause_tree(amqp_url, uuid4())


async def test_the_pika_recipe_asks(forest: Forest, amqp_url: str) -> None:
    """It is answered with a refusal and with a summary, and again under the same id."""
    parent = await forest.plant("parent", "parent/one")
    ask = beside(recipe("pika")["ask"], amqp_url, PAUSE)
    refused = await ask({"workspace_id": str(parent)})
    assert refused["type"] == "workspace.pause.rejected"
    assert refused["data"]["descendants"][0]["name"] == "one"
    command = {"workspace_id": str(parent), "cascade": True}
    answers = [await ask(command, "kept") for _ in range(2)]
    assert [answer["data"]["paused_count"] for answer in answers] == [2, 2]


async def test_the_pika_recipe_is_told_where_the_program_never_ran(stack: Stack) -> None:
    """A vhost without the exchange is an error, not a silence."""
    ask = recipe("pika")["ask"]
    with vhost(stack) as url, pytest.raises(ChannelClosedByBroker, match=r"workspace\.commands"):
        await asyncio.to_thread(ask, url, PAUSE, {})


async def test_the_faststream_recipe_asks(forest: Forest, amqp_url: str) -> None:
    """It is answered, and the program knows who asked."""
    parent = await forest.plant("parent", "parent/one")
    ask = recipe("faststream")["ask"]
    async with RabbitBroker(amqp_url, app_id="billing") as broker:
        refused = await ask(broker, PAUSE, {"workspace_id": str(parent)})
        paused = await ask(broker, PAUSE, {"workspace_id": str(parent), "cascade": True})
    assert (refused["data"]["status"], paused["data"]["paused_count"]) == (409, 2)
    asked = await forest.connection.fetchval("select distinct app_id from lifecycle.operation")
    assert asked == "billing"


async def test_the_line_for_rabbitmqadmin_is_a_command(forest: Forest, caller: WireCaller) -> None:
    """What stands in its line is taken by the program as it is."""
    line = block("sh", "rabbitmqadmin", "recipes.md").replace("\\\n", "").splitlines()[0]
    said = dict(word.split("=", 1) for word in shlex.split(line)[2:])
    identity = re.search(r"[0-9a-f-]{36}", said["payload"])
    assert identity
    await forest.connection.execute(
        "insert into workspaces (id, name, status) values ($1, 'named', 'online')", identity[0]
    )
    await caller.send(
        said["routing_key"], said["payload"].encode(), exchange=said["exchange"], app_id="ops"
    )
    (heard,) = await caller.hear("workspace.pause.summary", workspace_id=identity[0])
    assert heard.data["paused_count"] == 1


GO_LIBRARIES = os.environ.get("GOPATH", "/usr/share/gocode")
"""Where Debian has them: golang-github-rabbitmq-amqp091-go-dev."""
GO_MAIN = """
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	amqp "github.com/rabbitmq/amqp091-go"

	"lifecycle"
)

func main() {
	conn, err := amqp.Dial(os.Args[1])
	if err != nil {
		panic(err)
	}
	event, err := lifecycle.Ask(
		context.Background(), conn, "workspace.pause", os.Args[2], json.RawMessage(os.Args[3]))
	if err != nil {
		panic(err)
	}
	fmt.Println(string(event.Data))
}
"""


@pytest.mark.skipif(
    shutil.which("go") is None or not Path(GO_LIBRARIES, "src/github.com/rabbitmq").exists(),
    reason="no Go with github.com/rabbitmq/amqp091-go",
)
async def test_the_go_recipe_asks(forest: Forest, amqp_url: str, tmp_path: Path) -> None:
    """It compiles, and is answered with the summary."""
    lone = await forest.plant("lone")
    package = tmp_path / "src" / "lifecycle"
    package.mkdir(parents=True)
    (package / "lifecycle.go").write_text(block("go", "package lifecycle", "recipes.md"))
    (tmp_path / "main.go").write_text(GO_MAIN)
    paths = {"GOPATH": f"{tmp_path}:{GO_LIBRARIES}", "GOCACHE": str(tmp_path / "cache")}
    command = json.dumps({"workspace_id": str(lone)})
    ran = await asyncio.create_subprocess_exec(
        *("go", "run", str(tmp_path / "main.go"), amqp_url, "go-1", command),
        env={**os.environ, **paths, "GO111MODULE": "off"},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await ran.communicate()
    assert json.loads(said)["paused_count"] == 1
