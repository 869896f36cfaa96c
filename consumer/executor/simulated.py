"""An executor without machines, for demos and tests."""

import asyncio

from consumer.executor.port import Done, Failed, Order, Result, Unasked

_PARTS = 10_000


class SimulatedExecutor:
    """Answers after `delay` seconds; a share `failures` (0 to 1) of all workspaces fails.

    Which ones is decided by the workspace's id, so that a failure can be met again.
    """

    def __init__(self, *, delay: float, failures: float) -> None:
        self._delay = delay
        self._failures = failures

    async def carry_out(self, order: Order) -> Result:
        """Pretend."""
        if order.expired:
            return Unasked("expired", "its deadline passed before it was begun", retryable=True)
        await asyncio.sleep(self._delay)
        if order.workspace_id.int % _PARTS < self._failures * _PARTS:
            return Failed("simulated", f"{order.name} is one of those that fail", retryable=True)
        return Done(f"simulated {order.action}")
