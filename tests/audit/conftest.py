"""A stream to be archived, a bucket to archive into, and what is written there."""

from collections.abc import AsyncIterator, Callable

import aio_pika
import pytest

from consumer.audit.archive import Archiver
from consumer.audit.basket import Sizes
from consumer.audit.bucket import Bucket
from consumer.audit.lag import Limit
from consumer.broker.stream import Stream
from consumer.broker.topology import declare
from consumer.store.pool import Database
from schemas.catalog import AUDIT_STREAM
from tests.audit.filling import Filler


@pytest.fixture
async def stream(amqp_url: str) -> Stream:
    """Declare the topology; give the audit stream."""
    await declare(amqp_url)
    return Stream(amqp_url, AUDIT_STREAM)


@pytest.fixture
async def filler(amqp_url: str, stream: Stream) -> AsyncIterator[Filler]:
    """Open a connection over which messages are put into the stream."""
    async with await aio_pika.connect(amqp_url) as connection:
        yield Filler(await connection.channel(), stream)


@pytest.fixture
def bucket(bucket_url: str) -> Bucket:
    """Give an empty bucket of this test's own."""
    return Bucket(bucket_url)


@pytest.fixture
def archiver(pool: Database, bucket: Bucket, stream: Stream) -> Callable[..., Archiver]:
    """Make archivers, with other sizes where a test asks for them."""

    def make(limit: Limit | None = None, **sizes: float) -> Archiver:
        chosen = Sizes(**({"records": 10, "every": 60} | sizes))  # type: ignore[arg-type]  # as the test has them
        return Archiver(pool, bucket, stream, sizes=chosen, limit=limit)

    return make
