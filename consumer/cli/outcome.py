"""How what became of a command is told: exit codes, the settled line, what failed."""

import unicodedata
from collections.abc import Iterable
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from schemas.problems import OK

SOURCE = "workspace-lifecycle-cli"
VERBS = {"pause": "stopped", "resume": "started"}
EXIT_CODES = {403: 3, 404: 4, 409: 9, 412: 12, 422: 2}
"""By the status of a rejection. 5: settled, and something failed or timed out. 6: no answer."""
FAILED, NO_ANSWER = 5, 6
UNKNOWN = EXIT_CODES[404]
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""What commands a terminal, reverses a line or ends it, by Unicode's general categories."""


class Counts(Protocol):
    """How many targets of an operation came to what."""

    @property
    def succeeded_count(self) -> int:
        """Carried out."""

    @property
    def failed_count(self) -> int:
        """Not carried out, and it will not be tried again."""

    @property
    def superseded_count(self) -> int:
        """Left to a newer command."""

    @property
    def timed_out_count(self) -> int:
        """Not known by the deadline."""


class Failed(Protocol):
    """One workspace that an operation failed for."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def code(self) -> str | None:
        """The executor's word for why."""

    @property
    def detail(self) -> str | None:
        """The same for people."""


def said(text: object) -> str:
    """Give text from outside as rich's markup for it: one line that commands no terminal."""
    shown = (
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(one) in _INVISIBLE else one
        for one in str(text)
    )
    return escape("".join(shown))


def counted(count: int, thing: str) -> str:
    """Give a number of things, as one says it."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def status_code(status: int) -> int:
    """Give the exit code of an answer."""
    return 0 if status == OK else EXIT_CODES.get(status, 1)


def settled_code(counts: Counts) -> int:
    """Give the exit code of a settled operation; what was superseded is fine."""
    return FAILED if counts.failed_count or counts.timed_out_count else 0


def progress_bar(out: Console, *, live: bool = True) -> Progress:
    """Give a bar for one operation's targets; one that is not live shows nothing."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=out, disable=not live)


def show_settled(out: Console, counts: Counts, failures: Iterable[Failed]) -> None:
    """Show how an operation ended, and what failed."""
    out.print(
        f"settled: {counts.succeeded_count} succeeded, {counts.failed_count} failed, "
        f"{counts.superseded_count} superseded, {counts.timed_out_count} timed out"
    )
    for one in failures:
        why = f"{one.code}: {one.detail or ''}" if one.code else "timed out"
        out.print(f"  [red]{said(one.name)}[/]  {said(why)}", emoji=False)
