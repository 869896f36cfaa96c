"""Migrations: applied once, from wherever, to the schema that schema.sql shows."""

import asyncio
from importlib.resources import files

import asyncpg
import pytest

from consumer.store.migrate import UnfitDatabaseError, check, migrate

PICTURE = """
select 'column' as kind, table_name || '.' || column_name as name,
       concat_ws(' ', data_type, is_nullable, column_default, identity_generation) as what
from information_schema.columns where table_schema = 'lifecycle'
union all select 'constraint', conrelid::regclass::text || conname, pg_get_constraintdef(oid)
from pg_constraint where connamespace = 'lifecycle'::regnamespace
union all select 'index', indexname, indexdef from pg_indexes where schemaname = 'lifecycle'
union all select 'function', proname, pg_get_functiondef(oid)
from pg_proc where pronamespace = 'lifecycle'::regnamespace
union all select 'trigger', tgname, pg_get_triggerdef(oid) from pg_trigger
where not tgisinternal
union all select 'sequence', sequencename, data_type::text from pg_sequences
where schemaname = 'lifecycle'
order by 1, 2, 3
"""


async def test_schema_sql_is_the_sum_of_the_migrations(
    database_url: str, platform_database_url: str
) -> None:
    """The one-page picture and a migrated database are the same, by their catalogues."""
    migrated = await asyncpg.connect(database_url)
    pictured = await asyncpg.connect(platform_database_url)
    await pictured.execute(files("consumer.store").joinpath("schema.sql").read_text())
    assert await pictured.fetch(PICTURE) == await migrated.fetch(PICTURE)
    await migrated.close()
    await pictured.close()


async def test_from_two_places_at_once_is_harmless(platform_database_url: str) -> None:
    """One applies, the other finds nothing to do."""
    results = await asyncio.gather(*(migrate(platform_database_url) for _ in range(3)))
    assert sorted(map(len, results))[:2] == [0, 0]
    assert max(map(len, results)) > 0


async def test_a_missing_column_is_named(platform_database_url: str) -> None:
    """A table that is not the platform's is refused by the name of what it lacks."""
    connection = await asyncpg.connect(platform_database_url)
    await connection.execute("alter table workspaces drop column instance_id, drop column url")
    with pytest.raises(UnfitDatabaseError, match="url, instance_id"):
        await migrate(platform_database_url)
    with pytest.raises(UnfitDatabaseError, match="url, instance_id"):
        await check(connection)
    await connection.close()


async def test_check_names_the_command_that_mends(platform_database_url: str) -> None:
    """An unmigrated database is refused with `workspace-lifecycle migrate`."""
    connection = await asyncpg.connect(platform_database_url)
    with pytest.raises(UnfitDatabaseError, match="workspace-lifecycle migrate"):
        await check(connection)
    await migrate(platform_database_url)
    await check(connection)
    await connection.close()
