"""Forests and connections for the store's tests."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.support.forest import Forest


@pytest.fixture(params=["database_url", "text_database_url"], ids=["enum", "text"])
def either_url(request: pytest.FixtureRequest) -> str:
    """Lease a migrated database whose status column is an enum, then one where it is TEXT."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
async def either(either_url: str) -> AsyncIterator[Forest]:
    """Give an empty forest on either."""
    connection = await asyncpg.connect(either_url)
    yield Forest(connection)
    await connection.close()


@pytest.fixture
async def second(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Open a second connection to the test's database."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def third(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Open a third connection to the test's database."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()
