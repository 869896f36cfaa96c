"""What the program may do to the platform's database, for `doctor`."""

from dataclasses import dataclass

from consumer.store.migrate import REQUIRED_COLUMNS
from consumer.store.pool import Connection
from consumer.store.statements import load

_SQL = load("rights")
_ON_OUR_TABLES = ("select", "insert", "update", "delete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What a database role may do, and which columns of `workspaces` it cannot read or update."""

    role: str
    may_not_read: list[str]
    may_not_change: list[str]
    may_record: bool


async def rights(connection: Connection) -> Rights:
    """Ask what the connected role may do. The database has to be migrated."""
    row = await connection.fetchrow(_SQL["rights"], _ON_OUR_TABLES, "update", REQUIRED_COLUMNS)
    assert row is not None
    return Rights(**dict(row))


async def any_instance(connection: Connection) -> str | None:
    """Give some workspace's instance id, to try permissions on."""
    row = await connection.fetchrow(_SQL["any_instance"])
    return row["instance_id"] if row else None
