"""FleetExecutor beside others: the loop, the threads, the client, and what it never does."""

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

import consumer
from consumer.executor.ec2 import Ec2
from tests.executor.conftest import state
from tests.executor.fences import fleet
from tests.executor.orders import order
from tests.support.front import Front, until

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client


async def test_a_slow_ec2_holds_neither_the_loop_nor_its_threads(
    front: Front, instance_id: str
) -> None:
    """With every call slow the loop keeps its beat and a name can still be looked up."""
    loop = asyncio.get_running_loop()
    ec2 = Ec2()
    await ec2.look([instance_id])
    front.delay = 0.5
    carried = asyncio.gather(*(ec2.look([instance_id]) for _ in range(12)))
    longest = 0.0
    await until(lambda: front.at_once == 4)
    began = loop.time()
    await loop.getaddrinfo("localhost", 1)
    looked_up = loop.time() - began
    last = loop.time()
    while not carried.done():
        await asyncio.sleep(0.01)
        longest, last = max(longest, loop.time() - last), loop.time()
    assert all(seen[instance_id].state == "running" for seen in carried.result())
    assert looked_up < 0.4
    assert longest < 0.4
    assert front.most_at_once <= 4


async def test_the_clients_are_created_once_and_not_before_it_is_needed(
    aws: "EC2Client", instance_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many first orders at once share two clients: boto3's session is not safe to share then."""
    created: list[object] = []

    class Counted(boto3.Session):
        def client(self, *args: object, **settings: object) -> object:  # type: ignore[override]  # whatever it is given
            created.append(args)
            return super().client(*args, **settings)  # type: ignore[call-overload]  # the same

    monkeypatch.setattr(boto3, "Session", Counted)
    executor = fleet()
    assert created == []
    await asyncio.gather(*(executor.carry_out(order("start", instance_id)) for _ in range(8)))
    assert len(created) == 2
    assert state(aws, instance_id) == "running"


def test_nothing_ever_terminates_and_boto3_stays_in_one_module() -> None:
    """No code of the program can terminate a machine, and one module of the room knows boto3."""
    root = Path(consumer.__file__).parent
    files = {path: path.read_text() for path in root.rglob("*.py")}
    assert files
    terminating = re.compile(r"terminate_?instances", re.IGNORECASE)
    assert [path for path, text in files.items() if terminating.search(text)] == []
    knowing = re.compile(r"^\s*(import|from) boto(3|core)", re.MULTILINE)
    room = {
        path.name
        for path, text in files.items()
        if knowing.search(text) and path.parent.name == "executor"
    }
    assert room == {"ec2.py"}
