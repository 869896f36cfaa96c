"""The program running on a vhost and a database of the test's own, and a caller beside it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import asyncpg
import pytest
from pydantic import SecretStr

from consumer import app
from consumer.broker.topology import declare
from consumer.observe import listening
from consumer.settings import Settings
from tests.support.caller import WireCaller
from tests.support.forest import Forest


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[None]:
    """Run the program until the block ends, and let it stop in order."""
    stop, started = asyncio.Event(), asyncio.Event()

    def notice(fact: str, _: object) -> None:
        if fact == "program.started":
            started.set()

    with listening(notice):
        program = asyncio.create_task(app.serve(settings, app.ROLES, stop))
        waiting = asyncio.create_task(started.wait())
        await asyncio.wait([program, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        try:
            if program.done():
                program.result()
            yield
        finally:
            stop.set()
            await program


@pytest.fixture
def settings_of(amqp_url: str, database_url: str) -> Callable[..., Settings]:
    """Give settings for this test's servers, with what the test says of them."""

    def build(**fields: Any) -> Settings:
        return Settings(
            amqp_url=SecretStr(amqp_url),
            database_url=SecretStr(fields.pop("database_url", database_url)),
            **{"executor": "simulated", "simulated_delay": 0.0, **fields},
        )

    return build


@pytest.fixture
async def program(
    settings_of: Callable[..., Settings], request: pytest.FixtureRequest
) -> AsyncIterator[None]:
    """Run the program; `@pytest.mark.settings(...)` says with which settings."""
    marker = request.node.get_closest_marker("settings")
    async with running(settings_of(**(marker.kwargs if marker else {}))):
        yield


@pytest.fixture
async def caller(amqp_url: str) -> AsyncIterator[WireCaller]:
    """Open a caller of the wire contract."""
    await declare(amqp_url)
    connection = await aio_pika.connect(amqp_url)
    yield await WireCaller.on(connection)
    await connection.close()


@pytest.fixture
async def forest(connection: "asyncpg.Connection[asyncpg.Record]") -> Forest:
    """Give an empty forest."""
    return Forest(connection)
