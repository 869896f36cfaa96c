"""Commands carried into the database, as lifecycle.py does it but for the decision."""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg

from consumer.operation import Operation, Outcome, Recorded, Result
from consumer.store.pool import Connection
from consumer.store.targets import undo_targets
from schemas.events import Action
from tests.support.one import pause_targets, record_operation, resume_targets


@dataclass(frozen=True, slots=True)
class Carried:
    """An operation and what it changed."""

    operation_id: UUID
    recorded: Recorded
    action: Action

    def result(self, workspace_id: UUID, outcome: Outcome = "succeeded") -> Result:
        """Say what an executor would say about one target."""
        return Result(
            operation_id=self.operation_id,
            workspace_id=workspace_id,
            generation=self.recorded.generation,
            action=self.action,
            outcome=outcome,
            message_id="r",
            code="refused" if outcome == "failed" else None,
            detail="no" if outcome == "failed" else None,
        )


async def pause(connection: Connection, top: UUID, seconds: float = 60) -> Carried:
    """Pause a tree."""
    operation_id = uuid4()
    recorded = await pause_targets(connection, top, operation_id, 100)
    return await _record(connection, top, Carried(operation_id, recorded, "pause"), seconds)


async def resume(connection: Connection, top: UUID, seconds: float = 60) -> Carried:
    """Resume a tree."""
    operation_id = uuid4()
    recorded = await resume_targets(connection, top, operation_id, 100)
    return await _record(connection, top, Carried(operation_id, recorded, "resume"), seconds)


async def undo(connection: Connection, top: UUID, earlier: Carried) -> Carried:
    """Undo a pause."""
    operation_id = uuid4()
    recorded = await undo_targets(connection, top, operation_id, 100, earlier.operation_id)
    return await _record(connection, top, Carried(operation_id, recorded, "resume"), 60)


async def operation(connection: Connection, answer: bytes = b"answer") -> UUID:
    """Record an operation without targets."""
    row = _row("pause", uuid4(), uuid4())
    await record_operation(connection, replace(row, answer=answer))
    return row.operation_id


async def blocked(connection: "asyncpg.Connection[asyncpg.Record]", by: int) -> None:
    """Wait until somebody waits for what the backend `by` holds: only asking can tell."""
    waits = (
        "select exists (select from pg_locks where not granted and $1 = any(pg_blocking_pids(pid)))"
    )
    while not await connection.fetchval(waits, by):  # noqa: ASYNC110 (there is no event)
        await asyncio.sleep(0.005)


async def _record(connection: Connection, top: UUID, carried: Carried, seconds: float) -> Carried:
    row = _row(carried.action, carried.operation_id, top)
    row = replace(
        row,
        generation=carried.recorded.generation,
        target_count=carried.recorded.count,
        open_count=carried.recorded.target_count,
        deadline=row.recorded_at + timedelta(seconds=seconds),
    )
    await record_operation(connection, row)
    return carried


def _row(action: Action, operation_id: UUID, top: UUID) -> Operation:
    now = datetime.now(UTC)
    return Operation(
        operation_id=operation_id, action=action, workspace_id=top, source="tests", app_id="tests",
        message_id="m", correlation_id=None, traceparent=None, cascade=True, undo=None,
        requested_by=None, reason=None, outcome="carried", status=200, code=None,
        deprecated=False, generation=None, answer_type=f"workspace.{action}.summary",
        answer=b"answer", target_count=0, open_count=0, recorded_at=now, deadline=now,
    )  # fmt: skip
