"""Servers in containers, where a Docker engine answers: gone with their parent too."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import aio_pika
import pytest

from consumer.devstack.containers import DOCKER_INSTALLED, container_node, engine_answers

if not DOCKER_INSTALLED or not engine_answers():
    pytest.skip("no Docker engine answers here", allow_module_level=True)

import docker

PARENT = """
import sys
from contextlib import ExitStack
from consumer.devstack.containers import container_broker, container_postgres
from consumer.devstack.stack import Stack
from consumer.devstack.lease import database, vhost
with container_broker(print) as (amqp, management), container_postgres(print) as url:
    stack = Stack(amqp, management, url, "", {})
    with vhost(stack), database(stack):
        print("up", flush=True)
        sys.stdin.read()
"""


def marked() -> set[str]:
    """Name the containers that bear one of our labels, running or not."""
    client = docker.from_env()
    try:
        return {
            str(container.id)
            for container in client.containers.list(all=True)
            if any(label.startswith("workspace-lifecycle-") for label in container.labels)
        }
    finally:
        client.close()


@pytest.mark.parametrize("ending", ["closed", "killed"])
def test_containers_serve_and_go_with_their_parent(ending: str) -> None:
    """Leases work on them; a parent that ends or is killed leaves none of its two."""
    before = marked()
    program = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert program.stdin is not None
    assert program.stdout is not None
    with program.stdin, program.stdout:
        while (line := program.stdout.readline()) != "up\n":
            assert line, "it ended"
        ours = marked() - before
        assert len(ours) >= 2
        if ending == "killed":
            program.send_signal(signal.SIGKILL)
    program.wait()
    end = time.monotonic() + 30
    while ours & marked() and time.monotonic() < end:
        time.sleep(0.2)
    assert not ours & marked()


async def test_a_killed_node_comes_back_with_its_messages() -> None:
    """On the ports that it had."""
    with container_node(print) as node:
        async with await aio_pika.connect(node.amqp) as connection:
            channel = await connection.channel()
            await channel.declare_queue("kept", durable=True)
            await channel.default_exchange.publish(aio_pika.Message(b"", delivery_mode=2), "kept")
        node.ctl("eval", "ok.")
        node.down()
        node.up()
        async with await aio_pika.connect(node.amqp) as connection:
            kept = await (await connection.channel()).get_queue("kept")
            assert kept.declaration_result.message_count == 1


def test_an_engine_elsewhere_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody listens there is no engine."""
    monkeypatch.setitem(os.environ, "DOCKER_HOST", f"unix://{Path(__file__)}")
    assert not engine_answers()
