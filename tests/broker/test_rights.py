"""Rights are told as RabbitMQ has them, and telling them leaves everything as it was."""

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import aio_pika
import pytest

from consumer.broker.rights import Lack, lacking
from consumer.devstack.management import call
from consumer.devstack.stack import Stack
from schemas.catalog import COMMANDS, EVENTS
from schemas.topology import QUEUES, WORK_QUEUES

_ALL = [queue.name for queue in QUEUES]
User = Callable[..., str]


@pytest.fixture
def user(stack: Stack, declared_url: str) -> Iterator[User]:
    """Make users of this test's vhost with the patterns they are given; give their URL."""
    names = []

    def make(**patterns: str) -> str:
        name = f"little-{uuid4().hex}"
        names.append(name)
        call(stack.management_url, "PUT", f"users/{name}", {"password": name, "tags": ""})
        parts = urlsplit(declared_url)
        rights = {"configure": "^$", "write": "^$", "read": "^$", **patterns}
        call(stack.management_url, "PUT", f"permissions/{parts.path[1:]}/{name}", rights)
        return urlunsplit(parts._replace(netloc=f"{name}:{name}@{parts.hostname}:{parts.port}"))

    yield make
    for name in names:
        call(stack.management_url, "DELETE", f"users/{name}")


async def test_nobody_who_may_everything_lacks_anything(declared_url: str) -> None:
    """Streams and quorum queues, named exchanges and the default one."""
    assert await lacking(declared_url, [COMMANDS, EVENTS, ""], _ALL) == []


async def test_what_is_missing_is_named(user: User) -> None:
    """Exactly what the patterns leave out."""
    url = user(write="^workspace[.]events$", read="^lifecycle[.](results|audit)$")
    assert await lacking(url, [COMMANDS, EVENTS, ""], _ALL) == [
        Lack("write", "workspace.commands"),
        Lack("write", "amq.default"),
        *(
            Lack("read", name)
            for name in _ALL
            if name not in {"lifecycle.results", "lifecycle.audit"}
        ),
    ]


async def test_nothing_is_written_and_nothing_taken(declared_url: str) -> None:
    """A message that waits is not even handed out once, and none joins it."""
    async with await aio_pika.connect(declared_url) as connection:
        channel = await connection.channel()
        for name in WORK_QUEUES:
            await channel.default_exchange.publish(aio_pika.Message(b"waits"), name)
        await lacking(declared_url, [COMMANDS, EVENTS, ""], _ALL)
        for name in WORK_QUEUES:
            queue = await channel.get_queue(name)
            message = await queue.get()
            assert (message.body, message.redelivered) == (b"waits", False)
            assert await queue.get(fail=False) is None
