"""contract.md, "Encoding": what comes in, what goes out, and what makes a command idempotent."""

import asyncio
import json
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4, uuid5

import pytest

from consumer.devstack.management import call
from consumer.devstack.stack import Stack
from schemas.envelope import CLOUDEVENTS
from tests.support.caller import WireCaller
from tests.support.forest import Forest

pytestmark = pytest.mark.usefixtures("program")


def cloudevent(data: Any, **attributes: Any) -> bytes:
    """Write a CloudEvent by hand."""
    event = {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/billing",
        "type": "workspace.pause",
        "data": data,
        **attributes,
    }
    return json.dumps({key: value for key, value in event.items() if value is not None}).encode()


async def test_a_cloudevent_means_the_same_as_the_plain_form(
    caller: WireCaller, forest: Forest
) -> None:
    """Both encodings are understood, and the same id in the other one is a second delivery."""
    top = await forest.plant("top", "top/a")
    data = {"workspace_id": str(top), "cascade": True}
    structured = cloudevent(data, id="c1", source="tests", correlationid="corr")
    first = await caller.ask("workspace.pause", structured, content_type=CLOUDEVENTS)
    again = await caller.ask("workspace.pause", data, message_id="c1", app_id="tests")
    assert first.type == "workspace.pause.summary"
    assert first.message.body == again.message.body
    assert first.event["correlationid"] == first.message.correlation_id == "corr"


@pytest.mark.settings(simulated_delay=1.2)
async def test_outbound_is_cloudevents_and_the_properties_repeat_it(
    caller: WireCaller, forest: Forest
) -> None:
    """Every outgoing message is a CloudEvent whose AMQP properties say the same."""
    top = await forest.plant("top")
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    identity = str(uuid4())
    answer = await caller.ask(
        "workspace.pause",
        {"workspace_id": top},
        message_id=identity,
        correlation_id="mine",
        headers={"traceparent": trace},
    )
    operation = answer.data["operation_id"]
    (stop,) = await caller.hear("workspace.stop", operation_id=operation)
    (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
    for heard in (answer, stop, settled):
        event, message = heard.event, heard.message
        assert event["specversion"] == "1.0"
        assert event["source"] == message.app_id == "workspace-lifecycle"
        assert event["subject"] == str(top)
        assert event["datacontenttype"] == "application/json"
        assert heard.type in event["dataschema"]
        assert event["operationid"] == message.headers["x-operation-id"] == operation
        assert event["correlationid"] == message.correlation_id == "mine"
        assert event["traceparent"] == trace
        assert (event["id"], event["type"]) == (message.message_id, message.type)
        assert datetime.fromisoformat(event["time"]).tzinfo is not None
        assert message.timestamp == datetime.fromisoformat(heard.event["time"]).replace(
            microsecond=0
        )
        assert message.content_type == CLOUDEVENTS
        assert message.delivery_mode == 2
    assert answer.event["causationid"] == stop.event["causationid"] == identity


async def test_the_correlation_id_is_the_commands_id_where_it_has_none(
    caller: WireCaller, forest: Forest
) -> None:
    """A caller that gives no correlation id finds its answer by the message id."""
    top = await forest.plant("top")
    answer = await caller.ask("workspace.pause", {"workspace_id": top}, message_id="only-id")
    assert answer.message.correlation_id == answer.event["correlationid"] == "only-id"


async def test_outgoing_ids_are_derived(caller: WireCaller, forest: Forest) -> None:
    """A per-workspace command's id is derived from its operation and its workspace."""
    top = await forest.plant("top")
    answer = await caller.pause(top)
    operation = answer.data["operation_id"]
    (stop,) = await caller.hear("workspace.stop", operation_id=operation)
    assert stop.event["id"] == str(uuid5(UUID(operation), str(top)))


async def test_a_second_delivery_gets_the_stored_answer_and_changes_nothing(
    caller: WireCaller, forest: Forest
) -> None:
    """The same (source, id) again changes nothing and is answered word for word."""
    top = await forest.plant("top")
    first = await caller.ask("workspace.pause", {"workspace_id": top}, message_id="twice")
    await caller.hear("workspace.pause.settled")
    before = await forest.snapshot()
    spelt = f'{{ "workspace_id" : "{str(top).upper()}" }}'.replace(str(top).upper(), str(top))
    again = await caller.ask("workspace.pause", spelt.encode(), message_id="twice")
    assert again.message.body == first.message.body
    assert again.message.message_id == first.message.message_id
    assert await forest.snapshot() == before
    assert len(await caller.hear("workspace.pause.summary")) == 1


async def test_the_same_id_of_another_source_is_another_command(
    caller: WireCaller, forest: Forest
) -> None:
    """Ids are the sender's own."""
    top = await forest.plant("top")
    one = await caller.ask("workspace.pause", {"workspace_id": top}, message_id="1", app_id="a")
    two = await caller.ask("workspace.pause", {"workspace_id": top}, message_id="1", app_id="b")
    assert one.data["operation_id"] != two.data["operation_id"]


async def test_the_same_id_with_another_body_is_refused(caller: WireCaller, forest: Forest) -> None:
    """An id used for something else is 422 id_reused, and nothing changes."""
    await forest.plant("top", "other")
    await caller.ask("workspace.pause", {"workspace_id": forest.ids["top"]}, message_id="r")
    answer = await caller.ask(
        "workspace.pause", {"workspace_id": forest.ids["other"]}, message_id="r"
    )
    assert (answer.data["status"], answer.data["code"]) == (422, "id_reused")
    assert (await forest.statuses())["other"] == "online"


async def test_a_command_without_an_id_is_refused(
    caller: WireCaller, forest: Forest, stack: Stack, amqp_url: str
) -> None:
    """Without an id a command could not be told from its own second delivery."""
    top = await forest.plant("top")
    publish = f"exchanges/{urlsplit(amqp_url).path[1:]}/workspace.commands/publish"
    message = {
        "properties": {"app_id": "tests"},
        "routing_key": "workspace.pause",
        "payload": json.dumps({"workspace_id": str(top)}),
        "payload_encoding": "string",
    }
    await asyncio.to_thread(call, stack.management_url, "POST", publish, message)
    (rejected,) = await caller.hear("workspace.pause.rejected", workspace_id=top)
    assert (rejected.data["status"], rejected.data["code"]) == (422, "invalid_command")
    assert await forest.statuses() == {"top": "online"}


async def test_a_body_over_the_limit_is_refused_before_it_is_parsed(
    caller: WireCaller, forest: Forest
) -> None:
    """A body over LIFECYCLE_MAX_BODY is 422, be it what it may."""
    top = await forest.plant("top")
    body = json.dumps({"workspace_id": str(top), "reason": "x"}).encode()
    answer = await caller.ask("workspace.pause", body + b" " * 65_536)
    assert answer.data["code"] == "invalid_command"
    assert "LIFECYCLE_MAX_BODY" in answer.data["detail"]


async def test_the_type_property_goes_before_the_routing_key(
    caller: WireCaller, forest: Forest
) -> None:
    """The AMQP type is the type, or else the routing key."""
    top = await forest.plant("top:paused")
    answer = await caller.ask(
        "workspace.resume", {"workspace_id": top}, routing_key="workspace.pause",
        type="workspace.resume",
    )  # fmt: skip
    assert answer.type == "workspace.resume.summary"


MALFORMED = [
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"{",
    b"\xff\xfe",
    b'{"workspace_id": NaN}',
    b'{"workspace_id": "x"}',
    b'{"workspace_id": 1}',
    b'{"workspace_id": "{ID}", "cascade": "true"}',
    b'{"workspace_id": "{ID}", "cascade": 1}',
    b'{"workspace_id": "{ID}", "cascade": null}',
    b'{"workspace_id": "{ID}", "workspace_id": "{ID}"}',
    b'{"workspace_id": "{ID}", "reason": "\\u0000"}',
    b'{"workspace_id": "{ID}", "reason": "\\ud800"}',
    b'{"workspace_id": "{ID}", "max_affected": 0}',
    b'{"workspace_id": "{ID}", "max_affected": 1.0}',
    b'{"workspace_id": "{ID}", "not_after": "2026-05-28T09:30:00"}',
    b'{"workspace_id": "{ID}", "undo": "{ID}"}',
    b"[" * 30_000,
    b'{"workspace_id": "{ID}", "max_affected": ' + b"9" * 5000 + b"}",
]


async def test_malformed_commands_are_answered_and_the_next_one_is_served(
    caller: WireCaller, forest: Forest
) -> None:
    """Whatever is wrong with a body is a 422 to its sender, as reply and as event."""
    top = await forest.plant("top")
    for body in MALFORMED:
        answer = await caller.ask("workspace.pause", body.replace(b"{ID}", str(top).encode()))
        assert (answer.type, answer.data["status"]) == ("workspace.pause.rejected", 422), body
        assert answer.data["code"] == "invalid_command"
        operation = answer.data["operation_id"]
        assert await caller.hear("workspace.pause.rejected", operation_id=operation)
    assert (await caller.pause(top)).data["status"] == 200


async def test_what_cannot_be_answered_is_parked_with_its_reason(
    caller: WireCaller, forest: Forest
) -> None:
    """A message of no known type, sent straight to the queue, goes to the dead letters."""
    top = await forest.plant("top")
    await caller.send("any", b"{}", exchange="", routing_key="lifecycle.commands", type="nonsense")
    assert (await caller.pause(top)).data["status"] == 200
    parked = await caller.take("lifecycle.commands.dead")
    assert "nonsense" in str(parked.headers["x-death-reason"])
