"""A replay's state on disk."""

from pathlib import Path

import pytest

from consumer.audit.journal import Journal, JournalError, Reached

REACHED = Reached(after=(2, 17), count=5, size=99)


def test_what_was_saved_is_read(tmp_path: Path) -> None:
    """By the next one of the same replay; nothing is left beside it."""
    path = tmp_path / "state"
    first = Journal(path, "this")
    first.open()
    assert (first.reached, first.resumed) == (Reached(), False)
    first.save(REACHED)
    again = Journal(path, "this")
    again.open()
    assert (again.reached, again.resumed) == (REACHED, True)
    assert list(tmp_path.iterdir()) == [path]


def test_another_replays_state_is_refused(tmp_path: Path) -> None:
    """Its places would be those of other messages."""
    path = tmp_path / "state"
    Journal(path, "this").save(REACHED)
    with pytest.raises(JournalError, match="is of another replay \\(this\\)"):
        Journal(path, "that").open()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"of":"this"}', '{"of":"this","after":1,"x":2}'])
def test_what_is_no_state_is_refused(tmp_path: Path, text: str) -> None:
    """The file is named."""
    path = tmp_path / "state"
    path.write_text(text)
    with pytest.raises(JournalError, match=r"state is no state of a replay"):
        Journal(path, "this").open()


def test_a_state_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """There is no such directory."""
    with pytest.raises(JournalError, match="could not write"):
        Journal(tmp_path / "none" / "state", "this").save(REACHED)


def test_without_a_path_it_remembers_by_itself() -> None:
    """As long as it lives."""
    journal = Journal(None, "this")
    journal.open()
    journal.save(REACHED)
    assert journal.reached == REACHED
