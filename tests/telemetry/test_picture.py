"""The dashboard's panels as they are during four eventful minutes: `make pictures` draws them."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import count, cycle
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from consumer.devstack.server import free_ports
from tests.broker.gate import Gate
from tests.contract.answering import say
from tests.support.caller import WireCaller
from tests.support.chart import Answered, draw
from tests.support.fleet import launch
from tests.support.forest import Forest
from tests.support.front import Front
from tests.support.panels import DASHBOARD, PANELS, Window
from tests.support.program import Process, process
from tests.support.prometheus import NONE, PROMETHEUS, Prometheus, prometheus

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

pytestmark = [
    pytest.mark.pictures,
    pytest.mark.usefixtures("archive_past_the_front"),
    pytest.mark.skipif(PROMETHEUS is None, reason=NONE),
    pytest.mark.timeout(600),
]
PICTURE = Path(__file__).parents[2] / "docs" / "dashboard.svg"
SECONDS, EVERY = 240.0, 5.0
"""How long it takes, and how often it is scraped, as by the shipped configuration."""
POLICY = 'require_user_id = false\n[default]\ncascade = true\nactions = ["pause", "resume"]\n'
TREES = 24
BAD = (400, "OperationNotPermitted", "The instance may not be stopped.")
Scene = Callable[[], Awaitable[object]]


class Day:
    """What is sent, and what goes wrong, by the second."""

    def __init__(
        self, caller: WireCaller, stranger: WireCaller, forest: Forest, front: Front, gate: Gate
    ) -> None:
        self.caller, self.stranger, self.forest = caller, stranger, forest
        self.front, self.gate = front, gate
        self.big = self.alone = uuid4()
        self.small: list[UUID] = []

    async def plant(self, machines: Sequence[str]) -> None:
        """Plant a company of 200, and small teams beside it, each workspace with a machine."""
        teams = [f"Company/Team {team}" for team in range(10)]
        below = [f"Team {team}/Agent {team}-{one}" for team in range(10) for one in range(19)]
        self.big = await self.forest.plant("Company", *teams, *below[:189])
        for tree in range(TREES):
            names = (f"Lead {tree}", f"Lead {tree}/One {tree}", f"Lead {tree}/Two {tree}")
            self.small.append(await self.forest.plant(*names))
        statement = "update workspaces set instance_id = $1 where name = $2"
        rows = zip(machines, self.forest.ids, strict=True)
        await self.forest.connection.executemany(statement, [*rows])

    async def command(self, action: str, workspace: UUID, **fields: object) -> None:
        """Send a command to which nobody waits for an answer."""
        app = str(fields.pop("app", "control-plane"))
        data = {"workspace_id": workspace, **fields}
        await self.caller.send(f"workspace.{action}", data, app_id=app)

    async def small_ones(self, end: float) -> None:
        """Pause and resume the teams, more often and less; among it dry runs and refusals."""
        actions = cycle(["pause"] * TREES + ["resume"] * TREES)
        for number, team, action in zip(count(), cycle(self.small), actions, strict=False):
            if time.time() > end:
                return
            await self.command(action, team, cascade=True)
            if number % 4 == 0:
                await self.command(action, team, cascade=True, dry_run=True)
            if number % 7 == 0:
                await self.command("pause", self.big)
            if number % 11 == 0:
                await self.command("resume", uuid4())
            if number % 13 == 0:
                data = {"workspace_id": team, "cascade": True}
                await self.caller.send("workspace.resume", data, message_id="known")
            if number % 17 == 0:
                await self.command("pause", team, app=("cron", "billing")[number % 2])
            await asyncio.sleep(0.25 + 0.2 * math.sin(time.time() / 12))

    async def throttling(self) -> None:
        """Have EC2 take no notice of many calls for a while."""
        self.front.throttled = 0.4
        await asyncio.sleep(25)
        self.front.throttled = 0.0

    async def failing(self) -> None:
        """Have EC2 refuse a fifth of the machines for a while."""
        rows = await self.forest.connection.fetch("select instance_id from workspaces")
        self.front.bad.update({row["instance_id"]: BAD for row in rows[::5]})
        await asyncio.sleep(20)
        self.front.bad.clear()

    async def cut_off(self) -> None:
        """Take the broker away."""
        await self.gate.refuse()
        await asyncio.sleep(8)
        await self.gate.admit()

    async def strange(self) -> None:
        """Send what nobody can read, and results of somebody who may not."""
        for queue in ("commands", "commands", "executor"):
            await self.caller.send("x", b"{}", exchange="", routing_key=f"lifecycle.{queue}")
        for _ in range(6):
            order = {"operation_id": str(uuid4()), "workspace_id": str(uuid4()), "generation": 1}
            await say(self.stranger, "stopped", order)

    async def play(self, seconds: float) -> None:
        """Play it all."""
        scenes: Sequence[tuple[float, Scene]] = (
            (35, lambda: self.command("pause", self.big, cascade=True)),
            (80, lambda: self.command("resume", self.big, cascade=True)),
            (110, self.throttling),
            (145, self.failing),
            (180, self.cut_off),
            (205, self.strange),
        )

        async def later(after: float, scene: Scene) -> None:
            await asyncio.sleep(after)
            await scene()

        async with asyncio.TaskGroup() as group:
            group.create_task(self.small_ones(time.time() + seconds))
            for after, scene in scenes:
                group.create_task(later(after, scene))


async def drain(program: Process) -> None:
    """Read what the program logs: a full pipe would hold it up."""
    assert program.process.stderr is not None
    while await program.process.stderr.readline():
        pass


async def answers(server: Prometheus, window: Window) -> AsyncIterator[Answered]:
    """Ask each panel's queries."""
    for panel in PANELS:
        found = [await window.lines(server, target) for target in panel["targets"]]
        yield Answered(panel, [line for lines in found for line in lines])


async def test_the_picture_is_drawn(
    gate: Gate, database_url: str, aws: "EC2Client", front: Front, bucket_url: str,
    caller: WireCaller, stranger: WireCaller, forest: Forest, tmp_path: Path,
) -> None:  # fmt: skip
    """From what Prometheus answers to the panels' queries; none of them is empty."""
    day = Day(caller, stranger, forest, front, gate)
    await day.plant(launch(aws, 200 + 3 * TREES))
    (tmp_path / "policy.toml").write_text(POLICY)
    (port,) = free_ports(1)
    settings = {
        "LIFECYCLE_EXECUTOR": "ec2",
        "LIFECYCLE_ARCHIVE_URL": bucket_url,
        "LIFECYCLE_ARCHIVE_EVERY": "20",
        "LIFECYCLE_IMPLICIT_CASCADE_APPS": "cron,billing",
        "LIFECYCLE_POLICY_FILE": str(tmp_path / "policy.toml"),
        "LIFECYCLE_LISTEN": f"127.0.0.1:{port}",
    }
    async with process(gate.url, database_url, **settings) as program:
        await program.until("program.started")
        draining = asyncio.create_task(drain(program))
        async with prometheus(f"127.0.0.1:{port}", every=EVERY) as server:
            await server.until("count_over_time(lifecycle_ready[1m]) > 1")
            begin = time.time()
            await day.play(SECONDS)
            window = Window(begin, time.time(), EVERY, EVERY)
            answered = [one async for one in answers(server, window)]
        draining.cancel()
        with suppress(asyncio.CancelledError):
            await draining
    PICTURE.write_text(draw(DASHBOARD, answered, window))
    assert [one.panel["title"] for one in answered if not one.lines] == []
