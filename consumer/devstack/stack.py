"""Real servers for demo and tests, found in this order: the environment, Docker, private nodes."""

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from consumer.devstack.aws import private_aws
from consumer.devstack.broker import Node, private_broker, private_node
from consumer.devstack.containers import (
    DOCKER_INSTALLED,
    ContainerNode,
    container_broker,
    container_node,
    container_postgres,
    engine_answers,
)
from consumer.devstack.postgres import private_postgres
from consumer.devstack.server import StackError

Source = Literal["environment", "docker", "private"]
OwnNode: TypeAlias = ContainerNode | Node
"""A RabbitMQ that nobody else uses, which can be killed and started again."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Servers that answer. The URLs let one create vhosts and databases.

    Attributes:
        origin: for broker, database and aws: where each was found.

    """

    amqp_url: str
    management_url: str
    database_url: str
    aws_url: str
    origin: Mapping[str, Source]


@contextmanager
def embedded(say: Callable[[str], None]) -> Iterator[Stack]:
    """Bring up what the environment does not give, and end it with the block.

    `LIFECYCLE_DEVSTACK` may say `docker` or `private` where the choice should not be made here.

    Raises:
        StackError: something cannot be had here; the text says what to do.

    """
    own = _own_source()
    broker, broker_origin = _broker(own, say)
    database, database_origin = _database(own, say)
    aws, aws_origin = _aws()
    with ExitStack() as rooms, ThreadPoolExecutor(3) as threads:
        first = threads.submit(rooms.enter_context, broker)
        second = threads.submit(rooms.enter_context, database)
        third = threads.submit(rooms.enter_context, aws)
        amqp_url, management_url = first.result()
        origin = {"broker": broker_origin, "database": database_origin, "aws": aws_origin}
        yield Stack(amqp_url, management_url, second.result(), third.result(), origin)


def own_node(say: Callable[[str], None]) -> AbstractContextManager[OwnNode]:
    """Run a RabbitMQ of one's own, in a container or from what is installed.

    Raises:
        StackError: none can be had here.

    """
    return container_node(say) if _own_source() == "docker" else private_node(say)


def _own_source() -> Source:
    wanted = os.environ.get("LIFECYCLE_DEVSTACK", "auto")
    if wanted == "private":
        return "private"
    if wanted not in {"auto", "docker"}:
        raise StackError(f"LIFECYCLE_DEVSTACK is {wanted!r}: say auto, docker or private")
    if engine_answers():
        return "docker"
    if wanted == "docker" and not DOCKER_INSTALLED:
        raise StackError(
            "LIFECYCLE_DEVSTACK is docker, and testcontainers is missing: "
            "pip install 'workspace-lifecycle[devstack]'"
        )
    if wanted == "docker":
        raise StackError("LIFECYCLE_DEVSTACK is docker, and no Docker engine answers here")
    return "private"


def _broker(
    own: Source, say: Callable[[str], None]
) -> tuple[AbstractContextManager[tuple[str, str]], Source]:
    given = os.environ.get("LIFECYCLE_AMQP_URL")
    if given:
        management = os.environ.get("LIFECYCLE_MANAGEMENT_URL") or _management(given)
        return nullcontext((given, management)), "environment"
    return (container_broker(say) if own == "docker" else private_broker(say)), own


def _database(
    own: Source, say: Callable[[str], None]
) -> tuple[AbstractContextManager[str], Source]:
    given = os.environ.get("LIFECYCLE_DATABASE_URL")
    if given:
        return nullcontext(given), "environment"
    return (container_postgres(say) if own == "docker" else private_postgres()), own


def _aws() -> tuple[AbstractContextManager[str], Source]:
    given = os.environ.get("AWS_ENDPOINT_URL")
    if given and ".amazonaws." in given:
        raise StackError("AWS_ENDPOINT_URL is AWS itself, and this launches instances: unset it")
    return (nullcontext(given), "environment") if given else (private_aws(), "private")


def _management(amqp_url: str) -> str:
    """Guess where the management API of a broker is: the same host, port 15672."""
    parts = urlsplit(amqp_url)
    credentials = f"{parts.username or 'guest'}:{parts.password or 'guest'}"
    return f"http://{credentials}@{parts.hostname}:15672"
