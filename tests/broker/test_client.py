"""The client speaks the contract: commands out, typed answers back, outcomes heard."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from consumer.broker.connection import RefusedError
from consumer.client import LifecycleClient, RejectedError
from consumer.devstack.stack import Stack
from consumer.message import UnavailableError
from schemas.events import (
    Corrected,
    Progress,
    RejectedPreview,
    Settled,
    Summary,
    SummaryPreview,
)
from schemas.results import Stopped
from tests.broker.gate import Gate
from tests.broker.tools import PATIENCE, Bystander
from tests.support.users import EVERYTHING, user_on

NAMED, OPERATION, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)

COMMON = {
    "operation_id": str(OPERATION),
    "action": "pause",
    "workspace_id": str(NAMED),
    "status": 200,
    "requested_by": None,
    "reason": None,
    "cascade": True,
}
SUMMARY = COMMON | {
    "paused_count": 1,
    "workspaces": [{"workspace_id": str(NAMED), "name": "a", "previous_status": "online"}],
    "workspaces_truncated": False,
    "tree_etag": "e",
    "deprecated": False,
}
REJECTED = COMMON | {
    "status": 409,
    "type": "urn:x",
    "title": "Descendants exist",
    "detail": "3 workspaces would change too",
    "code": "descendants_exist",
    "descendants": [],
    "descendant_count": 3,
    "descendants_truncated": True,
    "tree_etag": "e",
}
SETTLED = COMMON | {
    "target_count": 1,
    "succeeded_count": 1,
    "failed_count": 0,
    "superseded_count": 0,
    "timed_out_count": 0,
    "failures": [],
    "duration_ms": 5,
}
COUNTS = {name: SETTLED[name] for name in ("target_count", "succeeded_count", "failed_count")}
PROGRESS = COMMON | COUNTS | {"superseded_count": 0, "open_count": 7}
CORRECTED = COMMON | COUNTS | {"superseded_count": 0, "timed_out_count": 0, "corrections": []}
STOPPED = {"operation_id": str(OPERATION), "workspace_id": str(NAMED), "generation": 1}


def cloud_event(kind: str, data: dict[str, Any]) -> bytes:
    """Write a CloudEvent as anybody could."""
    head = {"specversion": "1.0", "id": str(uuid4()), "source": "tests", "type": kind}
    return json.dumps(head | {"data": data}).encode()


class Program:
    """Answers every command with what it was given, as the program would."""

    def __init__(self, wire: Bystander) -> None:
        self.asked: list[AbstractIncomingMessage] = []
        self.answer: tuple[str, dict[str, Any]] = ("workspace.pause.summary", SUMMARY)
        self._wire = wire

    @property
    def data(self) -> dict[str, Any]:
        """Give the data of the last command."""
        data: dict[str, Any] = json.loads(self.asked[-1].body)["data"]
        return data

    async def take(self, message: AbstractIncomingMessage) -> None:
        """Answer one command."""
        self.asked.append(message)
        await message.ack()
        reply = aio_pika.Message(
            cloud_event(*self.answer), correlation_id=message.correlation_id or message.message_id
        )
        assert message.reply_to
        await self._wire.channel.default_exchange.publish(reply, message.reply_to)

    async def say(self, kind: str, data: dict[str, Any] | None = None, body: bytes = b"") -> None:
        """Publish an event."""
        exchange = await self._wire.channel.get_exchange("workspace.events")
        await exchange.publish(aio_pika.Message(body or cloud_event(kind, data or {})), kind)


@pytest.fixture
async def program(wire: Bystander) -> AsyncIterator[Program]:
    """Stand in for the program."""
    standing_in = Program(wire)
    queue = await wire.channel.get_queue("lifecycle.commands")
    tag = await queue.consume(standing_in.take)
    yield standing_in
    await queue.cancel(tag)


@pytest.fixture
async def client(declared_url: str) -> AsyncIterator[LifecycleClient]:
    """Connect a client."""
    async with LifecycleClient(declared_url, source="console") as connected:
        yield connected


async def test_a_pause_is_a_command_of_the_contract(
    client: LifecycleClient, program: Program
) -> None:
    """What the client sends has every field it was given, and leaves out what it was not."""
    summary = await client.pause(
        NAMED,
        cascade=True,
        max_affected=5,
        if_match="e",
        not_after=datetime(2030, 1, 1, tzinfo=UTC),
        reason="night",
        requested_by="me",
        message_id="m-1",
    )
    assert isinstance(summary, Summary)
    assert (summary.count, summary.operation_id) == (1, OPERATION)
    (message,) = program.asked
    event = json.loads(message.body)
    assert (message.routing_key, message.message_id, message.app_id) == (
        "workspace.pause",
        "m-1",
        "console",
    )
    assert message.timestamp is not None  # by which the trail is cut, and which it shows
    assert (event["type"], event["source"], event["id"]) == ("workspace.pause", "console", "m-1")
    assert program.data == {
        "workspace_id": str(NAMED),
        "cascade": True,
        "dry_run": False,
        "max_affected": 5,
        "if_match": "e",
        "not_after": "2030-01-01T00:00:00.000000Z",
        "reason": "night",
        "requested_by": "me",
    }


async def test_an_absent_cascade_stays_absent(client: LifecycleClient, program: Program) -> None:
    """A flag that nobody set is not sent as false: absent and false differ in the contract."""
    await client.pause(NAMED)
    assert "cascade" not in program.data
    await client.pause(NAMED, cascade=False)
    assert program.data["cascade"] is False


async def test_a_resume_can_undo_a_pause(client: LifecycleClient, program: Program) -> None:
    """A resume carries the pause's operation to put back."""
    resumed = {**SUMMARY, "action": "resume", "resumed_count": 1}
    del resumed["paused_count"]
    program.answer = ("workspace.resume.summary", resumed)
    summary = await client.resume(NAMED, undo=OTHER)
    assert isinstance(summary, Summary)
    assert (summary.count, program.data["undo"]) == (1, str(OTHER))


async def test_a_rejection_is_raised_with_its_event(
    client: LifecycleClient, program: Program
) -> None:
    """A refusal cannot be overlooked, and has the list that lets the caller decide."""
    program.answer = ("workspace.pause.rejected", REJECTED)
    with pytest.raises(RejectedError, match="409 descendants_exist: 3 workspaces") as caught:
        await client.pause(NAMED)
    assert caught.value.event.descendant_count == 3


@pytest.mark.parametrize(
    ("data", "model"),
    [
        (REJECTED | {"would": "rejected"}, RejectedPreview),
        (SUMMARY | {"would": "summary"}, SummaryPreview),
    ],
)
async def test_a_preview_is_an_answer_and_no_rejection(
    client: LifecycleClient, program: Program, data: dict[str, Any], model: type
) -> None:
    """A dry run that would be rejected is told, not raised."""
    program.answer = ("workspace.pause.previewed", data)
    assert type(await client.pause(NAMED, dry_run=True)) is model


async def test_an_answer_that_is_none_of_ours_is_refused(
    client: LifecycleClient, program: Program
) -> None:
    """An answer of an unknown type, or with a field too many, is not guessed at."""
    program.answer = ("workspace.pause.summary", SUMMARY | {"surprise": 1})
    with pytest.raises(ValueError, match="surprise"):
        await client.pause(NAMED)
    program.answer = ("something.else", SUMMARY)
    with pytest.raises(ValueError, match=r"'something\.else' is no message type"):
        await client.pause(NAMED)


async def test_without_an_answer_the_error_says_what_to_do(
    client: LifecycleClient, wire: Bystander
) -> None:
    """A command that nobody takes times out with the way to ask again."""
    with pytest.raises(TimeoutError, match=r"m-1 within 0.1 s.* same message id"):
        await client.pause(NAMED, message_id="m-1", timeout=0.1)
    assert (await wire.take("lifecycle.commands")).message_id == "m-1"


async def test_an_outcome_is_heard_with_its_progress_once_a_workspace(
    client: LifecycleClient, program: Program
) -> None:
    """Results of the operation are told once a workspace, whoever else says whatever else."""
    told: list[UUID] = []
    async with client.watching() as watch:
        await program.say("workspace.stopped", STOPPED)
        await program.say("workspace.stopped", STOPPED)
        await program.say("workspace.stopped", STOPPED | {"operation_id": str(OTHER)})
        await program.say("workspace.stopped", body=b"garbage")
        await program.say("workspace.pause.settled", SETTLED)
        async with asyncio.timeout(PATIENCE):
            settled = await watch.settled(OPERATION, lambda one: told.append(one.workspace_id))
    assert (settled.succeeded_count, told) == (1, [NAMED])


async def test_outcomes_may_be_waited_for_in_any_order(
    client: LifecycleClient, program: Program
) -> None:
    """An operation that settled while another was waited for is not forgotten."""
    async with client.watching() as watch:
        await program.say("workspace.pause.settled", SETTLED | {"operation_id": str(OTHER)})
        await program.say("workspace.pause.settled", SETTLED)
        async with asyncio.timeout(PATIENCE):
            assert (await watch.settled(OPERATION)).operation_id == OPERATION
            assert (await watch.settled(OTHER)).operation_id == OTHER


async def test_several_operations_may_be_waited_for_at_once(
    client: LifecycleClient, program: Program
) -> None:
    """Each wait gets its own operation's end and results, whoever of them was reading."""
    told: dict[UUID, list[UUID]] = {OPERATION: [], OTHER: []}
    async with client.watching() as watch:
        waits = [
            asyncio.ensure_future(
                watch.settled(
                    one, lambda event: told[event.operation_id].append(event.workspace_id)
                )
            )
            for one in (OPERATION, OTHER, OPERATION)
        ]
        await asyncio.sleep(0)
        for one in (OTHER, OPERATION):
            mine = {"operation_id": str(one)}
            await program.say("workspace.stopped", STOPPED | mine)
            await program.say("workspace.pause.settled", SETTLED | mine)
        async with asyncio.timeout(PATIENCE):
            ends = await asyncio.gather(*waits)
    assert [end.operation_id for end in ends] == [OPERATION, OTHER, OPERATION]
    assert told == {OPERATION: [NAMED, NAMED], OTHER: [NAMED]}


async def test_a_wait_that_was_given_up_can_be_taken_up_again(
    client: LifecycleClient, program: Program
) -> None:
    """A timeout around a wait ends that wait and nothing else."""
    async with client.watching() as watch:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watch.settled(OPERATION), 0.05)
        await program.say("workspace.pause.settled", SETTLED)
        async with asyncio.timeout(PATIENCE):
            assert (await watch.settled(OPERATION)).succeeded_count == 1


async def test_one_operation_is_followed_through_all_that_is_said_of_it(
    client: LifecycleClient, program: Program
) -> None:
    """Results in either form, progress, the end and what is corrected after it; of no other one."""
    plain = json.dumps(STOPPED).encode()
    async with client.watching() as watch:
        with watch.following(OPERATION) as course:
            await program.say("workspace.pause.progress", PROGRESS | {"operation_id": str(OTHER)})
            await program.say("workspace.pause.progress", PROGRESS)
            await program.say("workspace.stopped", STOPPED)
            await program.say("workspace.stopped", body=plain)
            await program.say("workspace.pause.settled", body=plain)
            await program.say("workspace.pause.settled", SETTLED)
            await program.say("workspace.pause.corrected", CORRECTED)
            async with asyncio.timeout(PATIENCE):
                heard = [await anext(course) for _ in range(5)]
    assert [type(one) for one in heard] == [Progress, Stopped, Stopped, Settled, Corrected]
    assert {one.operation_id for one in heard} == {OPERATION}


async def test_the_loss_of_the_connection_ends_every_wait(declared_url: str, gate: Gate) -> None:
    """All who wait are told, and on a new connection they may listen again."""
    assert declared_url
    async with LifecycleClient(gate.url) as client:
        async with client.watching() as watch:
            waits = [asyncio.ensure_future(watch.settled(one)) for one in (OPERATION, OTHER)]
            await asyncio.sleep(0)
            gate.cut()
            ends = await asyncio.wait_for(asyncio.gather(*waits, return_exceptions=True), PATIENCE)
        assert [type(end) for end in ends] == [UnavailableError, UnavailableError]
        async with client.watching():
            pass


async def test_an_end_that_came_before_anybody_listened_is_found(
    client: LifecycleClient, program: Program
) -> None:
    """The trail has it: nobody needs to have begun to listen before the command."""
    await program.say("workspace.pause.settled", SETTLED | {"operation_id": str(OTHER)})
    await program.say("workspace.pause.settled", body=b"garbage")
    await program.say("workspace.pause.summary", SUMMARY)
    await program.say("workspace.pause.settled", SETTLED)
    settled = await client.wait_settled(OPERATION, timeout=PATIENCE)
    assert (settled.operation_id, settled.succeeded_count) == (OPERATION, 1)


async def test_an_end_is_waited_for_across_a_lost_connection(program: Program, gate: Gate) -> None:
    """What is said while nobody could hear it is read when they can."""
    async with LifecycleClient(gate.url) as client:
        waiting = asyncio.ensure_future(client.wait_settled(OPERATION, timeout=PATIENCE))
        await program.say("workspace.pause.progress", PROGRESS)
        await asyncio.sleep(0.5)
        await gate.refuse()
        await program.say("workspace.pause.settled", SETTLED)
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await gate.admit()
        assert (await waiting).succeeded_count == 1


async def test_an_end_that_does_not_come_is_a_timeout(
    client: LifecycleClient, program: Program
) -> None:
    """Also where it was before the time from which it is looked for."""
    await program.say("workspace.pause.settled", SETTLED)
    later = datetime.now(UTC) + timedelta(hours=1)
    with pytest.raises(TimeoutError, match=rf"{OPERATION} is not settled after 0.5 s; it goes on"):
        await client.wait_settled(OPERATION, since=later, timeout=0.5)


async def test_whoever_may_not_read_the_trail_is_told(stack: Stack, declared_url: str) -> None:
    """At once: waiting would be no use."""
    rights = dict(EVERYTHING, read="^$")
    with user_on(stack.management_url, declared_url, "blind", rights) as url:
        async with LifecycleClient(url) as client:
            with pytest.raises(RefusedError, match=r"read lifecycle\.audit"):
                await client.wait_settled(OPERATION, timeout=PATIENCE)
