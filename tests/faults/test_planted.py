"""Bugs are planted into a copy of the program, one after the other, and its tests see each."""

from pathlib import Path

import pytest

from consumer.devstack.stack import Stack
from tests.support.bugs.every import BUGS
from tests.support.planting import Bug, ChangedError, bug, copied, failures

_ALL = sorted({test for one in BUGS for test in one.caught_by})
_QUICK = [one for one in BUGS if one.what == "nesting without end raises what is no ValueError"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Copy the tree."""
    return copied(tmp_path)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the tree once, for what puts it back."""
    return copied(tmp_path_factory.mktemp("sources"))


def missed(tree: Path, planted: Bug, stack: Stack) -> set[str]:
    """Plant a bug; give the tests that do not see it."""
    for change in planted.changes:
        change.make(tree)
    return planted.names - failures(tree, planted.caught_by, stack)


@pytest.mark.faults
@pytest.mark.timeout(1200)
def test_without_a_bug_all_of_these_tests_pass(tree: Path, stack: Stack) -> None:
    """Or their failure with one would say nothing."""
    assert failures(tree, _ALL, stack, patience="20") == set()


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("planted", BUGS, ids=lambda planted: planted.what)
def test_each_of_its_tests_sees_a_bug(planted: Bug, tree: Path, stack: Stack) -> None:
    """Every one that is named, not only some."""
    assert missed(tree, planted, stack) == set()


@pytest.mark.parametrize("planted", _QUICK, ids=lambda planted: planted.what)
def test_a_bug_is_seen(planted: Bug, tree: Path, stack: Stack) -> None:
    """One of them in every run: the copy's tests pass without it, and fail with it."""
    assert failures(tree, planted.caught_by, stack) == set()
    assert missed(tree, planted, stack) == set()


@pytest.mark.parametrize("planted", BUGS, ids=lambda planted: planted.what)
def test_every_bug_can_still_be_planted(planted: Bug, sources: Path) -> None:
    """A source that has changed has its bugs written anew."""
    kept = {change.path: (sources / change.path).read_text() for change in planted.changes}
    for change in planted.changes:
        change.make(sources)
    for path, text in kept.items():
        assert (sources / path).read_text() != text
        (sources / path).write_text(text)


def test_a_bug_whose_source_has_changed_is_an_error(tree: Path) -> None:
    """A bug that is not planted would be seen by nobody, and by no means pass for caught."""
    for passage in ("no such line", "import"):
        (change,) = bug("", "consumer/decision.py", passage, "").changes
        with pytest.raises(ChangedError, match=r"consumer/decision\.py"):
            change.make(tree)
