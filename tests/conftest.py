"""Servers once for the run; a vhost and a database of its own for every test."""

import asyncio
from collections.abc import Iterator

import pytest

from consumer.devstack.lease import database, vhost
from consumer.devstack.platform import create_workspaces
from consumer.devstack.stack import Stack, embedded
from consumer.store.migrate import migrate


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Bring up the broker, the database and AWS."""
    with embedded(print) as running:
        yield running


@pytest.fixture
def amqp_url(stack: Stack) -> Iterator[str]:
    """Lease a vhost."""
    with vhost(stack) as url:
        yield url


@pytest.fixture
def database_url(stack: Stack) -> Iterator[str]:
    """Lease an empty database."""
    with database(stack) as url:
        yield url


@pytest.fixture(scope="session", params=["enum", "text"])
def template(stack: Stack, request: pytest.FixtureRequest) -> Iterator[str]:
    """Make a migrated database with either kind of status column, to be copied."""
    with database(stack) as url:
        asyncio.run(_prepare(url, request.param))
        yield url.rpartition("/")[2]


async def _prepare(url: str, status: str) -> None:
    await create_workspaces(url)
    if status == "text":
        await _execute(url, "alter table workspaces alter status type text")
    await migrate(url)


async def _execute(url: str, statement: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()
