"""README and docs/reliability.md: the tests they name are there, and each gap is said."""

import re
from pathlib import Path

import pytest

from tests.faults.test_kills import POINTS

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "reliability.md").read_text()
NAMED = re.findall(r"`(test_\w+)`", DOCUMENT + (ROOT / "README.md").read_text())
TESTS = "\n".join(path.read_text() for path in ROOT.glob("tests/**/test_*.py"))
PROGRAM = "\n".join(path.read_text() for path in ROOT.glob("consumer/**/*.py"))


@pytest.mark.parametrize("name", NAMED)
def test_a_promise_names_a_test_that_is_there(name: str) -> None:
    """A renamed test takes its promise along."""
    assert f"def {name}(" in TESTS


def test_every_promise_has_a_test() -> None:
    """No row of the table is without one."""
    rows = DOCUMENT.partition("\n## ")[0].count("\n| ") - 1
    assert len(NAMED) >= rows > 10


@pytest.mark.parametrize("point", POINTS)
def test_every_gap_is_said(point: str) -> None:
    """A fact that is no longer said would be waited for in vain."""
    assert f'"{point}"' in PROGRAM


def test_every_file_of_trials_is_told_of() -> None:
    """A kind of harm that nobody reads about might as well not be done."""
    files = {path.name for path in ROOT.glob("tests/faults/test_*.py")}
    aside = {"test_checker.py", "test_report.py"}
    told = set(re.findall(r"^\| `(test_\w+\.py)` \|", DOCUMENT, re.MULTILINE))
    assert told == files - aside
