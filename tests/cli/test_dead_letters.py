"""`dead-letters`: looked at without a change, sent back where they came from, or away."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from consumer.broker.topology import declare
from schemas.topology import trigger_queues
from tests.cli.conftest import Cli
from tests.support.caller import WireCaller
from tests.support.forest import Forest

DEAD = "lifecycle.commands.dead"


async def die(
    caller: WireCaller,
    identity: str,
    body: bytes = b"{}",
    more: Mapping[str, Any] | None = None,
    **properties: Any,
) -> None:
    """Send what nobody can be answered about, through the dead-letter exchange as parked."""
    headers = {
        "x-death-reason": "KeyError: 'name'",
        "x-original-exchange": "workspace.commands",
        "x-original-routing-key": "workspace.pause",
        "x-original-queue": "lifecycle.commands",
        "x-parked-at": "2026-05-28T12:00:00Z",
        "mine": "kept",
        **(more or {}),
    }
    await caller.send(
        "lifecycle.commands", body, exchange="lifecycle.dead-letter",
        message_id=identity, headers=headers, type="workspace.pause", **properties,
    )  # fmt: skip


async def count(caller: WireCaller, queue: str = DEAD) -> int:
    """Count what lies in a queue."""
    declared = await caller.channel.declare_queue(queue, passive=True)
    return declared.declaration_result.message_count or 0


async def test_list_tells_why_and_changes_nothing(cli: Cli, caller: WireCaller) -> None:
    """The oldest first; twice the same."""
    await die(caller, "a")
    await die(caller, "b", app_id="ops")
    for _ in range(2):
        ran = await cli("dead-letters", "list")
        first, second = ran.out.splitlines()
        assert ran.code == 0
        assert first == f"{DEAD}  a  workspace.pause  tests  KeyError: 'name'"
        assert second.startswith(f"{DEAD}  b  workspace.pause  ops")
    assert await count(caller) == 2


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--id", "b"], ["b"]),
        (["--app", "ops"], ["b"]),
        (["--type", "workspace.pause"], ["a", "b"]),
        (["--type", "workspace.resume"], []),
        (["--reason", "keyerror"], ["a", "b"]),
        (["--queue", "results"], []),
        (["--queue", "commands", "--app", "tests"], ["a"]),
    ],
)
async def test_filters(cli: Cli, caller: WireCaller, options: list[str], ids: list[str]) -> None:
    """Each narrows, together they narrow more."""
    await die(caller, "a")
    await die(caller, "b", app_id="ops")
    found = json.loads((await cli("dead-letters", "list", "--json", *options)).out)
    assert [one["message_id"] for one in found] == ids


async def test_show_tells_all_of_one(cli: Cli, caller: WireCaller) -> None:
    """Body, headers, where it came from; a body that is no text as base64; nobody: exit code 4."""
    await die(caller, "a", body=b"\xff")
    (shown,) = json.loads((await cli("dead-letters", "show", "a", "--json")).out)
    assert (shown["exchange"], shown["routing_key"]) == ("workspace.commands", "workspace.pause")
    assert (shown["body_base64"], shown["headers"]["mine"]) == ("/w==", "kept")
    assert shown["parked_at"] == "2026-05-28T12:00:00Z"
    nobody = await cli("dead-letters", "show", "b")
    assert (nobody.code, nobody.out) == (4, "")


@pytest.mark.usefixtures("program")
async def test_requeued_it_is_handled_as_if_it_had_just_come(
    cli: Cli, caller: WireCaller, forest: Forest
) -> None:
    """By the exchange and key it was sent with, under its id, without its death."""
    top = await forest.plant("top")
    body = json.dumps({"workspace_id": str(top)}).encode()
    await die(caller, "a", body=body)
    await die(caller, "b")
    ran = await cli("dead-letters", "requeue", "--id", "a")
    assert (ran.code, ran.err) == (0, "1 requeued, 0 kept\n")
    (summary,) = await caller.hear("workspace.pause.summary", workspace_id=top)
    assert summary.event["causationid"] == "a"
    assert await count(caller) == 1


async def test_requeued_it_is_what_it_was(cli: Cli, caller: WireCaller) -> None:
    """Properties and its sender's own headers stay; those of its death are gone."""
    await die(caller, "a", correlation_id="c", body=b"any bytes \xff")
    assert (await cli("dead-letters", "requeue", "--all")).code == 0
    back = await caller.take("lifecycle.commands")
    assert (back.body, back.message_id, back.correlation_id) == (b"any bytes \xff", "a", "c")
    assert (back.exchange, back.routing_key) == ("workspace.commands", "workspace.pause")
    assert dict(back.headers) == {"mine": "kept"}
    assert await count(caller) == 0


@pytest.mark.parametrize(
    "deaths",
    [
        [{"routing-keys": 7, "exchange": ["x"], "reason": 1}],
        [{"routing-keys": []}],
        [{"routing-keys": {}}],
        ["x"],
        "often",
    ],
)
async def test_a_story_that_somebody_made_up_is_shown_as_far_as_it_goes(
    cli: Cli, caller: WireCaller, deaths: Any
) -> None:
    """Whoever may publish can write what the broker writes of a death, in any shape."""
    await caller.send(
        "lifecycle.commands",
        b"{}",
        exchange="lifecycle.dead-letter",
        message_id="made-up",
        headers={"x-death": deaths},
    )
    ran = await cli("dead-letters", "list")
    assert (ran.code, ran.err) == (0, "1 dead letter\n")
    assert "made-up" in ran.out
    assert (await cli("dead-letters", "requeue", "--all")).err == "0 requeued, 1 kept\n"


async def test_what_nobody_takes_stays(cli: Cli, caller: WireCaller) -> None:
    """A letter that does not say where it came from is kept, and the exit code tells."""
    await caller.send(
        "lifecycle.commands", b"{}", exchange="lifecycle.dead-letter", message_id="lost"
    )
    ran = await cli("dead-letters", "requeue", "--all")
    assert (ran.code, ran.err) == (1, "0 requeued, 1 kept\n")
    assert "do not tell where it was sent" in ran.out
    assert await count(caller) == 1


async def test_a_letter_that_no_queue_takes_any_more_stays(cli: Cli, caller: WireCaller) -> None:
    """Published and routed nowhere, it would be lost where it is taken out all the same."""
    await die(caller, "a", more={"x-original-routing-key": "nobody.here"})
    trail = await caller.channel.get_queue("lifecycle.audit", ensure=False)
    await trail.unbind("workspace.commands", "#")
    await caller.events.unbind("workspace.commands", "#")
    ran = await cli("dead-letters", "requeue", "--all")
    assert (ran.code, ran.err) == (1, "0 requeued, 1 kept\n")
    assert "'nobody.here' to no queue" in ran.out
    assert await count(caller) == 1


@pytest.mark.parametrize("verb", ["requeue", "discard"])
async def test_a_dry_run_moves_nothing(cli: Cli, caller: WireCaller, verb: str) -> None:
    """It says what would be."""
    await die(caller, "a")
    ran = await cli("dead-letters", verb, "--all", "--dry-run")
    assert ran.out.startswith(f"would be {verb}")
    assert (ran.code, await count(caller)) == (0, 1)


async def test_discarded_it_is_gone_and_the_others_are_not(cli: Cli, caller: WireCaller) -> None:
    """Only those that are meant."""
    await die(caller, "a")
    await die(caller, "b")
    ran = await cli("dead-letters", "discard", "--id", "b")
    assert (ran.code, ran.err) == (0, "1 discarded, 0 kept\n")
    left = json.loads((await cli("dead-letters", "list", "--json")).out)
    assert [one["message_id"] for one in left] == ["a"]


@pytest.mark.parametrize("verb", ["requeue", "discard"])
async def test_nothing_is_meant_by_accident(cli: Cli, caller: WireCaller, verb: str) -> None:
    """Without a filter it takes --all."""
    await die(caller, "a")
    ran = await cli("dead-letters", verb)
    assert ran.code == 2
    assert "--all" in ran.err
    assert await count(caller) == 1


async def test_what_a_sender_chose_cannot_steer_a_terminal(cli: Cli, caller: WireCaller) -> None:
    """One letter, one line."""
    await die(caller, "a\n\x1b[2Jb")
    out = (await cli("dead-letters", "list")).out
    assert out.count("\n") == 1
    assert "\x1b" not in out


async def test_queues_that_were_never_declared(cli: Cli) -> None:
    """It says what would declare them."""
    ran = await cli("dead-letters", "list")
    assert ran.code == 1
    assert "`workspace-lifecycle run` declares it" in ran.err


async def sent_by(cli: Cli, caller: WireCaller, *options: str) -> str | None:
    """Requeue everything; give the user whom the broker verified of what came back."""
    ran = await cli("dead-letters", "requeue", "--all", *options)
    assert ran.code == 0, ran.out
    back = await caller.take("lifecycle.commands")
    assert "x-original-user-id" not in back.headers
    return back.user_id


async def test_our_own_letters_come_back_as_ours_and_others_as_nobodys(
    cli: Cli, caller: WireCaller, amqp_url: str
) -> None:
    """Nobody may publish as somebody else; who vouches for a letter sends it as its own."""
    user = urlsplit(amqp_url).username or "guest"
    ours = {"x-original-user-id": user}
    await die(caller, "a", more=ours, user_id=user)
    assert await sent_by(cli, caller) == user
    await die(caller, "b", more={"x-original-user-id": "billing"}, user_id=user)
    (shown,) = json.loads((await cli("dead-letters", "list", "--json")).out)
    assert shown["user_id"] == "billing"
    assert await sent_by(cli, caller) is None
    await die(caller, "c", more={"x-original-user-id": "billing"}, user_id=user)
    assert await sent_by(cli, caller, "--vouch") == user


async def test_a_letter_that_says_itself_that_it_was_ours_is_not_believed(
    cli: Cli, caller: WireCaller, amqp_url: str
) -> None:
    """A header can be forged; that we parked it, and who sent it, is what the broker verified."""
    await die(caller, "a", more={"x-original-user-id": urlsplit(amqp_url).username})
    assert await sent_by(cli, caller) is None


@pytest.mark.parametrize("exchange", ["amq.topic", "lifecycle.dead-letter", "other"])
async def test_a_letter_is_no_way_to_somebody_elses_queue(
    cli: Cli, caller: WireCaller, exchange: str
) -> None:
    """Whatever its headers say, it goes to one of our two exchanges or stays."""
    await die(caller, "a", more={"x-original-exchange": exchange})
    ran = await cli("dead-letters", "requeue", "--all")
    assert (ran.code, await count(caller)) == (1, 1)
    assert f"nothing of ours is sent to '{exchange}'" in ran.out


async def test_letters_of_triggers_are_shown_where_there_are_any_and_stay(
    cli: Cli, caller: WireCaller, amqp_url: str
) -> None:
    """Their exchange is somebody else's, with other listeners: nothing is sent back to it."""
    await declare(amqp_url, trigger_queues())
    headers = {"x-original-exchange": "billing", "x-death-reason": "no workspace there"}
    await caller.send(
        "lifecycle.triggers.dead", b"{}", exchange="", message_id="e-1", headers=headers
    )
    for options in ([], ["--queue", "triggers"]):
        (letter,) = json.loads((await cli("dead-letters", "list", "--json", *options)).out)
        assert (letter["message_id"], letter["why"]) == ("e-1", "no workspace there")
    ran = await cli("dead-letters", "requeue", "--all")
    assert (ran.code, "kept (nothing of ours is sent to 'billing')" in ran.out) == (1, True)
    assert (await cli("dead-letters", "discard", "--all")).err == "1 discarded, 0 kept\n"
