"""Where everything is that is to go wrong, and a load upon it."""

from collections.abc import AsyncIterator, Callable
from functools import partial

import asyncpg
import pytest

from consumer.broker.topology import declare
from tests.support.load import Load, loading
from tests.support.siege import Urls
from tests.support.trial import SEED, Trying
from tests.support.trial import trial as holding


@pytest.fixture
def urls(amqp_url: str, database_url: str) -> Urls:
    """Give this test's servers."""
    return Urls(amqp_url, database_url)


@pytest.fixture
async def sent(urls: Urls, connection: "asyncpg.Connection[asyncpg.Record]") -> AsyncIterator[Load]:
    """Give a load whose own connections are not touched; FAULTS_SEED replays it."""
    print(f"FAULTS_SEED={SEED}")
    await declare(urls.amqp)
    async with loading(urls.amqp, connection, SEED) as sent:
        yield sent


@pytest.fixture
def trial(record_property: Callable[[str, object], None]) -> Trying:
    """Give trials that last FAULTS_SECONDS and whose outcome stands in the report's table."""
    return partial(holding, record_property)
