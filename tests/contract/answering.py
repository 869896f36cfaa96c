"""Answering a program's commands as anybody's executor would, and hearing what follows."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from tests.support.caller import Heard, WireCaller
from tests.support.forest import Forest

Order = Mapping[str, Any]
COUNTS = ("succeeded_count", "failed_count", "superseded_count", "timed_out_count")


async def paused(caller: WireCaller, top: UUID, **fields: Any) -> str:
    """Pause a tree; give the operation's id."""
    answer = await caller.pause(top, cascade=True, **fields)
    assert answer.type == "workspace.pause.summary"
    return str(answer.data["operation_id"])


async def resumed(caller: WireCaller, top: UUID, **fields: Any) -> Heard:
    """Resume a tree."""
    answer = await caller.resume(top, **fields)
    assert answer.type == "workspace.resume.summary"
    return answer


async def orders(
    caller: WireCaller, operation: str, count: int, kind: str = "workspace.stop"
) -> dict[str, Order]:
    """Hear an operation's commands; give by name what an answer has to repeat of each."""
    heard = await caller.hear(kind, count, operation_id=operation)
    assert len(heard) == count
    members = ("operation_id", "workspace_id", "generation")
    return {one.data["name"]: {key: one.data[key] for key in members} for one in heard}


async def say(caller: WireCaller, kind: str, order: Order, **more: Any) -> str:
    """Answer as anybody's executor would; give the message's id."""
    data = {**order, **more}
    if kind.endswith("failed"):
        data = {"code": "refused", "retryable": False} | data
    return await caller.send(f"workspace.{kind}", data, exchange="workspace.events")


async def say_as_cloudevent(caller: WireCaller, kind: str, order: Order) -> str:
    """Answer in the other encoding."""
    attributes = {"specversion": "1.0", "id": str(uuid4()), "source": "urn:somebody"}
    event = attributes | {"type": f"workspace.{kind}", "data": order}
    return await caller.send(
        f"workspace.{kind}",
        json.dumps(event).encode(),
        exchange="workspace.events",
        content_type="application/cloudevents+json",
    )


async def corrected(caller: WireCaller, operation: str, count: int) -> list[Heard]:
    """Hear corrected events until they hold so many corrections."""
    events: list[Heard] = []
    while sum(len(one.data["corrections"]) for one in events) < count:
        events = await caller.hear(
            "workspace.pause.corrected", len(events) + 1, operation_id=operation
        )
    return events


def ours(caller: WireCaller, operation: str) -> list[str]:
    """List the types of what the program said of an operation, commands aside."""
    said = [one for one in caller.of(operation) if one.count(".") == 2]
    return [one for one in said if not one.endswith((".stop.failed", ".start.failed"))]


def counts(event: Heard) -> tuple[int, ...]:
    """Give an event's counts, in the order of COUNTS."""
    return tuple(event.data[name] for name in COUNTS)


async def tables(forest: Forest) -> list[list[Any]]:
    """Read everything that results can change, once the relay is done with what was confirmed."""
    left = 1
    async with asyncio.timeout(30):
        while left:
            left = await forest.connection.fetchval("select count(*) from lifecycle.outbox")
            await asyncio.sleep(0.01)
    names = ("workspaces", "lifecycle.operation", "lifecycle.target")
    return [[*await forest.connection.fetch(f"select * from {name} order by 1")] for name in names]


async def rows_of(forest: Forest) -> list[Any]:
    """Give every column but the one that dates a change."""
    rows = await forest.connection.fetch(
        "select (to_jsonb(w) - 'updated_at')::text from workspaces w order by id"
    )
    return [*rows]


async def send_order(caller: WireCaller, data: Mapping[str, Any], **properties: Any) -> None:
    """Send a stop command as the relay would write it."""
    event = {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "workspace-lifecycle",
        "type": "workspace.stop",
        "data": data,
    }
    app_id = "workspace-lifecycle"
    await caller.send("workspace.stop", event, app_id=app_id, **properties)
