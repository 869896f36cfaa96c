"""Migrations: numbered files, each applied once, under an advisory lock."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import asyncpg

from consumer.foreseen import ForeseenError
from consumer.store.pool import SESSION, Connection, admitting, text_of
from consumer.store.statements import load

_SQL = load("migrate")
_NAME = re.compile(r"(?P<version>\d{4})_\w+\.sql")
REQUIRED_COLUMNS = (
    "id", "name", "status", "parent_id", "runtime", "url", "instance_id", "active_tasks",
    "updated_at",
)  # fmt: skip


class UnfitDatabaseError(ForeseenError):
    """The database is not one the program can work on; the text says what mends it."""


@dataclass(frozen=True, slots=True, order=True)
class Migration:
    """One file of `migrations/`."""

    version: int
    name: str
    sql: str


def migrations() -> Sequence[Migration]:
    """List the migrations of this version of the program, oldest first."""
    found = []
    for file in files("consumer.store").joinpath("migrations").iterdir():
        match = _NAME.fullmatch(file.name)
        if match:
            text = file.read_text(encoding="utf-8")
            found.append(Migration(int(match["version"]), file.name, text))
    return sorted(found)


async def migrate(url: str) -> list[str]:
    """Bring a database up to this version; give the names of the files that were applied.

    All of it is one transaction. Running it twice, or from two places at once, is harmless.

    Raises:
        UnavailableError: the database cannot be reached.
        UnfitDatabaseError: the platform's table is missing, or a file cannot be applied.

    """
    connection = await connect(url)
    try:
        async with connection.transaction():
            await connection.execute(_SQL["lock_migrations"])
            await check_workspaces(connection)
            await _create_schema(connection)
            await connection.execute(_SQL["create_migration_table"])
            return await _apply(connection, await _missing(connection))
    except asyncpg.PostgresError as error:
        raise UnfitDatabaseError(f"the database cannot be migrated: {text_of(error)}") from error
    finally:
        await connection.close()


async def check(connection: Connection) -> None:
    """Refuse a database that is not migrated, or whose `workspaces` is not the platform's.

    Raises:
        UnfitDatabaseError: with the command that mends it.

    """
    await check_workspaces(connection)
    try:
        missing = await _missing(connection)
    except asyncpg.InsufficientPrivilegeError as error:
        raise UnfitDatabaseError(
            f"the database role may not read the schema lifecycle ({text_of(error)}): "
            "grant it usage on the schema, and select, insert, update, delete on its tables"
        ) from error
    if missing:
        names = ", ".join(migration.name for migration in missing)
        raise UnfitDatabaseError(
            f"the database is not migrated ({names}): run `workspace-lifecycle migrate`"
        )


async def check_workspaces(connection: Connection) -> None:
    """Refuse a `workspaces` table that lacks a column the program needs.

    Raises:
        UnfitDatabaseError: naming what is missing.

    """
    found = {row["name"] for row in await connection.fetch(_SQL["workspaces_columns"])}
    if not found:
        raise UnfitDatabaseError(
            "there is no table workspaces in this database's search_path: "
            "point LIFECYCLE_DATABASE_URL at the platform's database"
        )
    missing = [column for column in REQUIRED_COLUMNS if column not in found]
    if missing:
        raise UnfitDatabaseError(
            f"the table workspaces lacks the column {', '.join(missing)}: "
            "this is not the platform's table, or an older one"
        )


async def connect(url: str) -> "asyncpg.Connection[asyncpg.Record]":
    """Open one connection.

    Raises:
        UnavailableError: the database cannot be reached, or refuses.

    """
    with admitting(url):
        return await asyncpg.connect(url, timeout=10, server_settings=SESSION)


async def _create_schema(connection: Connection) -> None:
    found = await connection.fetchrow(_SQL["schema"])
    if found is None or not found["present"]:
        await connection.execute(_SQL["create_schema"])


async def _missing(connection: Connection) -> list[Migration]:
    present = await connection.fetchrow(_SQL["migration_table"])
    if present is None or not present["present"]:
        return list(migrations())
    applied = {row["version"] for row in await connection.fetch(_SQL["applied_migrations"])}
    return [migration for migration in migrations() if migration.version not in applied]


async def _apply(connection: Connection, missing: Sequence[Migration]) -> list[str]:
    for migration in missing:
        await connection.execute(migration.sql)
        await connection.execute(_SQL["record_migration"], migration.version, migration.name)
    return [migration.name for migration in missing]
