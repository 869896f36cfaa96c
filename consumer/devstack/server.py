"""Starting private servers: free ports, guarded processes, waiting until they answer."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from consumer.devstack import guard
from consumer.foreseen import ForeseenError

HOST = "127.0.0.1"
_PATIENCE = 90.0
_WHY = re.compile(r"FATAL|init terminating")  # PostgreSQL's word for it, and Erlang's
_LONGEST = 300
_MEMORY = "/dev/shm"  # noqa: S108 (a folder of its own is made in it)
_PLENTY = 4 * 2**30


class StackError(ForeseenError):
    """The embedded stack cannot be had here; the text is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """A server under its guard."""

    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> None:
        """End the server, and wait until its folder is gone."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def tail(self) -> str:
        """Give the line in which the server said why it ended, or its last one."""
        try:
            text = self.log.read_text(errors="replace")
        except OSError:
            return "it left no log"
        lines = [line.strip() for line in reversed(text.split("\n")) if line.strip()]
        why = (line for line in lines if _WHY.search(line))
        return next(why, lines[0] if lines else "it said nothing")[:_LONGEST]


def in_memory() -> str | None:
    """Choose memory for a server's folder where there is plenty, unless TMPDIR chooses.

    Half of the time of a small broker goes into fsync, and that of a database which is made for
    each test into its files.
    """
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK):
        return None
    if os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC:  # programs may be copied there
        return None
    return _MEMORY if shutil.disk_usage(_MEMORY).free > _PLENTY else None


def free_ports(count: int) -> list[int]:
    """Find TCP ports nobody listens on, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def start(
    command: Sequence[str | Path],
    *,
    log: Path,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    ending: str = "KILL",
    user: str | None = None,
) -> Guarded:
    """Start a server under a guard. `ending` is the signal that ends it, `user` who it runs as."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                "-IS",  # a room named like a standard module must not be taken for it
                guard.__file__,
                folder or "-",
                f"SIG{ending}",
                user or "-",
                *command,
            ],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
    return Guarded(process, log)


def wait(what: str, server: Guarded | None, answers: Callable[[], bool]) -> None:
    """Wait until a server answers.

    Raises:
        StackError: it ended, or took longer than a minute and a half.

    """
    end = time.monotonic() + _PATIENCE
    while not answers():
        if server is not None and server.process.poll() is not None:
            raise StackError(f"{what} did not start: {server.tail()}")
        if time.monotonic() > end:
            raise StackError(f"{what} did not answer within {_PATIENCE:.0f} s")
        time.sleep(0.1)


def listens(port: int, host: str = HOST) -> bool:
    """Tell whether anybody accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
