"""The console on a free port, asked over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from consumer.console.server import Address, Console


@asynccontextmanager
async def serving(
    amqp_url: str, database_url: str, host: str = "127.0.0.1", token: str | None = None
) -> AsyncIterator[str]:
    """Serve the console for the time of a block; give its URL."""
    console = Console(amqp_url, database_url, Address(host, 0), token)
    ready, stop = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(console.run(ready.set, stop))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        if task.done():
            task.result()
        yield console.url.replace("0.0.0.0", "127.0.0.1")
    finally:
        stop.set()
        await task


@pytest.fixture
async def console(amqp_url: str, database_url: str) -> AsyncIterator[str]:
    """Give the URL of a console for this test's servers."""
    async with serving(amqp_url, database_url) as url:
        yield url


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Give a client."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as session:
        yield session
