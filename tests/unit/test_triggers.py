"""An event becomes a command: always the same one, traced to it, or it is said why not."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import pytest

from consumer.intake import read_command
from consumer.message import Inbound, Outbound, UnavailableError, UnreadableError
from consumer.operation import Command
from consumer.trigger import Trigger, Triggers
from consumer.triggers import TriggerStage, command_of, event_of
from schemas.catalog import CATALOG

WORKSPACE = UUID("9a591777-7480-40d4-85d2-2bf7f3a1a5b5")
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def rule(**members: Any) -> Trigger:
    """Make a rule."""
    least = {
        "name": "budget",
        "exchange": "billing",
        "routing_key": "#",
        "action": "pause",
        "workspace": "$.data.workspace_id",
    }
    return Trigger.model_validate(least | members)


def cloud_event(**members: Any) -> dict[str, Any]:
    """Make a CloudEvent of another service."""
    return {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/billing",
        "type": "billing.budget.exceeded",
        "data": {"workspace_id": str(WORKSPACE), "note": "over by 5"},
    } | members


def sent(document: Any, **properties: Any) -> Inbound:
    """Publish something as another service would."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    key = properties.pop("routing_key", "billing.budget.exceeded")
    return Inbound(
        body=body, queue="lifecycle.triggers", exchange="billing", routing_key=key, **properties
    )


def taken(message: Outbound) -> Command:
    """Read a command as the program does."""
    read = read_command(
        Inbound(
            body=message.body,
            queue="lifecycle.commands",
            exchange=message.exchange,
            routing_key=message.routing_key,
            message_id=message.message_id,
            type=message.type,
            app_id=message.app_id,
            correlation_id=message.correlation_id,
            content_type=message.content_type,
        ),
        65_536,
    )
    assert isinstance(read, Command), read
    return read


def test_a_cloudevent_becomes_the_command_that_the_rule_says() -> None:
    """With the event's ids, so that the trail leads from one to the other."""
    event = event_of(sent(cloud_event(correlationid="c-1", traceparent=TRACEPARENT)))
    message = command_of(rule(cascade=True, max_affected=5, reason="budget exceeded"), event)
    command = taken(message)
    assert (command.data.workspace_id, command.data.cascade) == (WORKSPACE, True)
    assert (command.data.max_affected, command.data.reason) == (5, "budget exceeded")
    assert command.data.requested_by == "event e-1 of /billing"
    assert (command.origin.action, command.origin.app_id) == ("pause", "trigger:budget")
    assert (command.origin.correlation_id, command.origin.traceparent) == ("c-1", TRACEPARENT)
    assert json.loads(message.body)["causationid"] == "e-1"


@pytest.mark.parametrize("prefix", ["cloudEvents:", "cloudEvents_"])
def test_an_event_in_binary_mode_is_the_same_event(prefix: str) -> None:
    """Attributes in headers, data in the body: one rule takes both, and makes one command."""
    attributes = cloud_event(correlationid="c-1", traceparent=TRACEPARENT)
    data = attributes.pop("data")
    time = datetime(2026, 5, 28, tzinfo=UTC)
    headers = {f"{prefix}{name}": value for name, value in attributes.items()}
    inbound = sent(data, headers={**headers, f"{prefix}time": time, f"{prefix}priority": 5})
    structured = sent({**attributes, "time": "2026-05-28T00:00:00Z", "data": data})
    chosen = rule(when={"$.type": "billing.budget.exceeded", "$.data.note": "over by 5"})
    assert chosen.holds(event_of(inbound).document)
    assert command_of(chosen, event_of(inbound)) == command_of(chosen, event_of(structured))


def test_plain_json_becomes_one_too() -> None:
    """Its properties say what a CloudEvent says of itself."""
    event = event_of(
        sent(
            {"workspace": str(WORKSPACE)},
            message_id="m-1",
            app_id="crm",
            correlation_id="c-1",
            headers={"traceparent": TRACEPARENT},
        )
    )
    message = command_of(rule(action="resume", workspace="$.workspace"), event)
    command = taken(message)
    assert (command.origin.action, command.data.cascade) == ("resume", False)
    assert command.data.requested_by == "event m-1 of crm"
    assert (command.origin.correlation_id, command.origin.traceparent) == ("c-1", TRACEPARENT)
    assert json.loads(message.body)["causationid"] == "m-1"


def test_one_event_makes_one_command_however_often() -> None:
    """Another event, source or rule makes another."""
    once = command_of(rule(), event_of(sent(cloud_event())))
    assert command_of(rule(), event_of(sent(cloud_event()))) == once
    others = [
        command_of(rule(), event_of(sent(cloud_event(id="e-2")))),
        command_of(rule(), event_of(sent(cloud_event(source="/other")))),
        command_of(rule(name="other"), event_of(sent(cloud_event()))),
    ]
    assert len({once.message_id, *(other.message_id for other in others)}) == 4


def test_the_reason_may_stand_in_the_event() -> None:
    """It is cut to what a command holds; where there is none, there is none."""
    told = rule(reason="$.data.note")
    assert taken(command_of(told, event_of(sent(cloud_event())))).data.reason == "over by 5"
    for note, reason in (("x" * 2000, "x" * 1000), (None, None), (5, None)):
        event = event_of(sent(cloud_event(data={"workspace_id": str(WORKSPACE), "note": note})))
        assert taken(command_of(told, event)).data.reason == reason


def test_the_longest_ids_still_make_a_command() -> None:
    """Each may have 255 bytes."""
    event = event_of(sent(cloud_event(id="i" * 255, source="s" * 255)))
    assert len(taken(command_of(rule(), event)).data.requested_by or "") == 200


@pytest.mark.parametrize(
    "data",
    [
        {},
        None,
        [str(WORKSPACE)],
        {"workspace_id": None},
        {"workspace_id": 7},
        {"workspace_id": "production"},
        {"workspace_id": f"{{{WORKSPACE}}}"},
        {"workspace_id": [str(WORKSPACE)]},
    ],
)
def test_without_a_workspace_there_is_no_command(data: Any) -> None:
    """The rule and the place are named."""
    event = event_of(sent(cloud_event(data=data)))
    with pytest.raises(UnreadableError, match=r"'budget'.*\$\.data\.workspace_id"):
        command_of(rule(), event)


@pytest.mark.parametrize("text", ["\ud800", "nul\0"])
def test_text_that_no_command_can_hold_is_unreadable(text: str) -> None:
    """The rule is named, also where the reason is at fault."""
    event = event_of(sent(cloud_event(data={"workspace_id": str(WORKSPACE), "note": text})))
    with pytest.raises(UnreadableError, match="trigger 'budget': "):
        command_of(rule(reason="$.data.note"), event)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (sent(b"{"), "not JSON"),
        (sent(b"\xff"), "not UTF-8"),
        (sent(b"[" * 200 + b"]" * 200), "nested too deep"),
        (sent({"workspace": 1}), "no message_id"),
        (sent({"workspace": 1}, message_id="nul\0"), "NUL"),
        (sent({"workspace": 1}, message_id="m", correlation_id="nul\0"), "NUL"),
        (sent(cloud_event(id="")), "not a CloudEvent"),
        (sent(cloud_event(specversion="0.3")), "not a CloudEvent"),
        (sent({}, headers={"cloudEvents:specversion": "1.0"}), "not a CloudEvent"),
        (sent({}, headers={"cloudEvents:specversion": "1.0", "cloudEvents:id": 1.5}), ":id'"),
        (sent(b"{", headers={"cloudEvents:specversion": "1.0"}), "not JSON"),
    ],
)
def test_what_cannot_be_told_from_another_event_is_unreadable(message: Inbound, why: str) -> None:
    """It could not be known again when it is delivered once more."""
    with pytest.raises(UnreadableError, match=why):
        event_of(message)


@pytest.mark.parametrize("kind", [kind.name for kind in CATALOG])
def test_what_this_program_says_triggers_nothing(kind: str) -> None:
    """However it comes round, by a shovel or an exchange bound to another: no loop."""
    for message in (
        sent(cloud_event(type=kind)),
        sent(cloud_event(), routing_key=kind),
        sent(
            {}, headers={f"cloudEvents:{k}": v for k, v in cloud_event(type=kind, data="").items()}
        ),
        sent({"workspace_id": str(WORKSPACE)}, message_id=str(uuid4()), type=kind),
    ):
        with pytest.raises(UnreadableError, match="a message of this program"):
            event_of(message)


@pytest.mark.parametrize("receipts", [["failed"], ["returned"]])
async def test_a_command_that_is_not_confirmed_leaves_the_event_where_it_is(
    receipts: list[Literal["failed", "returned"]],
) -> None:
    """It is not acknowledged: the command may not have arrived."""

    async def refuse(_: Sequence[Outbound]) -> Sequence[Literal["failed", "returned"]]:
        await asyncio.sleep(0)
        return receipts

    stage = TriggerStage(Triggers(trigger=(rule(),)), refuse, max_body=65_536)
    with pytest.raises(UnavailableError, match="did not confirm"):
        await stage.handle(sent(cloud_event()))


@pytest.mark.parametrize("value", [5, "not one", "0" * 55, TRACEPARENT + "\n"])
def test_a_traceparent_that_is_none_is_left_out(value: object) -> None:
    """Nothing in a header hinders a pause."""
    document = {"data": {"workspace_id": str(WORKSPACE)}}
    event = event_of(sent(document, message_id="m", headers={"traceparent": value}))
    assert taken(command_of(rule(), event)).origin.traceparent is None
