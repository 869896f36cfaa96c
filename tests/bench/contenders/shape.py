"""What every contender reads and writes: the same statement, the same messages, the same queues."""

import asyncio
import json
import os
from collections.abc import Awaitable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID, uuid4

Row: TypeAlias = Any
"""A row of `PAUSE`, by name: asyncpg and psycopg have each its own type."""
AMQP_URL = os.environ.get("BENCH_AMQP_URL", "")
DATABASE_URL = os.environ.get("BENCH_DATABASE_URL", "")
COMMANDS, EVENTS = "workspace.commands", "workspace.events"
COMMANDS_QUEUE, EXECUTOR_QUEUE = "lifecycle.commands", "lifecycle.executor"
RESULTS_QUEUE, AUDIT_STREAM = "lifecycle.results", "lifecycle.audit"
STOP, SUMMARY, DONE = "workspace.stop", "workspace.pause.summary", "bench.done"
READY = "the contender consumes"
"""What a contender prints when it does."""
CONTENT_TYPE = "application/cloudevents+json"
AT_ONCE = 64
"""Commands in hand at once, for those that do more than one at a time."""
CONNECTIONS = 10

PAUSE = """
with recursive down as (
    select id, status from workspaces where id = $1
    union all
    select w.id, w.status from down d join workspaces w on w.parent_id = d.id
)
update workspaces w set status = 'paused', url = '', updated_at = now()
from down d where w.id = d.id and w.status not in ('paused', 'removed')
returning w.id, w.name, w.instance_id, w.runtime, d.status::text as previous_status
"""
"""Pause a tree in one statement, and tell what was paused."""


async def all_of(publishes: Sequence[Awaitable[object]]) -> None:
    """Wait for the confirms of a tree's messages: for each in turn, as documentations show it.

    With BENCH_GATHERED all are under way at once.
    """
    if "BENCH_GATHERED" in os.environ:
        await asyncio.gather(*publishes)
    else:
        for one in publishes:
            await one


def ready() -> None:
    """Say that commands are consumed from now on."""
    print(READY, flush=True)


def named(body: bytes) -> UUID:
    """Read which workspace a command names."""
    return UUID(json.loads(body)["workspace_id"])


def stop(operation: UUID, cause: str, row: Row) -> dict[str, Any]:
    """Make the command that stops one workspace, with all that the program's own has."""
    data = {
        "operation_id": str(operation),
        "workspace_id": str(row["id"]),
        "name": row["name"],
        "instance_id": row["instance_id"],
        "runtime": row["runtime"],
        "previous_status": row["previous_status"],
        "generation": 1,
        "deadline": "2026-05-28T12:15:00Z",
    }
    return event(STOP, operation, cause, str(row["id"]), data)


def summary(operation: UUID, cause: str, workspace_id: UUID, rows: Sequence[Row]) -> dict[str, Any]:
    """Make the event that tells what was paused; it is the answer as well."""
    data = {
        "operation_id": str(operation),
        "action": "pause",
        "workspace_id": str(workspace_id),
        "status": 200,
        "cascade": True,
        "paused_count": len(rows),
        "workspaces": [
            {
                "workspace_id": str(row["id"]),
                "name": row["name"],
                "previous_status": row["previous_status"],
            }
            for row in rows
        ],
    }
    return event(SUMMARY, operation, cause, str(workspace_id), data)


def event(
    kind: str, operation: UUID, cause: str, subject: str, data: Mapping[str, Any]
) -> dict[str, Any]:
    """Put data into an envelope (CloudEvents 1.0, structured)."""
    return {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "bench",
        "type": kind,
        "subject": subject,
        "time": datetime.now(UTC).isoformat(),
        "datacontenttype": "application/json",
        "dataschema": f"urn:workspace-lifecycle:schema:{kind}:1",
        "correlationid": cause,
        "causationid": cause,
        "operationid": str(operation),
        "data": data,
    }
