"""Bugs planted into a copy of the tree, and what the tests in that copy say."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from consumer.devstack.platform import aws_environment
from consumer.devstack.stack import Stack

ROOT = Path(__file__).parents[2]
_COPIED = ("consumer", "schemas", "tests", "docs", "pyproject.toml")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", ".*", "node_modules")
_FAILED = re.compile(r"^FAILED (tests/[^:]+\.py)::(?:\w+::)*(\w+)", re.MULTILINE)
_PATIENCE, _LONGEST = "8", "40"
"""Seconds that a test waits for one thing, and that it gets in all: what hangs has failed."""


class ChangedError(Exception):
    """The source is no longer what a bug was written for: write the bug anew."""


@dataclass(frozen=True)
class Change:
    """A passage that stands once in a file, and what is put there."""

    path: str
    old: str
    new: str

    def make(self, tree: Path) -> None:
        """Make it in a copy of the tree.

        Raises:
            ChangedError: the passage is not there, or more than once.

        """
        file = tree / self.path
        text = file.read_text()
        if text.count(self.old) != 1:
            raise ChangedError(f"{self.path} holds {text.count(self.old)} times: {self.old!r}")
        file.write_text(text.replace(self.old, self.new))


@dataclass(frozen=True)
class Bug:
    """What is wrong in words, how it gets there, and the tests that see it, by file and name."""

    what: str
    changes: tuple[Change, ...]
    caught_by: tuple[str, ...]

    @property
    def names(self) -> set[str]:
        """The names of the tests alone."""
        return {test.rpartition("::")[2].partition("[")[0] for test in self.caught_by}


def bug(what: str, path: str, old: str, new: str, *caught_by: str) -> Bug:
    """Give a bug that is one change."""
    return Bug(what, (Change(path, old, new),), caught_by)


def several(what: str, changes: tuple[Change, ...], *caught_by: str) -> Bug:
    """Give a bug that is several changes."""
    return Bug(what, changes, caught_by)


def copied(folder: Path) -> Path:
    """Copy what the tests need of the tree."""
    tree = folder / "tree"
    tree.mkdir()
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=_LEFT_OUT)
        else:
            shutil.copy2(source, tree / name)
    return tree


def failures(tree: Path, tests: Sequence[str], stack: Stack, patience: str = _PATIENCE) -> set[str]:
    """Run tests in a copy, on servers that are up; give the names of those that failed.

    Raises:
        AssertionError: it did not come to running them.

    """
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "--tb=no", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--timeout", _LONGEST, *tests],
        cwd=tree,
        env=_environment(stack) | {"TESTS_PATIENCE": patience},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return {name for _, name in _FAILED.findall(done.stdout)}


def _environment(stack: Stack) -> dict[str, str]:
    """Name the servers, so that none is started; this run's own options are not passed on."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LIFECYCLE_", "PYTEST_"))}
    return kept | {
        "LIFECYCLE_AMQP_URL": stack.amqp_url,
        "LIFECYCLE_MANAGEMENT_URL": stack.management_url,
        "LIFECYCLE_DATABASE_URL": stack.database_url,
        **aws_environment(stack),
    }
