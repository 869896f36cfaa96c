"""Private servers end with their parent, however it ends, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

import psutil
import pytest

PARENT = """
import sys
from consumer.devstack.{module} import {room}
with {room}({arguments}):
    print("up", flush=True)
    sys.stdin.read()
"""
ROOMS = [
    pytest.param("postgres", "private_postgres", "", id="postgres"),
    pytest.param("aws", "private_aws", "", id="moto"),
    pytest.param("broker", "private_broker", "print", id="rabbitmq"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Make a folder that PostgreSQL's account may enter too: pytest's own are closed to it."""
    made = Path(tempfile.mkdtemp(prefix="devstack-"))
    made.chmod(0o755)
    yield made
    rmtree(made)


@contextmanager
def parent(folder: Path, module: str, room: str, arguments: str) -> Iterator[psutil.Popen]:
    """Run a program that holds a room whose files are below a folder."""
    text = PARENT.format(module=module, room=room, arguments=arguments)
    program = psutil.Popen(
        [sys.executable, "-c", text],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    try:
        with program.stdin, program.stdout:
            assert program.stdout.readline() == "up\n"
            yield program
    finally:
        program.wait()


def runs(program: psutil.Process) -> bool:
    """Tell whether a program runs; one that only waits to be reaped has ended."""
    try:
        return program.is_running() and program.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two questions
        return False


def alive(programs: list[psutil.Process]) -> list[str]:
    """Name the programs that run."""
    return [str(program) for program in programs if runs(program)]


def left(programs: list[psutil.Process], folder: Path) -> list[str]:
    """Wait until no program and no file is left; give what is left after a while."""
    end = time.monotonic() + 20
    while (found := [*alive(programs), *map(str, folder.iterdir())]) and time.monotonic() < end:
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("ending", ["closed", "killed"])
@pytest.mark.parametrize(("module", "room", "arguments"), ROOMS)
def test_nothing_is_left_when_the_parent_ends(
    folder: Path, module: str, room: str, arguments: str, ending: str
) -> None:
    """A parent that closes its room or is killed leaves no process, not even epmd, and no file."""
    with parent(folder, module, room, arguments) as program:
        below = program.children(recursive=True)
        assert len(below) > 1
        if ending == "killed":
            program.send_signal(signal.SIGKILL)
    assert left(below, folder) == []


@pytest.mark.parametrize(("module", "room", "arguments"), ROOMS)
def test_a_killed_guard_takes_its_server_with_it(
    folder: Path, module: str, room: str, arguments: str
) -> None:
    """The kernel ends a server where its guard cannot, also one that a script started."""
    with parent(folder, module, room, arguments) as program:
        guards = program.children()
        servers = [server for guard in guards for server in guard.children(recursive=True)]
        assert servers
        for guard in guards:
            guard.kill()
        psutil.wait_procs(servers, timeout=10)
        assert alive(servers) == []
    assert left(guards, folder) == []
