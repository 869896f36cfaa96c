"""Connections that notice when nobody is at their other end any more.

A listening connection says nothing of its own. Where a firewall forgot it, or its server lost its
power, only TCP's own probes can tell (tcp(7); RFC 9293, section 3.8.4; RFC 5482).
"""

import socket
from typing import Any

import asyncpg

_OPTIONS = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 20),
    (socket.IPPROTO_TCP, "TCP_KEEPALIVE", 20),  # the same on macOS
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 5),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 4),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 40_000),
)
"""Each probe in seconds, the last in milliseconds: a dead connection is known after 40 seconds."""


async def keep_alive(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Have the operating system look whether the server is there; it costs no statement."""
    private: Any = connection
    given = private._transport.get_extra_info("socket")  # noqa: SLF001 - asyncpg shows it nowhere else
    if given.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    with socket.socket(given.family, given.type, given.proto, socket.dup(given.fileno())) as same:
        for level, name, value in _OPTIONS:
            if (option := getattr(socket, name, None)) is not None:
                same.setsockopt(level, option, value)
