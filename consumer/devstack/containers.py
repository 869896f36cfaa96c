"""RabbitMQ and PostgreSQL in containers, where a Docker engine runs."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import asyncpg

from consumer.devstack.management import answers
from consumer.devstack.server import wait

try:
    import docker
    from docker.errors import DockerException
    from testcontainers.core.container import DockerContainer
except ImportError:  # the extra devstack is not installed
    DOCKER_INSTALLED = False
else:
    DOCKER_INSTALLED = True

RABBITMQ = "rabbitmq:4-management"
POSTGRES = "postgres:18"
_USER = "lifecycle"


def engine_answers() -> bool:
    """Tell whether a Docker engine answers within two seconds."""
    if not DOCKER_INSTALLED or not _somebody_listens(os.environ.get("DOCKER_HOST", "")):
        return False
    try:
        client = docker.from_env(timeout=2)
        try:
            return bool(client.ping())
        finally:
            client.close()
    except (DockerException, OSError):
        return False


def _somebody_listens(docker_host: str) -> bool:
    """Look at the engine's socket first: docker's own client leaks one that it cannot connect."""
    path = docker_host.removeprefix("unix://") or "/var/run/docker.sock"
    if "://" in path:
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


@contextmanager
def container_broker() -> Iterator[tuple[str, str]]:
    """Run RabbitMQ in a container; give its AMQP URL and its management URL."""
    secret = uuid4().hex
    with (
        DockerContainer(RABBITMQ)
        .with_exposed_ports(5672, 15672)
        .with_env("RABBITMQ_DEFAULT_USER", _USER)
        .with_env("RABBITMQ_DEFAULT_PASS", secret)
    ) as container:
        host = container.get_container_host_ip()
        amqp, management = (container.get_exposed_port(port) for port in (5672, 15672))
        url = f"http://{_USER}:{secret}@{host}:{management}"
        wait("RabbitMQ in its container", None, lambda: answers(url))
        yield f"amqp://{_USER}:{secret}@{host}:{amqp}/", url


@contextmanager
def container_postgres() -> Iterator[str]:
    """Run PostgreSQL in a container; give its URL."""
    secret = uuid4().hex
    with (
        DockerContainer(POSTGRES)
        .with_exposed_ports(5432)
        .with_env("POSTGRES_USER", _USER)
        .with_env("POSTGRES_PASSWORD", secret)
        .with_env("POSTGRES_DB", "postgres")
        .with_command("postgres -c max_connections=300 -c fsync=off")
    ) as container:
        host, port = container.get_container_host_ip(), container.get_exposed_port(5432)
        url = f"postgresql://{_USER}:{secret}@{host}:{port}/postgres"
        wait("PostgreSQL in its container", None, lambda: asyncio.run(_connects(url)))
        yield url


async def _connects(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url, timeout=2)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    await connection.close()
    return True
