"""The program as a process: it stops in order, at once if told twice, and logs JSON lines alone."""

import asyncio
import signal
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from consumer.devstack.server import free_ports
from tests.support.caller import WireCaller
from tests.support.forest import Forest
from tests.support.program import process


async def test_a_graceful_stop_finishes_what_is_in_hand(
    caller: WireCaller, forest: Forest, amqp_url: str, database_url: str
) -> None:
    """SIGTERM: no new commands, what is in hand is finished, published and acknowledged."""
    top = await forest.plant("top")
    blocker = forest.connection.transaction()
    async with process(amqp_url, database_url) as program:
        await program.until("program.started")
        await blocker.start()
        await forest.connection.execute("update workspaces set tier = 1 where id = $1", top)
        asking = asyncio.create_task(caller.pause(top))
        await forest.waited_for()
        program.process.send_signal(signal.SIGTERM)
        await program.until("program.stopping")
        await blocker.commit()
        assert (await asking).data["status"] == 200
        assert await program.ended() == 0
    assert await forest.connection.fetchval("select count(*) from lifecycle.outbox") == 0
    queue = await caller.channel.declare_queue("lifecycle.commands", passive=True)
    assert queue.declaration_result.message_count == 0


async def test_a_second_signal_ends_it_at_once(
    caller: WireCaller, forest: Forest, amqp_url: str, database_url: str
) -> None:
    """A second SIGTERM does not wait for what is in hand."""
    top = await forest.plant("top")
    async with process(amqp_url, database_url) as program, forest.connection.transaction():
        await program.until("program.started")
        await forest.connection.execute("update workspaces set tier = 1 where id = $1", top)
        await caller.send("workspace.pause", {"workspace_id": top})
        await forest.waited_for()
        program.process.send_signal(signal.SIGTERM)
        await program.until("program.stopping")
        program.process.send_signal(signal.SIGTERM)
        assert await program.ended() == -signal.SIGTERM


async def test_log_lines_are_json_with_the_ids_bound_and_no_secret(
    caller: WireCaller, forest: Forest, amqp_url: str, database_url: str
) -> None:
    """Every line is JSON; a command's lines carry its message, workspace and operation."""
    top = await forest.plant("top")
    async with process(amqp_url, database_url) as program:
        await program.until("program.started")
        answer = await caller.ask("workspace.pause", {"workspace_id": top}, message_id="m-1")
        line = await program.until("operation.recorded")
        program.process.send_signal(signal.SIGTERM)
        assert await program.ended() == 0
    assert line["message_id"] == "m-1"
    assert line["workspace_id"] == str(top)
    assert line["operation_id"] == answer.data["operation_id"]
    password = urlsplit(amqp_url).password or ""
    assert f":{password}@" not in str(program.lines)


async def test_what_a_sender_writes_stays_within_its_log_line(
    caller: WireCaller, forest: Forest, amqp_url: str, database_url: str
) -> None:
    """Line breaks and escape sequences in what is repeated of a message do nothing to it."""
    top = await forest.plant("top")
    nasty = 'm\n{"event": "forged"}\r\x1b[31m\x85\u2028\x7f'
    async with process(amqp_url, database_url) as program:
        await program.until("program.started")
        await caller.ask("workspace.pause", {"workspace_id": top}, message_id=nasty, app_id=nasty)
        line = await program.until("operation.recorded")
        kind = "no\nsuch\x1b[2J"
        await caller.send(kind, b"{}", exchange="", routing_key="lifecycle.commands", type=kind)
        parked = await program.until("delivery.parked")
        program.process.send_signal(signal.SIGTERM)
        assert await program.ended() == 0
    assert (line["message_id"], line["app_id"]) == (nasty, nasty)
    assert ascii(kind) in parked["why"]
    assert "forged" not in {one["event"] for one in program.lines}


async def test_health_tells_live_from_ready(amqp_url: str, database_url: str) -> None:
    """/livez and /readyz are 200 while it runs, and any other path says what there is."""
    (port,) = free_ports(1)
    listen = f"127.0.0.1:{port}"
    async with process(amqp_url, database_url, LIFECYCLE_LISTEN=listen) as program:
        await program.until("program.started")
        for path, expected in (("livez", 200), ("readyz", 200), ("other", 404)):
            assert await asyncio.to_thread(_status, f"http://{listen}/{path}") == expected
        program.process.send_signal(signal.SIGINT)
        assert await program.ended() == 0


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
