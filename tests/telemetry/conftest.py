"""The program with /metrics."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aio_pika
import pytest

from consumer import app
from consumer.devstack.server import free_ports
from consumer.devstack.stack import Stack
from consumer.settings import Settings
from tests.support.caller import WireCaller
from tests.support.program import running
from tests.support.users import user_on

Measured = Callable[..., AbstractAsyncContextManager[str]]


@pytest.fixture
def measured(settings_of: Callable[..., Settings]) -> Measured:
    """Give what runs the program with some settings; it gives where to scrape it."""

    @asynccontextmanager
    async def run(*roles: app.Role, **fields: Any) -> AsyncIterator[str]:
        (port,) = free_ports(1)
        listen = f"127.0.0.1:{port}"
        async with running(settings_of(**fields, listen=listen), roles or app.ROLES):
            yield listen

    return run


@pytest.fixture
def archive_past_the_front(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have EC2 alone stand behind the front that throttles."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", stack.aws_url)


@pytest.fixture
async def stranger(stack: Stack, declared_url: str) -> AsyncIterator[WireCaller]:
    """Open a caller as a user whom the policy does not name."""
    with user_on(stack.management_url, declared_url, "stranger") as url:
        connection = await aio_pika.connect(url)
        yield await WireCaller.on(connection, listen=False)
        await connection.close()
