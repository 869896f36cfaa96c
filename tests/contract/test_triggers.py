"""docs/triggers.md over AMQP: other services' events ask for commands, once each, traced."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractExchange

from consumer.app import ROLES, serve
from consumer.broker.topology import declare, exists
from consumer.rules import Rule, Rules
from consumer.settings import Settings
from consumer.trigger import Trigger, Triggers
from schemas.topology import trigger_queues
from tests.broker.tools import Bystander, Facts
from tests.support.caller import Heard, WireCaller
from tests.support.documented import Users
from tests.support.forest import Forest
from tests.support.program import process, running

KEY = "billing.budget.exceeded"
RULE = Trigger(
    name="budget",
    exchange="billing",
    routing_key="billing.budget.*",
    action="pause",
    workspace="$.data.workspace_id",
    cascade=True,
    max_affected=3,
    reason="budget exceeded",
    when={"$.data.level": "hard"},
)
Build = Callable[..., Settings]


class Billing:
    """Another service, which knows nothing of this program."""

    def __init__(self, exchange: AbstractExchange) -> None:
        self.exchange = exchange

    async def exceeded(self, workspace: object, identity: str, **data: object) -> None:
        """Say that a budget is exceeded, as a CloudEvent."""
        event = {
            "specversion": "1.0",
            "id": identity,
            "source": "/billing",
            "type": KEY,
            "correlationid": "c-1",
            "data": {"workspace_id": str(workspace), "level": "hard"} | data,
        }
        await self.say(json.dumps(event).encode())

    async def say(self, body: bytes, **properties: Any) -> None:
        """Publish anything."""
        await self.exchange.publish(aio_pika.Message(body, **properties), KEY)


@pytest.fixture
async def billing(caller: WireCaller) -> Billing:
    """Declare the exchange as its owner does."""
    return Billing(await caller.channel.declare_exchange("billing", "topic", durable=True))


@pytest.fixture
def settings(settings_of: Build) -> Settings:
    """Give settings with a trigger."""
    return settings_of(triggers_file=Triggers(trigger=(RULE,)))


@asynccontextmanager
async def with_trigger(settings: Settings, caller: WireCaller) -> AsyncIterator[Bystander]:
    """Run the program, and look at its queues meanwhile."""
    async with running(settings):
        yield Bystander(caller.channel)


async def commands(caller: WireCaller, count: int = 1) -> list[Heard]:
    """Wait for commands that were sent."""
    return await caller.hear("workspace.pause", count)


def none_sent(caller: WireCaller) -> bool:
    """Tell whether no trigger sent a command; those of the caller are in the plain form."""
    return not [one for one in caller.heard if one.type == "workspace.pause"]


async def test_an_event_pauses_a_tree_and_the_trail_leads_back_to_it(
    settings: Settings, billing: Billing, caller: WireCaller, forest: Forest
) -> None:
    """Whoever said it knows nothing of us; each message names the one that caused it."""
    top = await forest.plant("top", "top/a", "top/b")
    async with with_trigger(settings, caller):
        await billing.exceeded(top, "e-1")
        (summary,) = await caller.hear("workspace.pause.summary", workspace_id=top)
        (command,) = await commands(caller)
    assert set((await forest.statuses()).values()) == {"paused"}
    assert (command.event["causationid"], command.event["correlationid"]) == ("e-1", "c-1")
    assert command.message.app_id == "trigger:budget"
    assert (summary.event["causationid"], summary.event["correlationid"]) == (
        command.event["id"],
        "c-1",
    )
    assert summary.data["requested_by"] == "event e-1 of /billing"
    row = await forest.connection.fetchrow("select * from lifecycle.operation")
    assert row is not None
    assert (row["app_id"], row["reason"]) == ("trigger:budget", "budget exceeded")


async def test_an_event_in_binary_mode_pauses_too(
    settings: Settings, billing: Billing, caller: WireCaller, forest: Forest
) -> None:
    """Its attributes are headers of the message, and a time among them is AMQP's own."""
    top = await forest.plant("top", "top/a")
    attributes = {"specversion": "1.0", "id": "e-1", "source": "/billing", "type": KEY}
    headers: dict[str, Any] = {f"cloudEvents:{name}": one for name, one in attributes.items()}
    headers["cloudEvents:time"] = datetime.now(UTC)
    body = json.dumps({"workspace_id": str(top), "level": "hard"}).encode()
    async with with_trigger(settings, caller):
        await billing.say(body, headers=headers, content_type="application/json")
        (summary,) = await caller.hear("workspace.pause.summary", workspace_id=top)
    assert summary.data["requested_by"] == "event e-1 of /billing"


async def test_commands_leave_in_the_order_of_their_events(
    settings: Settings, billing: Billing, caller: WireCaller
) -> None:
    """However many are in hand at once."""
    ids = [f"e-{number}" for number in range(100)]
    bindings = Triggers(trigger=(RULE,)).bindings
    await declare(settings.amqp_url.get_secret_value(), trigger_queues(bindings))
    for identity in ids:
        await billing.exceeded(uuid4(), identity)
    async with with_trigger(settings, caller):
        heard = await commands(caller, len(ids))
    assert [one.event["causationid"] for one in heard] == ids


async def test_a_redelivered_event_has_one_effect(
    settings: Settings, billing: Billing, caller: WireCaller, forest: Forest
) -> None:
    """The command has the same id again, and the inbox knows it."""
    lone = await forest.plant("lone")
    async with with_trigger(settings, caller):
        for _ in range(2):
            await billing.exceeded(lone, "e-1")
        first, second = await commands(caller, 2)
        await billing.exceeded(lone, "e-2")
        await commands(caller, 3)
        await caller.all_out()
    assert first.event == second.event
    counts = [
        one.data["paused_count"] for one in caller.heard if one.type == "workspace.pause.summary"
    ]
    assert counts == [1, 0]
    assert await forest.connection.fetchval("select count(*) from lifecycle.target") == 1


async def test_the_callers_own_cap_and_the_policy_hold_for_a_trigger(
    settings_of: Build, billing: Billing, caller: WireCaller, forest: Forest, amqp_url: str
) -> None:
    """It is a sender like any other: by its cap, its app_id and the user it is connected as."""
    top = await forest.plant("top", "top/a", "top/b", "top/c")
    triggers = Triggers(trigger=(RULE,))
    user = urlsplit(amqp_url).username or ""
    alone = Rules(rule=(Rule(name="alone", users=(user,)),))
    for identity, fields, code in (
        ("e-1", {}, "blast_radius_exceeded"),
        ("e-2", {"allow_apps": ("billing",)}, "forbidden"),
        ("e-3", {"policy_file": alone}, "forbidden"),
    ):
        async with with_trigger(settings_of(triggers_file=triggers, **fields), caller):
            await billing.exceeded(top, identity)
            await caller.hear("workspace.pause.rejected", code=code, reason=RULE.reason)
            await caller.hear(
                "workspace.pause.rejected", requested_by=f"event {identity} of /billing"
            )
    assert set((await forest.statuses()).values()) == {"online"}


async def test_an_event_that_does_not_match_has_no_effect(
    settings: Settings, billing: Billing, caller: WireCaller, forest: Forest, facts: Facts
) -> None:
    """It is acknowledged, and nothing is parked or sent."""
    lone = await forest.plant("lone")
    async with with_trigger(settings, caller) as queues:
        await billing.exceeded(lone, "e-1", level="soft")
        await facts.wait("event.passed_over")
        await facts.wait("delivery.acknowledged")
        assert await queues.count("lifecycle.triggers.dead") == 0
    assert await queues.count("lifecycle.triggers") == 0
    assert await forest.statuses() == {"lone": "online"}
    assert none_sent(caller)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"[", "unreadable event: the body is not JSON"),
        (b'{"data": {"level": "hard"}}', "$.data.workspace_id: Field required"),
        (b'{"specversion": "1.0"}', "not a CloudEvent"),
        (
            b'{"data": {"level": "hard", "workspace_id": "production"}}',
            "trigger 'budget': $.data.workspace_id: not a UUID",
        ),
        (b" " * 65_537, "more than 65536 bytes"),
    ],
)
async def test_an_event_that_cannot_be_read_is_parked_with_why(
    settings: Settings, billing: Billing, caller: WireCaller, body: bytes, why: str
) -> None:
    """Where somebody finds it; nothing is sent."""
    async with with_trigger(settings, caller):
        await billing.say(body)
        letter = await caller.take("lifecycle.triggers.dead")
    assert why in str(letter.headers["x-death-reason"])
    assert letter.headers["x-original-exchange"] == "billing"
    assert none_sent(caller)


async def test_what_one_rule_cannot_read_another_one_still_does(
    settings_of: Build, billing: Billing, caller: WireCaller, forest: Forest
) -> None:
    """The event is parked for the one, and the other has sent its command."""
    lone = await forest.plant("lone")
    blind = RULE.model_copy(update={"name": "blind", "workspace": "$.data.elsewhere"})
    async with with_trigger(settings_of(triggers_file=Triggers(trigger=(blind, RULE))), caller):
        await billing.exceeded(lone, "e-1")
        letter = await caller.take("lifecycle.triggers.dead")
        await caller.hear("workspace.pause.summary", workspace_id=lone)
    assert "'blind'" in str(letter.headers["x-death-reason"])


async def test_our_own_exchange_behind_another_leads_nothing_round(
    settings: Settings, billing: Billing, caller: WireCaller, forest: Forest
) -> None:
    """What is said on it is parked with where it came from, though the other one passes it on."""
    lone = await forest.plant("lone")
    await billing.exchange.bind(await caller.channel.get_exchange("workspace.events"), "#")
    async with with_trigger(settings, caller):
        triggers = await caller.channel.get_queue("lifecycle.triggers")
        await triggers.bind("billing", "#")
        await caller.pause(lone)
        letter = await caller.take("lifecycle.triggers.dead")
    assert "the exchange 'workspace.events'" in str(letter.headers["x-death-reason"])
    assert none_sent(caller)


async def test_our_own_event_sent_on_by_somebody_leads_nothing_round(
    settings: Settings, billing: Billing, caller: WireCaller, forest: Forest
) -> None:
    """A shovel gives it another exchange and key; its type is still ours."""
    lone = await forest.plant("lone")
    async with with_trigger(settings, caller):
        answer = await caller.pause(lone)
        await billing.say(answer.message.body)
        letter = await caller.take("lifecycle.triggers.dead")
    assert "a message of this program" in str(letter.headers["x-death-reason"])
    assert none_sent(caller)


def trigger_file(path: Path) -> str:
    """Write the rule into a file."""
    path.write_text(
        f'[[trigger]]\nname = "budget"\nexchange = "billing"\nrouting_key = "{KEY}"\n'
        'action = "pause"\nworkspace = "$.data.workspace_id"\n'
    )
    return str(path)


async def test_killed_between_the_command_and_the_acknowledgement_it_does_no_harm(
    billing: Billing,
    caller: WireCaller,
    forest: Forest,
    amqp_url: str,
    database_url: str,
    tmp_path: Path,
) -> None:
    """The event comes again to the next process, and its command has one effect."""
    lone = await forest.plant("lone")
    urls = amqp_url, database_url
    given = {"LIFECYCLE_TRIGGERS_FILE": trigger_file(tmp_path / "triggers.toml")}
    dying = ("tests.support.crash", "trigger.fired", "1")
    async with process(*urls, roles="triggers", module=dying, **given) as first:
        await first.until("program.started")
        await billing.exceeded(lone, "e-1")
        await commands(caller)
        assert await first.ended() == -9
    async with process(*urls, **given) as second:
        await second.until("program.started")
        await commands(caller, 2)
        await caller.hear("workspace.pause.settled", workspace_id=lone)
        await caller.all_out()
    told = [one for one in caller.heard if one.type == "workspace.pause.summary"]
    assert len({one.event["id"] for one in told}) == 1
    assert await forest.connection.fetchval("select count(*) from lifecycle.target") == 1


async def test_an_exchange_that_is_not_there_is_waited_for_and_nothing_else_is(
    settings: Settings, caller: WireCaller, forest: Forest, amqp_url: str, facts: Facts
) -> None:
    """Commands are carried out meanwhile; the program declares nobody else's exchange."""
    lone, stop = await forest.plant("lone"), asyncio.Event()
    program = asyncio.ensure_future(serve(settings, ROLES, stop))
    lost = await facts.wait("consumer.lost")
    assert "no exchange 'billing'" in lost[0]["why"]
    assert not await exists(amqp_url, "exchange", "billing")
    assert (await caller.pause(lone)).data["paused_count"] == 1
    billing = Billing(await caller.channel.declare_exchange("billing", "topic", durable=True))
    await facts.wait("program.started")
    await billing.exceeded(lone, "e-1")
    await commands(caller)
    stop.set()
    await program


async def test_without_the_file_there_is_no_such_queue(settings_of: Build, amqp_url: str) -> None:
    """The contract's topology stays as it is for whoever has no triggers."""
    async with running(settings_of()):
        for queue in trigger_queues():
            assert not await exists(amqp_url, "queue", queue.name)


async def test_the_documented_user_is_all_that_the_role_needs(
    settings_of: Build,
    users: Users,
    amqp_url: str,
    billing: Billing,
    caller: WireCaller,
    forest: Forest,
) -> None:
    """It may write commands and read its queue; the policy file goes by its own name."""
    lone = await forest.plant("lone")
    triggers = Triggers(trigger=(RULE,))
    await declare(amqp_url, trigger_queues(triggers.bindings))
    name = urlsplit(users["triggers"]).username or ""
    rules = Rules(rule=(Rule(name="triggers", users=(name,), cascade=True),))
    fields: Mapping[str, Any] = {"triggers_file": triggers, "policy_file": rules}
    others = tuple(role for role in ROLES if role != "triggers")
    async with (
        running(settings_of(**fields), others),
        running(settings_of(amqp_url=users["triggers"], **fields), ("triggers",)),
    ):
        await billing.exceeded(lone, str(uuid4()))
        (summary,) = await caller.hear("workspace.pause.summary", workspace_id=lone)
    (command,) = await commands(caller)
    assert (summary.data["paused_count"], command.message.user_id) == (1, name)
