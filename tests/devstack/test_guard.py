"""Private servers end with their parent, however it ends, and leave nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from consumer.devstack.server import StackError, start

PARENT = """
import json, sys, time
from contextlib import ExitStack
from consumer.devstack.{module} import {room}
with ExitStack() as rooms:
    rooms.enter_context({room}({arguments}))
    print("up", flush=True)
    sys.stdin.read()
"""
ROOMS = [
    pytest.param("postgres", "private_postgres", "", id="postgres"),
    pytest.param("aws", "private_aws", "", id="moto"),
    pytest.param("broker", "private_broker", "print", id="rabbitmq"),
]


def left_by(folder: Path) -> list[str]:
    """List processes that still mention a folder, and what is still in it."""
    running = [
        " ".join(process.info["cmdline"] or [])
        for process in psutil.process_iter(["cmdline"])
        if str(folder) in " ".join(process.info["cmdline"] or [])
    ]
    return [*running, *map(str, folder.iterdir())]


def ends(folder: Path) -> list[str]:
    """Wait until nothing is left; give what is left after a while."""
    end = time.monotonic() + 20
    while (left := left_by(folder)) and time.monotonic() < end:
        time.sleep(0.1)
    return left


@pytest.mark.parametrize("ending", ["closed", "killed"])
@pytest.mark.parametrize(("module", "room", "arguments"), ROOMS)
def test_nothing_is_left_when_the_parent_ends(
    tmp_path: Path, module: str, room: str, arguments: str, ending: str
) -> None:
    """A parent that closes its room, or is killed, leaves no process and no file."""
    tmp_path.chmod(0o755)
    for part in tmp_path.parents[:3]:
        part.chmod(part.stat().st_mode | 0o011)
    text = PARENT.format(module=module, room=room, arguments=arguments)
    parent = subprocess.Popen(
        [sys.executable, "-c", text],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    assert parent.stdout.readline() == "up\n"
    assert left_by(tmp_path)
    if ending == "killed":
        parent.send_signal(signal.SIGKILL)
    parent.stdin.close()
    parent.stdout.close()
    parent.wait()
    assert ends(tmp_path) == []


def test_a_killed_guard_takes_its_server_with_it(tmp_path: Path) -> None:
    """The kernel ends the server where its guard cannot."""
    said = tmp_path / "said"
    program = f"import os, time; open({str(said)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    server = start([sys.executable, "-c", program], log=tmp_path / "log")
    while not said.exists() or not said.read_text():
        time.sleep(0.02)
    child = psutil.Process(json.loads(said.read_text()))
    server.process.kill()
    server.stop()
    child.wait(20)
    assert not child.is_running()


def test_a_choice_that_is_none_is_named() -> None:
    """LIFECYCLE_DEVSTACK says what may be said."""
    done = subprocess.run(
        [sys.executable, "-m", "consumer.devstack"],
        env={**os.environ, "LIFECYCLE_DEVSTACK": "nonsense"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "LIFECYCLE_DEVSTACK is 'nonsense': say auto, docker or private\n"
    assert issubclass(StackError, Exception)
