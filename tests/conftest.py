"""Servers once for the run; a vhost and a database of its own for every test."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aio_pika
import asyncpg
import boto3
import pytest
from pydantic import SecretStr

from consumer.broker.topology import declare
from consumer.devstack.lease import database, vhost
from consumer.devstack.platform import aws_environment, create_workspaces
from consumer.devstack.stack import Stack, embedded
from consumer.observe import listening
from consumer.settings import Settings
from consumer.store.migrate import migrate
from consumer.store.pool import Database, opened
from tests.broker.gate import Gate, gate_before
from tests.broker.tools import Facts
from tests.support.caller import WireCaller
from tests.support.documented import Users, documented_users
from tests.support.forest import Forest
from tests.support.front import Front, front_before
from tests.support.program import running
from tests.support.report import pytest_terminal_summary
from tests.support.sharing import pytest_configure_node, pytest_unconfigure, shared_stack
from tests.support.users import user_on

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

# hooks: pytest finds them here
__all__ = ["pytest_configure_node", "pytest_terminal_summary", "pytest_unconfigure"]
_NOT_OURS = (
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Bring up the broker, the database and AWS, or share those of a run in several processes."""
    shared = shared_stack(request.config)
    with nullcontext(shared) if shared else embedded(print) as running:
        yield running


@pytest.fixture
def amqp_url(stack: Stack) -> Iterator[str]:
    """Lease a vhost."""
    with vhost(stack) as url:
        yield url


@pytest.fixture
async def gate(amqp_url: str) -> AsyncIterator[Gate]:
    """Put a gate before the broker."""
    async with gate_before(amqp_url) as before:
        yield before


@pytest.fixture
def facts() -> Iterator[Facts]:
    """Hear what the program says of itself."""
    heard = Facts()
    with listening(heard.listen):
        yield heard


@pytest.fixture
async def declared_url(amqp_url: str) -> str:
    """Lease a vhost in which the topology is declared."""
    await declare(amqp_url)
    return amqp_url


@pytest.fixture
def users(stack: Stack, declared_url: str) -> Iterator[Users]:
    """Create the users of docs/security.md on a vhost whose topology an administrator declared."""
    with documented_users(stack.management_url, declared_url) as urls:
        yield urls


@pytest.fixture
def empty_database_url(stack: Stack) -> Iterator[str]:
    """Lease a database without the platform's table."""
    with database(stack) as url:
        yield url


@pytest.fixture
def platform_database_url(empty_database_url: str) -> str:
    """Lease a database with the platform's table that was never migrated."""
    asyncio.run(create_workspaces(empty_database_url))
    return empty_database_url


@pytest.fixture(scope="session")
def enum_template(stack: Stack) -> Iterator[str]:
    """Make a migrated database whose status is an enum, to be copied."""
    with database(stack) as url:
        asyncio.run(_prepare(url, ""))
        yield url.rpartition("/")[2]


@pytest.fixture(scope="session")
def text_template(stack: Stack) -> Iterator[str]:
    """Make a migrated database whose status is TEXT, to be copied."""
    with database(stack) as url:
        asyncio.run(_prepare(url, "alter table workspaces alter status type text"))
        yield url.rpartition("/")[2]


@pytest.fixture
def database_url(stack: Stack, enum_template: str) -> Iterator[str]:
    """Lease a migrated database with the platform's table."""
    with database(stack, enum_template) as url:
        yield url


@pytest.fixture
def text_database_url(stack: Stack, text_template: str) -> Iterator[str]:
    """Lease one whose status column is TEXT."""
    with database(stack, text_template) as url:
        yield url


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Open a connection of the test's own."""
    opened_connection = await asyncpg.connect(database_url)
    yield opened_connection
    await opened_connection.close()


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Database]:
    """Open the program's pool."""
    async with opened(database_url, 10) as running:
        yield running


@pytest.fixture
def settings_of(amqp_url: str, database_url: str) -> Callable[..., Settings]:
    """Give settings for this test's servers, with what the test says of them."""

    def build(**fields: Any) -> Settings:
        return Settings(
            amqp_url=SecretStr(fields.pop("amqp_url", amqp_url)),
            database_url=SecretStr(fields.pop("database_url", database_url)),
            **{"executor": "simulated", "simulated_delay": 0.0, **fields},
        )

    return build


@pytest.fixture
async def program(
    settings_of: Callable[..., Settings], request: pytest.FixtureRequest
) -> AsyncIterator[None]:
    """Run the program; `@pytest.mark.settings(...)` says with which settings."""
    marker = request.node.get_closest_marker("settings")
    async with running(settings_of(**(marker.kwargs if marker else {}))):
        yield


@pytest.fixture
async def caller(amqp_url: str) -> AsyncIterator[WireCaller]:
    """Open a caller of the wire contract."""
    await declare(amqp_url)
    connection = await aio_pika.connect(amqp_url)
    yield await WireCaller.on(connection)
    await connection.close()


@pytest.fixture
async def forest(connection: "asyncpg.Connection[asyncpg.Record]") -> Forest:
    """Give an empty forest."""
    return Forest(connection)


@pytest.fixture(scope="session")
def own_client(stack: Stack) -> "EC2Client":
    """Make a client of the tests' own, whatever the environment says."""
    return boto3.Session("demo", "demo", region_name="us-east-1").client(
        "ec2", endpoint_url=stack.aws_url
    )


@pytest.fixture
def aws(stack: Stack, own_client: "EC2Client", monkeypatch: pytest.MonkeyPatch) -> "EC2Client":
    """Point boto3 at moto, and nowhere else; give the tests' own client."""
    for name, value in aws_environment(stack).items():
        monkeypatch.setenv(name, value)
    for name in _NOT_OURS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return own_client


@pytest.fixture
def front(aws: "EC2Client", stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    """Put a front before moto."""
    assert aws.meta.endpoint_url == stack.aws_url
    with front_before(stack.aws_url) as before:
        monkeypatch.setenv("AWS_ENDPOINT_URL", before.url)
        yield before


@pytest.fixture
def bucket_url(aws: "EC2Client", stack: Stack) -> str:
    """Create a bucket of this test's own; give a prefix in it."""
    assert aws.meta.endpoint_url == stack.aws_url
    name = f"trail-{uuid4()}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}/trail"


async def _prepare(url: str, statement: str) -> None:
    await create_workspaces(url)
    direct = await asyncpg.connect(url)
    if statement:
        await direct.execute(statement)
    await direct.close()
    await migrate(url)


@pytest.fixture
async def stranger(stack: Stack, declared_url: str) -> AsyncIterator[WireCaller]:
    """Open a caller as another user, with every right on the vhost, whom no policy names."""
    with user_on(stack.management_url, declared_url, "stranger") as url:
        connection = await aio_pika.connect(url)
        yield await WireCaller.on(connection, listen=False)
        await connection.close()
