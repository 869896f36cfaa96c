"""Planting trees in the platform's table, and looking at what became of them."""

import asyncio
from collections.abc import Mapping
from uuid import UUID, uuid4

import asyncpg


class Forest:
    """Workspaces of one test, called by name."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.connection = connection
        self.ids: dict[str, UUID] = {}

    async def plant(self, *branches: str) -> UUID:
        """Plant `name`, `parent/name` or either with `:status` behind it; give the first's id.

        A workspace is online where no status is given, and each has an instance id.
        """
        rows = []
        for branch in branches:
            path, _, status = branch.partition(":")
            above, _, name = path.rpartition("/")
            self.ids[name] = uuid4()
            rows.append((self.ids[name], name, self.ids.get(above), status or "online"))
        await self.connection.executemany(
            "insert into workspaces (id, name, parent_id, status, url, instance_id)"
            " values ($1, $2, $3, $4, 'http://' || $2, 'i-' || $2)",
            rows,
        )
        return rows[0][0]

    async def statuses(self) -> Mapping[str, str]:
        """Give each workspace's status as it is now, by name."""
        rows = await self.connection.fetch("select name, status::text from workspaces")
        return {row["name"]: row["status"] for row in rows}

    async def waiting(self) -> int:
        """Count who waits for a lock in this test's database: the server has others."""
        return int(
            await self.connection.fetchval(
                "select count(distinct pid) from pg_locks join pg_locks mine using (pid)"
                " join pg_database d on d.oid = mine.database"
                " where not pg_locks.granted and d.datname = current_database()"
            )
        )

    async def waited_for(self) -> None:
        """Wait until somebody waits for a lock: only asking can tell."""
        while not await self.waiting():  # noqa: ASYNC110 (there is no event)
            await asyncio.sleep(0.01)

    async def snapshot(self) -> list[tuple[object, ...]]:
        """Give every column of every row, to see that nothing was touched."""
        rows = await self.connection.fetch("select * from workspaces order by id")
        return [tuple(row.values()) for row in rows]
