"""The store's statements for many, called for one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from consumer.operation import Operation, Origin, Plan, Recorded
from consumer.store import inbox, operations, outbox, targets, tree
from consumer.store.inbox import Claim, Stored
from consumer.store.outbox import Outgoing
from consumer.store.pool import Connection
from consumer.store.targets import Change
from consumer.store.tree import Look
from schemas.events import Action

_LATER = UUID(int=0)


async def claim(connection: Connection, origin: Origin, operation_id: UUID) -> Claim:
    """Remember one command."""
    (found,) = await inbox.claim(connection, [(origin, operation_id)])
    return found


async def stored_answer(connection: Connection, origin: Origin) -> Stored:
    """Give what was answered to one command."""
    (found,) = await inbox.stored_answers(connection, [origin])
    return found


async def plan_cascade(
    connection: Connection, workspace_id: UUID, action: Action, listed: int
) -> Plan:
    """Plan one tree."""
    (found,) = await tree.plan_cascades(connection, [Look(workspace_id, action, listed)])
    assert found is not None
    return found


async def pause_targets(
    connection: Connection, workspace_id: UUID, operation_id: UUID, listed: int
) -> Recorded:
    """Pause one tree."""
    (found,) = await targets.pause_targets(connection, [Change(workspace_id, operation_id)], listed)
    return found


async def resume_targets(
    connection: Connection, workspace_id: UUID, operation_id: UUID, listed: int
) -> Recorded:
    """Resume one tree."""
    (found,) = await targets.resume_targets(
        connection, [Change(workspace_id, operation_id)], listed
    )
    return found


async def record_operation(connection: Connection, operation: Operation) -> None:
    """Write one operation."""
    await operations.record_operations(connection, [operation])


def outgoing(kind: Any, name: str, **members: Any) -> Outgoing:
    """Make a message of an operation that `put_outbox` will say."""
    return Outgoing(operation_id=_LATER, kind=kind, type=name, **members)


async def put_outbox(
    connection: Connection, operation_id: UUID, messages: Sequence[Outgoing]
) -> None:
    """Put messages of one operation into the outbox."""
    mine = [replace(message, operation_id=operation_id) for message in messages]
    await outbox.put_outbox(connection, mine)
