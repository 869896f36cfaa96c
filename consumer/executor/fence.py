"""The fence: nobody carries out what was not decided, or what a later command has overtaken."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from consumer.executor.port import Order, Standing
from consumer.gather import Gather
from consumer.store.pool import Database
from consumer.store.targets import Claim, holding, newest, standings

_AT_ONCE = 1000


class Fence:
    """Asks the database, many orders at a time, how each stands."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asking = Gather(self._standings, _AT_ONCE)

    async def standing(self, order: Order) -> Standing:
        """Tell whether an order was decided as it stands, and is still its workspace's newest.

        Raises:
            UnavailableError: the database cannot serve now.

        """
        return await self._asking(order)

    async def newest(self, orders: Sequence[Order]) -> Sequence[bool]:
        """Tell of each order that was admitted whether no later command has touched its workspace.

        Raises:
            UnavailableError: the database cannot serve now.

        """
        async with self._database.connection() as connection:
            return await newest(connection, *_touched(orders))

    @asynccontextmanager
    async def held(self, orders: Sequence[Order]) -> AsyncIterator[Sequence[bool]]:
        """Hold the orders' workspaces for the time of a block, and tell the same of each.

        No other process is in such a block for one of them meanwhile, so what is asked of EC2 for
        one workspace arrives there in the order of its generations, also where a call takes long.

        Raises:
            UnavailableError: the database cannot serve now, or was lost before the block's end.

        """
        async with (
            self._database.connection() as connection,
            holding(connection, *_touched(orders)) as still,
        ):
            yield still

    async def _standings(self, orders: Sequence[Order]) -> Sequence[Standing]:
        async with self._database.connection() as connection:
            asked = time.monotonic()
            found = await standings(connection, [_claim(order) for order in orders])
        return [Standing(one.kind, asked + one.left) for one in found]


def _claim(order: Order) -> Claim:
    return Claim(
        operation_id=order.operation_id,
        workspace_id=order.workspace_id,
        generation=order.generation,
        action="pause" if order.action == "stop" else "resume",
        instance_id=order.instance_id,
        runtime=order.runtime,
        deadline=order.deadline,
    )


def _touched(orders: Sequence[Order]) -> tuple[list[UUID], list[int]]:
    return [order.workspace_id for order in orders], [order.generation for order in orders]
