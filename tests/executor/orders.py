"""Orders to give to an executor."""

import time
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

from consumer.executor.port import Order


def order(
    action: Literal["stop", "start"] = "stop",
    instance_id: str | None = None,
    *,
    runtime: str | None = None,
    seconds: float = 20,
    workspace_id: UUID | None = None,
    generation: int = 1,
) -> Order:
    """Make an order whose deadline is `seconds` from now."""
    return Order(
        action=action,
        operation_id=uuid4(),
        workspace_id=workspace_id or uuid4(),
        name="w",
        instance_id=instance_id,
        runtime=runtime,
        generation=generation,
        deadline=datetime.now(UTC) + timedelta(seconds=seconds),
        ends=time.monotonic() + seconds,
    )
