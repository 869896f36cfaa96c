"""Rooms that block while they are entered and left, held beside the loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import TypeVar

_T = TypeVar("_T")


@asynccontextmanager
async def beside_the_loop(room: AbstractContextManager[_T]) -> AsyncIterator[_T]:
    """Enter a room in a thread, and leave it in one, however the block ends."""
    inside = await asyncio.to_thread(room.__enter__)
    try:
        yield inside
    finally:
        await asyncio.to_thread(room.__exit__, None, None, None)
