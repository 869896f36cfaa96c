"""What the verbs share: exit codes, the end of an operation, text that commands no terminal."""

from io import StringIO
from uuid import UUID

import pytest
from rich.console import Console

from consumer.cli.outcome import EXIT_CODES, progress_bar, said, settled_code, show_settled
from consumer.cli.outcome import status_code as code_of
from schemas.events import Failure, Settled
from schemas.problems import Code


def settled(failed: int = 0, timed_out: int = 0, superseded: int = 0, name: str = "a") -> Settled:
    """Give the end of an operation of which the rest succeeded."""
    failure = Failure(workspace_id=UUID(int=1), name=name, code="refused", detail=None)
    return Settled(
        operation_id=UUID(int=1), action="pause", workspace_id=UUID(int=1), status=200,
        requested_by=None, reason=None, cascade=True, target_count=9, duration_ms=1,
        succeeded_count=9 - failed - timed_out - superseded, failed_count=failed,
        superseded_count=superseded, timed_out_count=timed_out, failures=(failure,) * failed,
    )  # fmt: skip


def shown(end: Settled) -> str:
    """Give what is shown of an end on a coloured console."""
    paper = StringIO()
    console = Console(file=paper, force_terminal=True, color_system="truecolor", soft_wrap=True)
    show_settled(console, end, end.failures)
    return paper.getvalue()


def test_every_rejection_has_an_exit_code_of_its_status() -> None:
    """No code of the contract ends in 1, which is for what nobody expected."""
    assert {code.status for code in Code} == set(EXIT_CODES)
    assert [code_of(status) for status in (200, 404, 418)] == [0, 4, 1]


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (settled(), 0),
        (settled(superseded=9), 0),
        (settled(failed=1), 5),
        (settled(timed_out=1), 5),
        (settled(failed=1, timed_out=1, superseded=1), 5),
    ],
)
def test_an_end_is_five_where_something_failed_or_timed_out(end: Settled, code: int) -> None:
    """What a newer command took over is fine."""
    assert settled_code(end) == code


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Release Agent", "Release Agent"),
        ("Ünïcode 東京 🙂", "Ünïcode 東京 🙂"),
        ("two\nlines\r\tand\x0bmore\x85\u2028\u2029", "two�lines��and�more���"),
        ("\x1b[2J\x9b2J\x07", "�[2J�2J�"),
        ("\u202eevil\u200f", "�evil�"),
        ("[red]not red[/]", "[red]not red[/]"),
        ("ends in a backslash\\", "ends in a backslash\\"),
        ("", ""),
    ],
)
def test_text_from_outside_is_shown_and_not_obeyed(text: str, plain: str) -> None:
    """It stays in its line, changes no colour, and says nothing to the terminal."""
    paper = StringIO()
    Console(file=paper, soft_wrap=True).print(f"{said(text)}[bold]|[/]", emoji=False)
    assert paper.getvalue() == f"{plain}|\n"


def test_the_end_names_what_failed() -> None:
    """Each failure in a line, whatever the name of the workspace tries."""
    assert shown(settled(failed=1, name=":skull:")).splitlines()[1] == (
        "  \x1b[31m:skull:\x1b[0m  refused: "
    )
    assert "\x1b]" not in shown(settled(failed=1, name="\x1b]0;x\x07"))


def test_a_bar_that_is_not_live_shows_nothing() -> None:
    """Where nobody looks, no bar is written."""
    paper = StringIO()
    with progress_bar(Console(file=paper), live=False) as progress:
        progress.advance(progress.add_task("stopped", total=2))
    assert paper.getvalue() == ""
