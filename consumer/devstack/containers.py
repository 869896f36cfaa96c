"""RabbitMQ and PostgreSQL in containers, where a Docker engine runs."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from consumer.devstack.management import answers
from consumer.devstack.server import StackError, free_ports, wait

try:
    import docker
    from docker.errors import APIError, DockerException, ImageNotFound
    from testcontainers.core.container import DockerContainer
except ImportError:  # the extra devstack is not installed
    DOCKER_INSTALLED = False
else:
    DOCKER_INSTALLED = True

RABBITMQ = "rabbitmq:4-management"
POSTGRES = "postgres:18"
_USER = "lifecycle"
# Any that both sides know: to negotiate one takes podman seconds where a ping takes none.
_PING_API = "1.44"


def engine_answers() -> bool:
    """Tell whether a Docker engine answers within two seconds."""
    if not DOCKER_INSTALLED or not _somebody_listens(os.environ.get("DOCKER_HOST", "")):
        return False
    try:
        client = docker.from_env(timeout=2, version=_PING_API)
        try:
            return bool(client.ping())
        finally:
            client.close()
    except APIError:  # a refusal of that API version is an answer
        return True
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
def container_broker(say: Callable[[str], None]) -> Iterator[tuple[str, str]]:
    """Run RabbitMQ in a container; give its AMQP URL and its management URL.

    Raises:
        StackError: the engine cannot run it.

    """
    with _rabbitmq(say, {5672: None, 15672: None}) as node:
        yield node.amqp, node.management


class ContainerNode:
    """RabbitMQ in a container, which can be killed and started again with its data and ports.

    Attributes:
        amqp, management: its URLs.

    """

    def __init__(self, container: Any, secret: str) -> None:
        host = container.get_container_host_ip()
        amqp, management = (container.get_exposed_port(port) for port in (5672, 15672))
        self.amqp = f"amqp://{_USER}:{secret}@{host}:{amqp}/"
        self.management = f"http://{_USER}:{secret}@{host}:{management}"
        self._container = container.get_wrapped_container()

    def up(self) -> None:
        """Start it where it is down, and wait until it answers."""
        self._container.start()
        listening = "health/checks/port-listener/5672"  # the engine's proxy accepts before it does
        wait("RabbitMQ in its container", None, lambda: answers(self.management, listening))

    def down(self) -> None:
        """Kill it."""
        self._container.kill()
        self._container.wait()

    def ctl(self, *arguments: str) -> str:
        """Run `rabbitmqctl` on it; give what that says."""
        code, output = self._container.exec_run(["rabbitmqctl", *arguments])
        said: str = output.decode()
        if code:
            raise StackError(f"rabbitmqctl {arguments[0]} failed: {said.strip()}")
        return said


@contextmanager
def container_node(say: Callable[[str], None]) -> Iterator[ContainerNode]:
    """Run RabbitMQ in a container that can be stopped and started again.

    Raises:
        StackError: the engine cannot run it.

    """
    with _rabbitmq(say, dict(zip((5672, 15672), free_ports(2), strict=True))) as node:
        yield node


@contextmanager
def _rabbitmq(
    say: Callable[[str], None], ports: Mapping[int, int | None]
) -> Iterator[ContainerNode]:
    secret = uuid4().hex
    account = {"RABBITMQ_DEFAULT_USER": _USER, "RABBITMQ_DEFAULT_PASS": secret}
    with _running(RABBITMQ, ports, account, say) as container:
        node = ContainerNode(container, secret)
        node.up()
        yield node


@contextmanager
def container_postgres(say: Callable[[str], None]) -> Iterator[str]:
    """Run PostgreSQL in a container; give its URL.

    Raises:
        StackError: the engine cannot run it.

    """
    secret = uuid4().hex
    account = {
        "POSTGRES_USER": _USER,
        "POSTGRES_PASSWORD": secret,
        "POSTGRES_DB": "postgres",
    }
    command = "postgres -c max_connections=300 -c fsync=off"
    with _running(POSTGRES, {5432: None}, account, say, command) as container:
        host, port = container.get_container_host_ip(), container.get_exposed_port(5432)
        url = f"postgresql://{_USER}:{secret}@{host}:{port}/postgres"
        wait("PostgreSQL in its container", None, lambda: asyncio.run(_connects(url)))
        yield url


@contextmanager
def _running(
    image: str,
    ports: Mapping[int, int | None],
    environment: Mapping[str, str],
    say: Callable[[str], None],
    command: str | None = None,
) -> Iterator[Any]:
    with _removed_anyway() as label:
        container = None
        try:
            container = DockerContainer(image, command=command, labels={label: "yes"})
            container.with_envs(**environment)
            for inside, outside in ports.items():
                container.with_bind_ports(inside, outside)
            _announce(container, image, say)
            container.start()
        except (DockerException, OSError) as error:
            if container is not None:
                container.stop()
            raise StackError(
                f"Docker could not run {image} ({str(error).splitlines()[0]}): "
                "LIFECYCLE_DEVSTACK=private does without Docker"
            ) from None
        try:
            yield container
        finally:
            container.stop()


def _announce(container: Any, image: str, say: Callable[[str], None]) -> None:
    """Say what takes minutes the first time."""
    try:
        container.get_docker_client().client.images.get(image)
    except ImageNotFound:
        say(f"Docker pulls {image}")


@contextmanager
def _removed_anyway() -> Iterator[str]:
    """Give a label; what bears it is removed also when this program is killed."""
    label = f"workspace-lifecycle-{uuid4().hex}"
    watch = subprocess.Popen(
        [sys.executable, "-P", Path(__file__).with_name("removal.py"), label],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield label
    finally:
        watch.communicate(b"removed")


async def _connects(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url, timeout=2)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    await connection.close()
    return True
