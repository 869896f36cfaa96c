"""`.ci/venv`: quick where there is nothing to do, one line where there is no Python."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a project with the script, and nothing else that runs."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/venv", tmp_path / ".ci/venv")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for lock in ROOT.glob(".ci/lock-*.txt"):
        shutil.copy(lock, tmp_path / ".ci")
    return tmp_path


def venv(project: Path, extra: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the script."""
    return subprocess.run(
        ["/bin/sh", ".ci/venv", extra],
        cwd=project,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("stamp", "extra"),
    [("dev", "dev"), ("dev", "devstack"), ("bench", "devstack"), ("bench", "dev")],
)
def test_the_second_time_it_is_silent_and_quick(project: Path, stamp: str, extra: str) -> None:
    """A stamp newer than what was asked for is enough, be it that of an extra that holds more."""
    (project / ".venv").mkdir()
    (project / f".venv/.with-{stamp}").touch()
    begin = time.monotonic()
    done = venv(project, extra)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - begin < 1


def test_what_holds_less_is_not_enough(project: Path) -> None:
    """The contenders of the benchmark are not there because what tests need is."""
    (project / ".venv/bin").mkdir(parents=True)
    (project / ".venv/.with-dev").touch()
    broken = project / ".venv/bin/python"
    broken.write_text('#!/bin/sh\ncase "$*" in *require-hashes*lock-bench.txt*) exit 7;; esac\n')
    broken.chmod(0o755)
    assert venv(project, "bench").returncode == 7


@pytest.mark.parametrize("changed", ["pyproject.toml", ".ci/lock-dev.txt"])
def test_what_is_asked_for_anew_is_installed_anew(project: Path, changed: str) -> None:
    """Also where only the lock has changed: a Python that cannot install anything is asked to."""
    (project / ".venv/bin").mkdir(parents=True)
    (project / ".venv/.with-dev").touch()
    os.utime(project / changed, (2**31, 2**31))
    broken = project / ".venv/bin/python"
    broken.write_text('#!/bin/sh\ncase "$*" in *require-hashes*lock-dev.txt*) exit 7;; esac\n')
    broken.chmod(0o755)
    assert venv(project, "dev").returncode == 7


@pytest.mark.parametrize("stamp", ["absent", "old"])
def test_a_machine_without_python_is_told_so(project: Path, stamp: str) -> None:
    """Where there is work to do and no Python to do it with, one line says what to install."""
    (project / ".venv").mkdir()
    if stamp == "old":
        (project / ".venv/.with-dev").touch()
        os.utime(project / ".venv/.with-dev", (0, 0))
    tools = project / "tools"
    tools.mkdir()
    for name in ("dirname", "find"):
        (tools / name).symlink_to(str(shutil.which(name)))
    done = venv(project, "dev", PATH=str(tools), PYTHON="")
    assert done.returncode == 1
    assert done.stderr == (
        "workspace-lifecycle: Python 3.11 or later is needed: "
        "apt-get install python3, or set PYTHON\n"
    )
