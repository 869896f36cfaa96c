"""One connected trace from the caller to the settled event, at a real collector."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest

from consumer.devstack.server import free_ports
from consumer.observe import listening
from consumer.settings import Settings
from tests.broker.tools import Facts
from tests.support.caller import Heard, WireCaller
from tests.support.collector import Collected, Collector, collecting
from tests.support.fleet import launch
from tests.support.forest import Forest
from tests.support.program import running

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

CALLERS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE, CALLER = CALLERS.split("-")[1:3]
COMMAND = "process workspace.commands:workspace.pause:lifecycle.commands"
STOP = "process workspace.commands:workspace.stop:lifecycle.executor"
RESULT = "process workspace.events:workspace.stopped:lifecycle.results"
SEND_STOP = "publish workspace.commands:workspace.stop"
SEND_RESULT = "publish workspace.events:workspace.stopped"
SEND_SUMMARY = "publish workspace.events:workspace.pause.summary"
SEND_SETTLED = "publish workspace.events:workspace.pause.settled"
SEND_REPLY = "publish (anonymous)"


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    """Run a collector, and have the environment name it."""
    async with collecting() as one:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", one.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        yield one


async def paused(
    caller: WireCaller, forest: Forest, *branches: str, **properties: Any
) -> tuple[Heard, Heard]:
    """Pause a tree; give the answer and the settled event."""
    top = await forest.plant("top", *branches)
    data = {"workspace_id": top, "cascade": True}
    answer = await caller.ask("workspace.pause", data, **properties)
    operation = answer.data["operation_id"]
    (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
    return answer, settled


async def test_one_trace_goes_from_the_caller_to_the_settled_event(
    settings_of: Callable[..., Settings], caller: WireCaller, forest: Forest, collector: Collector
) -> None:
    """Command, stop, executor, result, settled: each below what caused it."""
    async with running(settings_of()):
        _, settled = await paused(
            caller, forest, message_id="m-1", correlation_id="c-1", headers={"traceparent": CALLERS}
        )
        await collector.until(lambda spans: SEND_SETTLED in {one.name for one in spans})
    names = (COMMAND, SEND_STOP, STOP, SEND_RESULT, RESULT, SEND_SETTLED, SEND_SUMMARY, SEND_REPLY)
    spans = {name: collector.named(name) for name in names}
    assert {name: len(found) for name, found in spans.items()} == dict.fromkeys(names, 1)
    assert {one.trace for one in collector.spans} == {TRACE}
    above = {name: found[0].parent for name, found in spans.items()}
    assert above == {
        COMMAND: CALLER,
        SEND_STOP: spans[COMMAND][0].id,
        STOP: spans[SEND_STOP][0].id,
        SEND_RESULT: spans[STOP][0].id,
        RESULT: spans[SEND_RESULT][0].id,
        SEND_SETTLED: spans[COMMAND][0].id,
        SEND_SUMMARY: spans[COMMAND][0].id,
        SEND_REPLY: spans[COMMAND][0].id,
    }
    assert carried(settled) == (TRACE, spans[COMMAND][0].id)
    assert settled.message.headers["traceparent"] == f"00-{TRACE}-{spans[SEND_SETTLED][0].id}-01"
    assert {one.service for one in collector.spans} == {"workspace-lifecycle"}
    assert not [one for one in collector.spans if one.failed]


def carried(heard: Heard) -> tuple[str, str]:
    """Tell the trace and the span that a body carries."""
    _, trace, span, _ = heard.event["traceparent"].split("-")
    return trace, span


async def test_spans_have_the_attributes_of_the_conventions(
    settings_of: Callable[..., Settings], caller: WireCaller, forest: Forest, collector: Collector
) -> None:
    """Messaging, for RabbitMQ: destinations by exchange, routing key and queue."""
    async with running(settings_of()):
        answer, _ = await paused(caller, forest, message_id="m-1", correlation_id="c-1")
        await collector.until(lambda spans: SEND_SETTLED in {one.name for one in spans})
    (command,), (stop,) = collector.named(COMMAND), collector.named(SEND_STOP)
    size = command.attributes.pop("messaging.message.body.size")
    assert isinstance(size, int)
    assert size > 0
    assert command.attributes == {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "workspace.commands:workspace.pause:lifecycle.commands",
        "messaging.rabbitmq.destination.routing_key": "workspace.pause",
        "messaging.message.id": "m-1",
        "messaging.message.conversation_id": "c-1",
    }
    assert (command.kind, stop.kind) == (5, 4)  # CONSUMER, PRODUCER
    assert stop.attributes["messaging.operation.type"] == "send"
    assert stop.attributes["messaging.message.conversation_id"] == "c-1"
    assert stop.attributes["workspace_lifecycle.operation.id"] == answer.data["operation_id"]
    (reply,) = collector.named(SEND_REPLY)
    assert reply.attributes["messaging.destination.anonymous"] is True
    assert command.parent == ""


async def test_a_cloudevent_brings_its_trace_in_its_body(
    settings_of: Callable[..., Settings], caller: WireCaller, forest: Forest, collector: Collector
) -> None:
    """Where there is no header; one goes before it, and what cannot be read begins anew."""
    top = await forest.plant("top")

    async def ask(identity: str, said: str, **headers: str) -> Collected:
        event = {
            "specversion": "1.0",
            "id": identity,
            "source": "tests",
            "type": "workspace.pause",
            "traceparent": said,
            "data": {"workspace_id": str(top), "dry_run": True},
        }
        body = json.dumps(event).encode()
        kind = "application/cloudevents+json"
        said_too = {"content_type": kind, "headers": headers, "message_id": identity}
        await caller.ask("workspace.pause", body, **said_too)
        await collector.until(lambda spans: any(is_of(one, identity) for one in spans))
        (found,) = (one for one in collector.spans if is_of(one, identity))
        return found

    def is_of(span: Collected, identity: str) -> bool:
        return span.name == COMMAND and span.attributes["messaging.message.id"] == identity

    async with running(settings_of()):
        body = await ask("m-1", CALLERS)
        other = CALLERS.replace("b7ad", "c8be")
        header = await ask("m-2", CALLERS, traceparent=other)
        broken = await ask("m-3", "none")
    assert (body.trace, body.parent) == (TRACE, CALLER)
    assert header.parent == other.split("-")[2]
    assert broken.parent == ""


async def test_one_call_of_ec2_stands_in_the_trace_of_each_order(
    settings_of: Callable[..., Settings],
    caller: WireCaller,
    forest: Forest,
    collector: Collector,
    aws: "EC2Client",
) -> None:
    """Below the first one's span, and linked to the others'."""
    top = await forest.plant("top", "top/a", "top/b")
    statement = "update workspaces set instance_id = $1 where name = $2"
    machines = zip(launch(aws, 3), ("top", "a", "b"), strict=True)
    await forest.connection.executemany(statement, [*machines])
    async with running(settings_of(executor="ec2")):
        data = {"workspace_id": top, "cascade": True}
        await caller.ask("workspace.pause", data, headers={"traceparent": CALLERS})
        await caller.hear("workspace.pause.settled")
        await collector.until(lambda spans: SEND_SETTLED in {one.name for one in spans})
    calls = [one for one in collector.spans if one.name == "EC2/StopInstances"]
    orders = {one.id for one in collector.named(STOP)}
    assert {one.trace for one in calls} == {TRACE}
    assert orders == {one for call in calls for one in (call.parent, *call.links)}
    assert sum(int(str(one.attributes["workspace_lifecycle.order.count"])) for one in calls) == 3
    assert {(one.kind, one.attributes["rpc.service"]) for one in calls} == {(3, "EC2")}


async def test_what_fails_is_marked(
    settings_of: Callable[..., Settings], caller: WireCaller, forest: Forest, collector: Collector
) -> None:
    """A stop that failed, and what could not be read."""
    async with running(settings_of(simulated_failures=1.0)):
        await paused(caller, forest)
        await caller.send("workspace.stopped", b"{}", exchange="workspace.events")
        await collector.until(lambda spans: SEND_SETTLED in {one.name for one in spans})
    (stop,) = collector.named(STOP)
    (command,) = collector.named(COMMAND)
    assert (stop.failed, command.failed) == (True, False)


async def test_without_a_collector_the_callers_trace_is_handed_on_as_it_is(
    settings_of: Callable[..., Settings],
    caller: WireCaller,
    forest: Forest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In body and header of all that leaves, to the byte."""
    for name in ("ENDPOINT", "TRACES_ENDPOINT"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}", raising=False)
    said = {"traceparent": "as it came"}
    async with running(settings_of()):
        answer, settled = await paused(caller, forest, headers=said)
        (stop,) = await caller.hear("workspace.stop")
        (stopped,) = await caller.hear("workspace.stopped")
    for heard in (answer, settled, stop):
        assert heard.event["traceparent"] == "as it came"
        assert heard.message.headers["traceparent"] == "as it came"
    assert stopped.event["traceparent"] == "as it came"
    assert "traceparent" not in stopped.message.headers


async def test_a_collector_that_is_away_holds_nothing_up(
    settings_of: Callable[..., Settings],
    caller: WireCaller,
    forest: Forest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not the work; and the end no longer than OTEL_EXPORTER_OTLP_TIMEOUT, ten seconds."""
    (port,) = free_ports(1)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"http://127.0.0.1:{port}/v1/traces")
    began = perf_counter()
    async with running(settings_of()):
        await paused(caller, forest)
    assert perf_counter() - began < 20


async def test_an_extra_that_is_not_installed_is_named(
    settings_of: Callable[..., Settings], collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for traces without it learns why there are none, and the program runs."""
    assert collector.url
    monkeypatch.delitem(sys.modules, "consumer.telemetry.traces", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    facts = Facts()
    with listening(facts.listen):
        async with running(settings_of()):
            pass
    (refused,) = facts.of("traces.refused")
    assert "workspace-lifecycle[otel]" in refused["why"]


def test_the_library_is_not_imported_for_nothing() -> None:
    """Without a collector in the environment."""
    probe = "import sys, consumer.cli.run; print('opentelemetry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
