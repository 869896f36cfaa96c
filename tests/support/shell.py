"""A shell that has `workspace-lifecycle`, as where it is installed: the docs are typed into it.

Behind the name is a script that hands its arguments and its output over a socket to this process,
which forks the verb (tests/support/forked.py): most of what a verb takes is importing it.
"""

import asyncio
import json
import os
import pty
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingUnixStreamServer
from threading import Thread

from tests.support.forked import begun

PATIENCE = 60.0
INTERRUPTED = 130
_SCRIPT = """\
#!{python} -IS
import json, os, socket, sys
place = socket.socket(socket.AF_UNIX)
place.connect({place!r})
given = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(place, [given[:1]], [1, 2])
place.sendall(given[1:])
place.shutdown(socket.SHUT_WR)
sys.exit(int(place.recv(16) or 1))
"""
_NEXT, _FAILED = "\x1e", "\x1f"
_BETWEEN = f"echo {_NEXT}"
_BEGIN = f"set -o pipefail; trap 'echo {_FAILED}$?' ERR"


@dataclass(frozen=True)
class Typed:
    """What a block came to: what it wrote, and the exit codes that were not 0, in their order."""

    said: str
    codes: tuple[int, ...]


@dataclass(frozen=True)
class Shell:
    """Bash in a folder of its own."""

    folder: Path
    environment: Mapping[str, str]

    async def type(self, blocks: Sequence[str]) -> list[Typed]:
        """Type blocks one after the other into one shell; a command that fails does not end it."""
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", f"\n{_BETWEEN}\n".join([_BEGIN, *blocks])),
            cwd=self.folder,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(PATIENCE):
                said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        _, *parts = said.decode().split(f"{_NEXT}\n")
        return [_typed(part) for part in parts]


@contextmanager
def shell(folder: Path, variables: Mapping[str, str]) -> Iterator[Shell]:
    """Give a shell whose commands have these variables beside those of this process."""
    with tempfile.TemporaryDirectory() as short:  # a socket's path has to be
        place = Path(short, "verbs")
        with ThreadingUnixStreamServer(str(place), _Verb) as server:
            thread = Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            script = Path(short, "workspace-lifecycle")
            script.write_text(_SCRIPT.format(python=sys.executable, place=str(place)))
            script.chmod(0o755)
            path = os.pathsep.join((short, str(Path(sys.executable).parent), os.environ["PATH"]))
            try:
                yield Shell(folder, {**variables, "PATH": path, "HOME": str(folder)})
            finally:
                server.shutdown()
                thread.join()


def _typed(part: str) -> Typed:
    lines = part.splitlines(keepends=True)
    codes = tuple(int(line[1:]) for line in lines if line.startswith(_FAILED))
    return Typed("".join(line for line in lines if not line.startswith(_FAILED)), codes)


class _Verb(BaseRequestHandler):
    """Runs one verb for whoever calls the script."""

    def handle(self) -> None:
        """Read what was called, run it, and answer with its exit code."""
        given, streams, _, _ = socket.recv_fds(self.request, 65536, 2)
        while more := self.request.recv(65536):
            given += more
        arguments, folder, environment = json.loads(given)
        run = _until_it_speaks if _is_endless(arguments) else _to_its_end
        try:
            code = run(arguments, environment, streams, Path(folder))
        finally:
            for stream in streams:
                os.close(stream)
        self.request.sendall(str(code).encode())


def _is_endless(arguments: Sequence[str]) -> bool:
    """Tell whether a verb runs until it is told to stop."""
    return arguments[:1] in (["run"], ["console"]) or "--watch" in arguments


def _to_its_end(
    arguments: Sequence[str], environment: Mapping[str, str], streams: Sequence[int], folder: Path
) -> int:
    process = begun(arguments, environment, streams[0], streams[1], folder)
    process.join()
    return process.exitcode or 0


def _until_it_speaks(
    arguments: Sequence[str], environment: Mapping[str, str], streams: Sequence[int], folder: Path
) -> int:
    """Run it at a terminal, and press Ctrl-C when it has said something."""
    ours, its = pty.openpty()
    process = begun(arguments, environment, its, its, folder)
    os.close(its)
    said = _read(ours)
    with suppress(ProcessLookupError):  # it has ended by itself; its exit code tells why
        os.kill(process.pid or 0, signal.SIGINT)
    while more := _read(ours):
        said += more
    os.close(ours)
    os.write(streams[0], said)
    process.join()
    return 0 if process.exitcode == INTERRUPTED else process.exitcode or 0


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that nobody is left at the other side
        return b""
