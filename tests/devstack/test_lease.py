"""Rooms of one's own: fresh, and gone with their block."""

import os

import aio_pika
import asyncpg
import pytest

from consumer.devstack.lease import database, vhost
from consumer.devstack.management import answers, call
from consumer.devstack.server import StackError, free_ports
from consumer.devstack.stack import Stack


def names(stack: Stack) -> set[str]:
    """List the broker's vhosts that this process leased: others may run beside it."""
    found = call(stack.management_url, "GET", "vhosts")
    return {one["name"] for one in found if one["name"].startswith(f"lifecycle-{os.getpid()}-")}


def test_a_vhost_is_new_and_goes_with_its_block(stack: Stack) -> None:
    """Two leases are two vhosts, and neither is left."""
    before = names(stack)
    with vhost(stack) as one, vhost(stack) as two:
        assert one != two
        assert len(names(stack) - before) == 2
    assert names(stack) == before


async def test_a_vhost_may_be_used(amqp_url: str) -> None:
    """Whoever has the URL may declare, write and read."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("q")
        await channel.default_exchange.publish(aio_pika.Message(b"x"), "q")
        assert (await queue.get(no_ack=True)).body == b"x"


async def test_a_database_is_a_copy_of_its_template(stack: Stack, enum_template: str) -> None:
    """A lease begins migrated where its template is, and what is written stays in it."""
    with database(stack, enum_template) as url:
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("select count(*) from lifecycle.operation") == 0
        await connection.close()
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(url)


def test_a_management_api_that_is_away_is_named_with_the_way_out() -> None:
    """The error names the URL, without its password, and the variable to set."""
    (port,) = free_ports(1)
    url = f"http://guest:hunter2@127.0.0.1:{port}"
    assert not answers(url)
    with pytest.raises(StackError, match="LIFECYCLE_MANAGEMENT_URL") as caught:
        call(url, "GET", "overview")
    assert "hunter2" not in str(caught.value)
