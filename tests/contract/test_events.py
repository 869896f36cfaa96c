"""contract.md, "Events out" and "Commands out": what is said, to whom, and how often."""

import asyncio
from collections.abc import Callable
from typing import Any

import aio_pika
import pytest

from consumer.observe import listening
from consumer.settings import Settings
from tests.support.caller import WireCaller
from tests.support.forest import Forest
from tests.support.program import running


@pytest.mark.usefixtures("program")
async def test_a_rejection_has_the_members_of_rfc_9457_and_the_list(
    caller: WireCaller, forest: Forest
) -> None:
    """A rejected event tells the problem and each descendant, in the contract's order."""
    top = await forest.plant("top", "top/b", "top/a", "a/deep")
    await forest.connection.execute("update workspaces set active_tasks = 2 where name = 'a'")
    answer = await caller.pause(top, reason="why", requested_by="who")
    data = answer.data
    assert data["type"].endswith("descendants_exist")
    assert data["title"]
    assert "cascade=true" in data["detail"]
    assert (data["reason"], data["requested_by"], data["cascade"]) == ("why", "who", None)
    assert (data["action"], data["workspace_id"]) == ("pause", str(top))
    assert data["descendants"][0] == {
        "workspace_id": str(forest.ids["a"]),
        "name": "a",
        "status": "online",
        "parent_id": str(top),
        "depth": 1,
        "active_tasks": 2,
    }
    assert [one["name"] for one in data["descendants"]] == ["a", "b", "deep"]
    assert (data["descendant_count"], data["descendants_truncated"]) == (3, False)


@pytest.mark.usefixtures("program")
@pytest.mark.settings(max_listed=2)
async def test_lists_are_cut_and_the_count_is_whole(caller: WireCaller, forest: Forest) -> None:
    """Lists end at LIFECYCLE_MAX_LISTED; the count beside them does not."""
    top = await forest.plant("top", "top/c", "top/b", "top/a")
    refused = (await caller.pause(top)).data
    assert [one["name"] for one in refused["descendants"]] == ["a", "b"]
    assert (refused["descendant_count"], refused["descendants_truncated"]) == (3, True)
    carried = (await caller.pause(top, cascade=True)).data
    assert [one["name"] for one in carried["workspaces"]] == ["top", "a"]
    assert (carried["paused_count"], carried["workspaces_truncated"]) == (4, True)


@pytest.mark.usefixtures("program")
async def test_the_reply_is_the_event(caller: WireCaller, forest: Forest) -> None:
    """A request/response caller gets the same body as everybody else."""
    top = await forest.plant("top", "top/a")
    for answer in (await caller.pause(top), await caller.pause(top, cascade=True)):
        (event,) = await caller.hear(answer.type, operation_id=answer.data["operation_id"])
        assert event.message.body == answer.message.body


@pytest.mark.usefixtures("program")
async def test_one_stop_a_workspace_and_settled_once(caller: WireCaller, forest: Forest) -> None:
    """Each paused workspace gets one stop command, and the operation settles exactly once."""
    top = await forest.plant("top", "top/a", "top/b")
    operation = (await caller.pause(top, cascade=True)).data["operation_id"]
    (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
    stops = await caller.hear("workspace.stop", 3, operation_id=operation)
    assert {one.data["workspace_id"] for one in stops} == {str(one) for one in forest.ids.values()}
    first = next(one.data for one in stops if one.data["name"] == "top")
    assert first["instance_id"] == "i-top"
    assert first["runtime"] == "langgraph"
    assert first["previous_status"] == "online"
    assert first["generation"] > 0
    assert first["deadline"]
    expected = {"target_count": 3, "succeeded_count": 3, "failed_count": 0, "failures": []}
    assert {key: settled.data[key] for key in expected} == expected
    assert settled.data["duration_ms"] >= 0
    assert caller.of(operation).count("workspace.pause.settled") == 1


@pytest.mark.usefixtures("program")
@pytest.mark.settings(simulated_failures=1.0)
async def test_what_failed_is_counted_and_put_back(caller: WireCaller, forest: Forest) -> None:
    """A stop that failed gives the workspace its earlier status back, and is in failures."""
    top = await forest.plant("top:degraded", "top/a")
    operation = (await caller.pause(top, cascade=True)).data["operation_id"]
    (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
    assert (settled.data["succeeded_count"], settled.data["failed_count"]) == (0, 2)
    assert [one["name"] for one in settled.data["failures"]] == ["top", "a"]
    assert settled.data["failures"][0]["code"] == "simulated"
    assert await forest.statuses() == {"top": "degraded", "a": "online"}


@pytest.mark.usefixtures("program")
@pytest.mark.settings(simulated_failures=1.0)
async def test_a_start_that_failed_leaves_it_paused(caller: WireCaller, forest: Forest) -> None:
    """A start that finally failed gives `paused` back."""
    top = await forest.plant("top:paused")
    operation = (await caller.resume(top)).data["operation_id"]
    await caller.hear("workspace.resume.settled", operation_id=operation)
    assert await forest.statuses() == {"top": "paused"}


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none", settle_timeout=1.0)
async def test_an_unknown_outcome_is_left_and_counted(caller: WireCaller, forest: Forest) -> None:
    """What has no outcome by the deadline is timed out, and its workspace is left as it is."""
    top = await forest.plant("top")
    operation = (await caller.pause(top)).data["operation_id"]
    (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
    assert (settled.data["timed_out_count"], settled.data["failed_count"]) == (1, 0)
    assert await forest.statuses() == {"top": "paused"}


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_anybody_may_be_the_executor(caller: WireCaller, forest: Forest) -> None:
    """Results of a foreign executor settle; duplicates, strangers and nonsense are harmless."""
    top = await forest.plant("top", "top/a")
    operation = (await caller.pause(top, cascade=True)).data["operation_id"]
    stops = await caller.hear("workspace.stop", 2, operation_id=operation)
    members = ("operation_id", "workspace_id", "generation")
    first, second = ({key: stop.data[key] for key in members} for stop in stops)
    stranger = {**second, "operation_id": "00000000-0000-4000-8000-000000000000"}
    for said in (first, first, {**second, "generation": 0}, stranger):
        await caller.send("workspace.stopped", said, exchange="workspace.events")
    await caller.send("workspace.stopped", {"nonsense": 1}, exchange="workspace.events")
    failed = {**second, "code": "superseded", "retryable": False}
    await caller.send("workspace.stop.failed", failed, exchange="workspace.events")
    (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
    assert (settled.data["succeeded_count"], settled.data["superseded_count"]) == (1, 1)
    parked = await caller.take("lifecycle.results.dead")
    assert parked.body == b'{"nonsense": 1}'
    assert set((await forest.statuses()).values()) == {"paused"}


async def test_a_late_stop_cannot_undo_a_resume(
    caller: WireCaller, forest: Forest, settings_of: Callable[..., Settings]
) -> None:
    """A stop older than the newest command for its workspace is superseded, not carried out."""
    top = await forest.plant("top")
    async with running(settings_of(executor="none")):
        await caller.pause(top)
        await caller.resume(top)
    done: list[tuple[str, Any]] = []
    with listening(lambda fact, fields: done.append((fact, fields.get("action")))):
        async with running(settings_of(executor="simulated")):
            (paused,) = await caller.hear("workspace.pause.settled")
            (resumed,) = await caller.hear("workspace.resume.settled")
    assert (paused.data["superseded_count"], resumed.data["succeeded_count"]) == (1, 1)
    assert ("order.fenced", "stop") in done
    assert ("order.carried_out", "stop") not in done


@pytest.mark.usefixtures("program")
async def test_direct_reply_to_is_answered(
    forest: Forest, amqp_url: str, caller: WireCaller
) -> None:
    """RabbitMQ's direct reply-to is answered without a queue, and not thought to be gone."""
    facts: list[str] = []
    top = await forest.plant("top")
    connection = await aio_pika.connect(amqp_url)
    channel = await connection.channel()
    pseudo = await channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
    answers: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
    await pseudo.consume(answers.put, no_ack=True)
    body = b'{"workspace_id": "%s"}' % str(top).encode()
    await (await channel.get_exchange("workspace.commands")).publish(
        aio_pika.Message(body, message_id="d", reply_to="amq.rabbitmq.reply-to", app_id="tests"),
        "workspace.pause",
    )
    with listening(lambda fact, _: facts.append(fact)):
        answer = await asyncio.wait_for(answers.get(), 20)
        await caller.hear("workspace.pause.settled")  # its chunk leaves when that of the reply did
    assert "reply.dropped" not in facts
    assert (answer.type, answer.correlation_id) == ("workspace.pause.summary", "d")
    await connection.close()


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize("target", ["lifecycle.results", "lifecycle.executor", "somebody.elses"])
async def test_a_reply_to_cannot_reach_somebody_elses_queue(
    caller: WireCaller, forest: Forest, target: str
) -> None:
    """Only direct reply-to and allowed names are answered; the command is carried out."""
    top = await forest.plant("top")
    await caller.channel.declare_queue("somebody.elses", exclusive=True)
    refused = asyncio.Event()
    with listening(lambda fact, _: refused.set() if fact == "reply.refused" else None):
        await caller.send("workspace.pause", {"workspace_id": top}, reply_to=target)
        await caller.hear("workspace.pause.settled")
    assert refused.is_set()
    theirs = await caller.channel.get_queue("somebody.elses", ensure=False)
    assert await theirs.get(no_ack=True, fail=False) is None


@pytest.mark.usefixtures("program")
@pytest.mark.settings(reply_to_allow=("mine.*",))
async def test_the_operator_may_allow_named_reply_queues(
    caller: WireCaller, forest: Forest
) -> None:
    """LIFECYCLE_REPLY_TO_ALLOW names the queues that are answered."""
    top = await forest.plant("top")
    queue = await caller.channel.declare_queue("mine.answers", exclusive=True)
    answers: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
    await queue.consume(answers.put, no_ack=True)
    await caller.send("workspace.pause", {"workspace_id": top}, reply_to="mine.answers")
    answer = await asyncio.wait_for(answers.get(), 20)
    assert answer.type == "workspace.pause.summary"


@pytest.mark.usefixtures("program")
async def test_a_reply_to_nobody_holds_nobody_up(caller: WireCaller, forest: Forest) -> None:
    """A reply queue that is gone is logged and counted, and everything else leaves."""
    top = await forest.plant("top")
    dropped = asyncio.Event()
    with listening(lambda fact, _: dropped.set() if fact == "reply.dropped" else None):
        await caller.send("workspace.pause", {"workspace_id": top}, reply_to="amq.gen-gone")
        await caller.hear("workspace.pause.settled")
        await asyncio.wait_for(dropped.wait(), 20)
    assert (await caller.resume(top)).data["status"] == 200
