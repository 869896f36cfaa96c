"""A bystander and the management API for every test of the broker room."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import pytest

from consumer.devstack.management import call
from consumer.devstack.stack import Stack
from tests.broker.tools import PATIENCE, Bystander, bystander

Management = Callable[..., Coroutine[Any, Any, Any]]


@pytest.fixture
async def wire(declared_url: str) -> AsyncIterator[Bystander]:
    """Stand by on the wire."""
    async with bystander(declared_url) as one:
        yield one


@pytest.fixture
def management(stack: Stack) -> Management:
    """Call the management API off the loop."""

    async def ask(method: str, path: str) -> Any:
        return await asyncio.to_thread(call, stack.management_url, method, path)

    return ask


@pytest.fixture
def close_by_broker(management: Management, amqp_url: str) -> Management:
    """Have the broker close the connection of a name, once its API knows of it."""
    vhost = urlsplit(amqp_url).path.strip("/")

    async def close(name: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while not (found := await _named(management, vhost, name)):  # noqa: ASYNC110 - cannot wake us
                await asyncio.sleep(0.05)
        for one in found:
            await management("DELETE", f"connections/{one}")

    return close


async def _named(management: Management, vhost: str, name: str) -> list[str]:
    connections = await management("GET", f"vhosts/{vhost}/connections")
    return [
        one["name"]
        for one in connections
        if one.get("client_properties", {}).get("connection_name") == name
    ]
