"""The shipped dashboard and rules in a real Prometheus, which scrapes the running program."""

import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from consumer.rules import Grant, Rules
from tests.broker.gate import Gate
from tests.contract.answering import say
from tests.support.caller import WireCaller
from tests.support.fleet import launch
from tests.support.forest import Forest
from tests.support.front import Front
from tests.support.panels import PANELS, Window
from tests.support.prometheus import (
    EVERY,
    NONE,
    PROMETHEUS,
    PROMTOOL,
    SHIPPED,
    Prometheus,
    prometheus,
)
from tests.telemetry.conftest import Measured

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

pytestmark = [
    pytest.mark.skipif(PROMETHEUS is None, reason=NONE),
    pytest.mark.usefixtures("archive_past_the_front"),
    pytest.mark.timeout(240),
]
POLICY = Rules(require_user_id=False, default=Grant(cascade=True))
THROTTLED = """
sum(lifecycle_executor_calls_total{outcome="throttled"})
+ sum(lifecycle_executor_call_retries_total) > 0
"""


@asynccontextmanager
async def watched(listen: str) -> AsyncIterator[Prometheus]:
    """Have a Prometheus that has scraped a program twice: of what came before it knows no rate."""
    async with prometheus(listen) as server:
        await server.until("count_over_time(lifecycle_ready[1m]) > 1")
        yield server


async def machines(forest: Forest, ids: list[str]) -> None:
    """Give each workspace a machine."""
    statement = "update workspaces set instance_id = $1 where name = $2"
    await forest.connection.executemany(statement, [*zip(ids, forest.ids, strict=True)])


async def ordinary(caller: WireCaller, forest: Forest, aws: "EC2Client") -> None:
    """Send what is sent every day: refused, tried out, carried out, repeated, taken back."""
    top = await forest.plant("top", "top/a", "top/b")
    await machines(forest, launch(aws, 3))
    await caller.pause(top)
    await caller.pause(top, cascade=True, dry_run=True)
    pause = {"workspace_id": top, "cascade": True}
    for _ in range(2):
        await caller.ask("workspace.pause", pause, message_id="once")
    await caller.hear("workspace.pause.settled")
    await caller.resume(top, cascade=True)
    await caller.hear("workspace.resume.settled")


async def trouble(caller: WireCaller, forest: Forest, front: Front) -> None:
    """Have EC2 tell of no stop, lose an answer, throttle, miss a machine; send what is wrong."""
    # Before EC2 throttles: after that, its client waits before each call, and deadlines are short.
    await caller.pause(await forest.plant("without a machine"))
    settled = await caller.hear("workspace.pause.settled", 2)
    assert settled[1].data["failed_count"] == 1
    top = forest.ids["top"]
    front.lag = 1_000_000
    await caller.ask("workspace.pause", {"workspace_id": top}, app_id="old")
    settled = await caller.hear("workspace.pause.settled", 3)
    assert settled[2].data["timed_out_count"] == 3
    front.forget()
    front.lost.add("StartInstances")
    await caller.resume(top, cascade=True)
    await caller.hear("workspace.resume.settled", 2)
    front.lost.clear()
    throttled = (503, "RequestLimitExceeded")
    front.refusals |= {"StopInstances": throttled, "DescribeInstances": throttled}
    await caller.pause(await forest.plant("throttled"))
    await caller.hear("workspace.pause.settled", 4)
    front.refusals.clear()
    await caller.send("no.such", b"{}", exchange="", routing_key="lifecycle.commands")


async def forge(stranger: WireCaller, forest: Forest) -> None:
    """Tell of a stop as somebody who may not."""
    order = {"operation_id": str(uuid4()), "workspace_id": str(forest.ids["top"]), "generation": 1}
    await say(stranger, "stopped", order)


@pytest.fixture
async def troubled(
    measured: Measured,
    caller: WireCaller,
    stranger: WireCaller,
    forest: Forest,
    front: Front,
    aws: "EC2Client",
    bucket_url: str,
) -> AsyncIterator[Prometheus]:
    """Watch an ordinary day, and then a bad one."""
    settings = {"executor": "ec2", "archive_url": bucket_url, "archive_every": 0.5}
    limits = {"settle_timeout": 5.0, "implicit_cascade_apps": ("old",), "policy_file": POLICY}
    async with measured(**settings, **limits) as listen, watched(listen) as server:
        await ordinary(caller, forest, aws)
        await trouble(caller, forest, front)
        await forge(stranger, forest)
        await server.until("lifecycle_dead_letters > 0")
        await server.until('lifecycle_messages_refused_total{message="result"} > 0')
        await server.until("lifecycle_archive_lag_messages")
        await server.until(THROTTLED)  # a call is counted at its end, after the deadline
        await server.scraped()
        yield server


async def test_every_panel_is_answered_and_what_went_wrong_is_alerted(troubled: Prometheus) -> None:
    """Each query with numbers, so that no panel says "No data"; each harm by its alert alone."""
    window = Window(troubled.began, time.time(), EVERY, EVERY)
    silent = [
        (panel["title"], target["expr"])
        for panel in PANELS
        for target in panel["targets"]
        if not await window.lines(troubled, target)
    ]
    assert silent == []
    assert {rule["health"] for rule in await troubled.rules()} == {"ok"}
    assert await troubled.firing() == {
        "LifecycleDeadLetters",
        "LifecycleExecutorCut",
        "LifecycleImplicitCascades",
        "LifecycleStopsFail",
        "LifecycleStrangers",
        "LifecycleThrottled",
        "LifecycleTimeouts",
    }


async def test_an_ordinary_day_alerts_nobody(
    measured: Measured, caller: WireCaller, forest: Forest, aws: "EC2Client", bucket_url: str
) -> None:
    """Refusals, dry runs, repetitions, and an archive that is written."""
    settings = {"executor": "ec2", "archive_url": bucket_url, "archive_every": 0.5}
    async with measured(**settings) as listen, watched(listen) as server:
        await ordinary(caller, forest, aws)
        await server.until("lifecycle_archive_records_total > 0")
        await server.scraped()
        assert {rule["health"] for rule in await server.rules()} == {"ok"}
        assert await server.firing() == set()


async def test_who_is_cut_off_and_who_is_gone_is_alerted(measured: Measured, gate: Gate) -> None:
    """Without the broker a process is not ready; where none answers, there is none."""
    async with measured(amqp_url=gate.url) as listen, watched(listen) as server:
        await gate.refuse()
        await server.until('lifecycle_up{server="broker"} == 0')
        await server.until("lifecycle_ready == 0")
        await server.scraped()
        assert await server.firing() == {"LifecycleNotReady", "LifecycleServerAway"}
        await gate.admit()
        await server.until("lifecycle_ready == 1 and on () lifecycle_up{server='broker'} == 1")
        await server.scraped()
        assert await server.firing() == set()


async def test_that_all_are_gone_is_alerted(measured: Measured) -> None:
    """What was scraped before does not speak for those who are no longer there."""
    async with AsyncExitStack() as rooms:
        async with measured() as listen:
            server = await rooms.enter_async_context(watched(listen))
        await server.until('ALERTS{alertname="LifecycleGone", alertstate="firing"}')


async def test_what_piles_up_is_alerted(
    measured: Measured, caller: WireCaller, forest: Forest
) -> None:
    """Orders that nobody takes, and an outbox that nobody publishes."""
    top = await forest.plant("top")
    for _ in range(1001):
        await caller.send("workspace.stop", b"{}")
    async with measured("commands", executor="none") as listen, watched(listen) as server:
        await caller.send("workspace.pause", {"workspace_id": top})
        await server.until("lifecycle_outbox_depth > 0 and on () lifecycle_queue_depth > 1000")
        await server.until("count_over_time(lifecycle_outbox_depth[1m]) > 4")
        await server.scraped()
        assert await server.firing() == {"LifecycleNoRelay", "LifecycleQueueLong"}


@pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed (apt-get install prometheus)"
)
def test_promtool_has_no_complaint_about_the_rules() -> None:
    """Prometheus's own check, of the file as it is shipped."""
    assert PROMTOOL is not None
    check = [PROMTOOL, "check", "rules", "--lint=all", "--lint-fatal", str(SHIPPED / "rules.yml")]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
