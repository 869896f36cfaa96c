"""The database: migrated, the platform's, open to our role, and agreed with us on the time."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from consumer.doctor.finding import Finding
from consumer.message import UnavailableError
from consumer.settings import Settings
from consumer.store.clock import clock
from consumer.store.migrate import UnfitDatabaseError, check
from consumer.store.pool import Database, opened
from consumer.store.rights import any_instance, rights

_APART = 2.0
"""Seconds that clocks may differ without anybody having to know."""


async def look(settings: Settings) -> AsyncIterator[Finding]:
    """Look at migrations, columns, the role's rights and the clock."""
    try:
        async with opened(settings.database_url.get_secret_value(), 2) as database:
            async for finding in _database(database):
                yield finding
    except UnfitDatabaseError as error:
        yield Finding("database", "wrong", str(error))
    except UnavailableError as error:
        yield Finding("database", "wrong", str(error), "see LIFECYCLE_DATABASE_URL")


async def an_instance(settings: Settings) -> str | None:
    """Give some workspace's instance id; None where there is none, or nobody to ask."""
    try:
        async with (
            opened(settings.database_url.get_secret_value(), 2) as database,
            database.connection() as connection,
        ):
            await check(connection)
            return await any_instance(connection)
    except (UnavailableError, UnfitDatabaseError):
        return None


async def _database(database: Database) -> AsyncIterator[Finding]:
    async with database.connection() as connection:
        await check(connection)
        may = await rights(connection)
        before = datetime.now(UTC)
        at = await clock(connection)
        after = datetime.now(UTC)
    yield Finding("database", "ok", "migrated, and workspaces has the columns that are needed")
    lacks = [
        *(f"select ({column}) on workspaces" for column in may.may_not_read),
        *(f"update ({column}) on workspaces" for column in may.may_not_change),
        *([] if may.may_record else ["select, insert, update, delete on the schema lifecycle"]),
    ]
    if lacks:
        mend = "; ".join(f"grant {lack} to {may.role}" for lack in lacks)
        yield Finding("database", "wrong", f"the role {may.role} lacks {', '.join(lacks)}", mend)
    else:
        yield Finding("database", "ok", f"the role {may.role} may read and change what it has to")
    yield _clock((at - before - (after - before) / 2).total_seconds())


def _clock(ahead: float) -> Finding:
    """Tell how far the database's clock is ahead of ours, in seconds."""
    if abs(ahead) <= _APART:
        return Finding("clock", "ok", "the database and this machine agree on the time")
    told = (
        f"the database's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} ours"
    )
    mend = "have both follow one NTP source: deadlines and not_after go by the database's"
    return Finding("clock", "note", told, mend)
