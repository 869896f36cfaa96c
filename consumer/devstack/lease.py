"""Rooms of one's own on a stack: a vhost, a database, gone with their block.

Their names tell which process leased them.
"""

import asyncio
import os
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from consumer.devstack.management import call, user_of
from consumer.devstack.stack import Stack


@contextmanager
def vhost(stack: Stack) -> Iterator[str]:
    """Lease a vhost; give the AMQP URL that leads there.

    Raises:
        StackError: the management API does not serve.

    """
    name = f"lifecycle-{os.getpid()}-{uuid4().hex[:8]}"
    user = user_of(stack.management_url)
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    call(stack.management_url, "PUT", f"vhosts/{name}")
    try:
        call(stack.management_url, "PUT", f"permissions/{name}/{user}", everything)
        yield urlunsplit(urlsplit(stack.amqp_url)._replace(path=f"/{name}"))
    finally:
        call(stack.management_url, "DELETE", f"vhosts/{name}")


@contextmanager
def database(stack: Stack, template: str = "template1") -> Iterator[str]:
    """Lease a database that begins as a copy of `template`; give its URL."""
    name = f"lifecycle_{os.getpid()}_{uuid4().hex[:8]}"
    _run(_execute(stack.database_url, f'create database "{name}" template "{template}"'))
    try:
        yield urlunsplit(urlsplit(stack.database_url)._replace(path=f"/{name}"))
    finally:
        _run(_execute(stack.database_url, f'drop database "{name}" with (force)'))


def _run(work: Coroutine[object, object, None]) -> None:
    """Run in a thread of its own, so that a caller may have a loop running in this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=30)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
