"""Admission: a user that is not ours is found out at the start, before anything depends on it."""

import pytest

from consumer.broker.admission import verify_user
from consumer.broker.connection import RefusedError, connected
from schemas.catalog import DEAD_LETTER
from tests.broker.tools import Bystander


@pytest.mark.parametrize("query", ["", "?user_id="])
async def test_our_own_user_and_none_are_taken(declared_url: str, query: str) -> None:
    """The link lives on."""
    async with connected(f"{declared_url}{query}", "test") as link:
        await verify_user(link)
        assert not link.lost.done()


async def test_another_user_is_refused_by_both_names(declared_url: str) -> None:
    """Who we said we are, whom the broker knows, and where to write it."""
    async with connected(f"{declared_url}?user_id=somebody", "test") as link:
        with pytest.raises(RefusedError, match=r"as 'somebody' .*user was '\w+'.* as user_id= in"):
            await verify_user(link)


async def test_the_question_reaches_no_queue(declared_url: str, wire: Bystander) -> None:
    """Nobody has to handle it."""
    queue = await wire.channel.declare_queue(exclusive=True)
    await queue.bind(DEAD_LETTER, "lifecycle.#")
    async with connected(declared_url, "test") as link:
        await verify_user(link)
    for name in ("commands", "executor", "results"):
        assert await wire.count(f"lifecycle.{name}.dead") == 0
    assert await wire.count(queue.name) == 0
