"""A worker between an executor, a fence and a broker, all in memory."""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

from consumer.executor.port import Done, Executor, Order, Result, Standing
from consumer.executor.worker import Worker
from consumer.message import Inbound, Outbound
from consumer.policy import Policy

Receipt = Literal["confirmed", "returned", "failed"]
OPERATION, WORKSPACE = uuid4(), uuid4()
DONE = Done("done")
ANYBODY = Policy()
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Scripted(Executor):
    """Answers what it was told to, and keeps what it was asked."""

    def __init__(self, result: Result) -> None:
        self.result = result
        self.orders: list[Order] = []

    async def carry_out(self, order: Order) -> Result:
        """Answer."""
        self.orders.append(order)
        return self.result


class Desk:
    """A worker between a scripted executor, a fence and a broker in memory."""

    def __init__(
        self,
        result: Result = DONE,
        *,
        standing: Literal["newest", "overtaken", "unknown"] = "newest",
        receipt: Receipt = "confirmed",
        policy: Policy = ANYBODY,
    ) -> None:
        self.executor = Scripted(result)
        self.published: list[Outbound] = []
        self.fenced: list[tuple[UUID, int]] = []
        self.standing = standing
        self.receipt = receipt
        self.worker = Worker(self.executor, self._standing, self._publish, policy)

    async def _standing(self, order: Order) -> Standing:
        self.fenced.append((order.workspace_id, order.generation))
        left = (order.deadline - datetime.now(UTC)).total_seconds()
        return Standing(self.standing, time.monotonic() + left)

    async def _publish(self, batch: Sequence[Outbound]) -> Sequence[Receipt]:
        self.published.extend(batch)
        return [self.receipt for _ in batch]

    async def answer(self, inbound: Inbound) -> tuple[Outbound, Any]:
        """Handle one command; give the one message it led to, and its event."""
        await self.worker.handle(inbound)
        (message,) = self.published
        return message, json.loads(message.body)


def command(kind: str = "workspace.stop", *, seconds: float = 60, **changes: Any) -> Inbound:
    """Make a command as the relay writes it; `data=` changes members of its data."""
    deadline = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    data: dict[str, Any] = {
        "operation_id": str(OPERATION),
        "workspace_id": str(WORKSPACE),
        "name": "w",
        "instance_id": "i-1",
        "runtime": None,
        "previous_status": "running",
        "generation": 7,
        "deadline": deadline,
    }
    event = {
        "specversion": "1.0",
        "id": "the-command",
        "source": "workspace-lifecycle",
        "type": kind,
        "correlationid": "corr",
        "traceparent": TRACE,
        "data": data | changes.pop("data", {}),
    }
    return inbound(json.dumps(event | changes).encode(), kind)


def inbound(body: bytes, kind: str = "workspace.stop") -> Inbound:
    """Make a delivery."""
    return Inbound(
        body=body, queue="lifecycle.executor", exchange="workspace.commands", routing_key=kind
    )
