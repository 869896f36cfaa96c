"""A database whose clock is not this machine's, as where two machines disagree on the time."""

from datetime import timedelta

import asyncpg

_SKEW = """
create schema skewed;
create function skewed.now() returns timestamptz language sql stable
    as 'select pg_catalog.now() + interval ''{0} seconds''';
create function skewed.clock_timestamp() returns timestamptz language sql volatile
    as 'select pg_catalog.clock_timestamp() + interval ''{0} seconds''';
do $$ begin
    execute format('alter database %I set search_path = skewed, pg_catalog, public',
                   current_database());
end $$
"""


async def skew(url: str, by: timedelta) -> None:
    """Put the clock of a database forward, for connections that are opened from now on."""
    connection = await asyncpg.connect(url)
    await connection.execute(_SKEW.format(by.total_seconds()))
    await connection.close()
