"""What a migration refuses, and that what it refuses or repeats leaves nothing behind."""

import asyncpg
import pytest

from consumer.store.migrate import REQUIRED_COLUMNS, UnfitDatabaseError, check, migrate, migrations
from tests.support.forest import Forest

SCHEMA = "select to_regnamespace('lifecycle') is not null"


async def test_a_second_migration_applies_nothing_and_touches_nothing(
    database_url: str, forest: Forest
) -> None:
    """What was applied stays as it was, also its times and the platform's rows."""
    await forest.plant("top", "top/a")
    read = "select version, name, applied_at from lifecycle.migration order by version"
    before = await forest.connection.fetch(read), await forest.snapshot()
    assert await migrate(database_url) == []
    assert (await forest.connection.fetch(read), await forest.snapshot()) == before
    assert [row["name"] for row in before[0]] == [one.name for one in migrations()]


async def test_a_database_without_workspaces_is_refused_and_left_alone(
    empty_database_url: str,
) -> None:
    """The wrong database is told which setting to look at, and gets no schema."""
    with pytest.raises(UnfitDatabaseError, match="LIFECYCLE_DATABASE_URL"):
        await migrate(empty_database_url)
    connection = await asyncpg.connect(empty_database_url)
    assert not await connection.fetchval(SCHEMA)
    with pytest.raises(UnfitDatabaseError, match="no table workspaces"):
        await check(connection)
    await connection.close()


@pytest.mark.parametrize("column", REQUIRED_COLUMNS)
async def test_each_column_the_statements_need_is_required(
    platform_database_url: str, column: str
) -> None:
    """Without it migrate refuses by its name, before anything is made."""
    connection = await asyncpg.connect(platform_database_url)
    await connection.execute(f"alter table workspaces drop column {column} cascade")
    with pytest.raises(UnfitDatabaseError, match=rf"lacks the column {column}:"):
        await migrate(platform_database_url)
    assert not await connection.fetchval(SCHEMA)
    await connection.close()


async def test_no_column_beyond_the_required_ones_is_used(platform_database_url: str) -> None:
    """A table with those columns and no other is enough to be migrated and walked."""
    connection = await asyncpg.connect(platform_database_url)
    rows = await connection.fetch(
        "select attname from pg_attribute where attrelid = 'workspaces'::regclass and attnum > 0"
    )
    for name in {row["attname"] for row in rows} - set(REQUIRED_COLUMNS):
        await connection.execute(f"alter table workspaces drop column {name}")
    await migrate(platform_database_url)
    await check(connection)
    assert await connection.fetch("select * from lifecycle.subtree(gen_random_uuid())") == []
    await connection.close()


async def test_a_database_that_was_left_halfway_is_refused_by_the_missing_file(
    database_url: str, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Where a later version's file is missing, check names it and the command."""
    await connection.execute("delete from lifecycle.migration")
    with pytest.raises(UnfitDatabaseError, match=r"0001_initial\.sql.*workspace-lifecycle migrate"):
        await check(connection)
    with pytest.raises(UnfitDatabaseError, match="cannot be migrated"):
        await migrate(database_url)
    assert await connection.fetchval("select count(*) from lifecycle.migration") == 0


def test_files_are_numbered_without_a_gap() -> None:
    """Versions count from 1, each once."""
    assert [one.version for one in migrations()] == list(range(1, len(migrations()) + 1))
