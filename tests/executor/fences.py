"""A fence in memory, and an EC2 executor behind it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from consumer.executor.ec2 import Ec2
from consumer.executor.fence import Fence
from consumer.executor.fleet import FleetExecutor
from consumer.executor.port import Order
from consumer.message import UnavailableError


class OpenFence(Fence):
    """Lets everything through but what was `overtaken`; while `away` it can tell nothing."""

    def __init__(self) -> None:
        self.overtaken: set[UUID] = set()
        self.away = False
        self.holding: list[list[UUID]] = []

    async def newest(self, orders: Sequence[Order]) -> Sequence[bool]:
        """Tell what was not overtaken."""
        if self.away:
            raise UnavailableError("the database is away")
        return [order.workspace_id not in self.overtaken for order in orders]

    @asynccontextmanager
    async def held(self, orders: Sequence[Order]) -> AsyncIterator[Sequence[bool]]:
        """Note who holds what."""
        newest = await self.newest(orders)
        mine = [order.workspace_id for order in orders]
        self.holding.append(mine)
        try:
            yield newest
        finally:
            self.holding.remove(mine)


def fleet(fence: OpenFence | None = None, *, hibernate: bool = False) -> FleetExecutor:
    """Make an EC2 executor."""
    return FleetExecutor(Ec2(), fence or OpenFence(), hibernate=hibernate)
