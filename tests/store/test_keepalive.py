"""The operating system looks after connections that say nothing of their own."""

import asyncio
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from consumer.store.keepalive import keep_alive
from consumer.store.pool import Database


def probed(connection: Any) -> bool:
    """Tell whether the socket below a connection is looked after."""
    given = connection._transport.get_extra_info("socket")
    return bool(given.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))


async def test_a_connection_of_the_pool_is_probed(pool: Database) -> None:
    """By TCP, which costs no statement."""
    async with pool.connection() as connection:
        assert probed(connection)


async def test_a_connection_within_the_machine_needs_no_probes(
    database_url: str, tmp_path: Path
) -> None:
    """A Unix socket has no options of TCP, and is taken as it is."""
    server = urlsplit(database_url)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(server.hostname, server.port)
        await asyncio.gather(copy(reader, there[1]), copy(there[0], writer))

    passing = await asyncio.start_unix_server(pass_on, tmp_path / ".s.PGSQL.5432")
    within = await asyncpg.connect(database_url, host=str(tmp_path), port=5432)
    await keep_alive(within)
    assert not probed(within)
    await within.close()
    passing.close()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy bytes to their end."""
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()
