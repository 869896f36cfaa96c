"""README and docs/reliability.md: the tests they name are there, and each gap is said."""

import re
from pathlib import Path

import pytest

from tests.faults.test_kills import POINTS
from tests.support.bugs.every import BUGS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
NAMED = sorted(set(re.findall(r"`(test_\w+)`", PAGE + (ROOT / "README.md").read_text())))
TESTS = "\n".join(path.read_text() for path in ROOT.glob("tests/**/test_*.py"))
PROGRAM = "\n".join(path.read_text() for path in ROOT.glob("consumer/**/*.py"))


def table(title: str) -> dict[str, list[str]]:
    """Read a table of the page by its first heading: what each row says, and the tests it names."""
    rows = PAGE.partition(f"| {title} |")[2].partition("\n\n")[0].splitlines()[2:]
    cells = [row.strip("| ").split(" | ") for row in rows]
    return {what: re.findall(r"`(\w+)`", tests) for what, tests in cells}


@pytest.mark.parametrize("name", NAMED)
def test_a_promise_names_a_test_that_is_there(name: str) -> None:
    """A renamed test takes its promise along."""
    assert f"def {name}(" in TESTS


@pytest.mark.parametrize(("title", "least"), [("promise", 10), ("trap", 14), ("planted", 12)])
def test_every_row_has_a_test(title: str, least: int) -> None:
    """No promise, trap or bug is without one."""
    rows = table(title)
    assert len(rows) >= least
    assert [what for what, tests in rows.items() if not tests] == []


def test_the_planted_bugs_are_those_of_the_page() -> None:
    """In their order, with all the tests that see them."""
    assert [*table("planted")] == [one.what for one in BUGS]
    assert [set(tests) for tests in table("planted").values()] == [one.names for one in BUGS]


@pytest.mark.parametrize(("trap", "tests"), table("trap").items())
def test_the_fall_into_a_trap_is_planted(trap: str, tests: list[str]) -> None:
    """A test that is named for a trap was seen to fail."""
    assert trap
    assert set(tests) <= {name for one in BUGS for name in one.names}


@pytest.mark.parametrize("point", POINTS)
def test_every_gap_is_said(point: str) -> None:
    """A fact that is no longer said would be waited for in vain."""
    assert f'"{point}"' in PROGRAM


def test_every_file_of_trials_is_told_of() -> None:
    """A kind of harm that nobody reads about might as well not be done."""
    files = {path.name for path in ROOT.glob("tests/faults/test_*.py")}
    aside = {"test_checker.py", "test_report.py"}
    told = set(re.findall(r"^\| `(test_\w+\.py)` \|", PAGE, re.MULTILINE))
    assert told == files - aside
