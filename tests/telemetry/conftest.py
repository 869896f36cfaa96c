"""The program with /metrics."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from consumer import app
from consumer.devstack.server import free_ports
from consumer.devstack.stack import Stack
from consumer.settings import Settings
from tests.support.program import running

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
