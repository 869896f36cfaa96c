"""reply_to is no way to have the program write where its caller may not."""

import asyncio
import json
import re
from collections.abc import Callable
from uuid import uuid4

import aio_pika
import pytest

from consumer.settings import Settings
from schemas.topology import EXCHANGES, QUEUES
from tests.support.caller import WireCaller
from tests.support.forest import Forest
from tests.support.program import running

OURS = [queue.name for queue in QUEUES]
OTHERS = [
    "orders",
    "amq.rabbitmq.trace",
    "amq.rabbitmq.reply",
    "Amq.gen-JzTY20BRgKO-HjmUJj0wLg",
    "amq.gen",
    " amq.gen-x",
    "x.amq.gen-x",
    "../amq.gen-x",
    "amqp://elsewhere/amq.gen-x",
]
PATTERNS = ["*", "#", "amq.*", "lifecycle.*", "lifecycle.#", "[a-z]*", "?"]
EXOTIC = ["", " ", "\n", "x" * 255, "rückweg", "orders\r\namq.gen-x", "%2F", "$(orders)", "0"]
DECLARED = [
    one
    for one in [*OTHERS, *PATTERNS, *EXOTIC]
    if re.fullmatch(r"[\w.:@#,/-]+", one, re.ASCII) and not one.startswith("amq.")
]
"""Those that a client library can declare."""


async def replies(forest: Forest) -> int:
    """Count the replies that were decided, where nothing is relayed."""
    return int(
        await forest.connection.fetchval(
            "select count(*) from lifecycle.outbox where kind = 'reply'"
        )
    )


async def decided(forest: Forest, count: int) -> None:
    """Wait until so many commands have their outcome."""
    async with asyncio.timeout(20):
        query = "select count(*) from lifecycle.operation"
        while await forest.connection.fetchval(query) < count:  # noqa: ASYNC110 (there is no event)
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("allow", [("amq.gen-*",), (), ("*", "lifecycle.*")], ids=str)
async def test_no_reply_is_ever_decided_to_a_queue_of_ours(
    settings_of: Callable[..., Settings], caller: WireCaller, forest: Forest, allow: tuple[str, ...]
) -> None:
    """Neither to work queues, nor dead letters, nor the trail, whatever the operator allows."""
    async with running(settings_of(reply_to_allow=allow), ("commands",)):
        for target in OURS:
            await caller.send("workspace.pause", {"workspace_id": uuid4()}, reply_to=target)
        await decided(forest, len(OURS))
    assert await replies(forest) == 0


@pytest.mark.parametrize("wrong", [False, True], ids=["read", "malformed"])
async def test_no_reply_is_decided_to_what_is_not_allowed(
    settings_of: Callable[..., Settings], caller: WireCaller, forest: Forest, wrong: bool
) -> None:
    """Other people's queues, exchanges, patterns, nothing, and what looks like something else.

    A command that is refused as malformed is answered no further than any other.
    """
    targets = [*OTHERS, *PATTERNS, *EXOTIC, *EXCHANGES]
    async with running(settings_of(), ("commands",)):
        for target in targets:
            data = {"workspace_id": uuid4(), **({"cascad": True} if wrong else {})}
            await caller.send("workspace.pause", data, reply_to=target)
        await decided(forest, len(targets))
    assert await replies(forest) == 0


@pytest.mark.usefixtures("program")
async def test_nothing_arrives_in_queues_of_those_names(caller: WireCaller, forest: Forest) -> None:
    """Whoever has a queue of such a name finds nothing in it, by whatever member it was named."""
    queues = [await caller.channel.declare_queue(name, exclusive=True) for name in DECLARED]
    for name in DECLARED:
        event = {
            "specversion": "1.0",
            "id": str(uuid4()),
            "source": "tests",
            "type": "workspace.pause",
            "replyto": name,
            "data": {"workspace_id": str(uuid4())},
        }
        await caller.send(
            "workspace.pause",
            json.dumps(event).encode(),
            content_type="application/cloudevents+json",
            reply_to=name,
            headers={"reply_to": name, "CC": [name], "BCC": [name], "x-reply-to": name},
        )
    await decided(forest, len(DECLARED))
    await caller.all_out()
    assert [one.name for one in queues if await one.get(fail=False) is not None] == []


@pytest.mark.usefixtures("program")
async def test_another_callers_own_queue_takes_no_part_of_the_command_with_it(
    caller: WireCaller, amqp_url: str, forest: Forest
) -> None:
    """Who has learnt the broker's name for a queue gets an answer put there, under its own id.

    That is what `amq.gen-*` lets pass, and all: no header or property of the sender's choice.
    """
    top = await forest.plant("top")
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        victim = await channel.declare_queue(exclusive=True)
        await caller.send(
            "workspace.pause",
            {"workspace_id": top},
            reply_to=victim.name,
            message_id="attack",
            headers={"x-command": "obey"},
            type="workspace.pause",
            expiration=60,
        )
        await caller.hear("workspace.pause.summary", workspace_id=top)
        async with asyncio.timeout(20):
            while (got := await victim.get(fail=False)) is None:  # noqa: ASYNC110 (nor here)
                await asyncio.sleep(0.01)
    assert (got.correlation_id, got.type) == ("attack", "workspace.pause.summary")
    assert got.app_id == "workspace-lifecycle"
    assert set(got.headers) == {"x-operation-id"}
