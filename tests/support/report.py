"""The table at the end of `make faults`: a line a configuration, and what they come to."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

PROPERTY = "trial"
_HEAD = (
    "fault", "times injected", "commands sent", "outcomes found", "lost", "unexpected",
    "doubled effects", "repeated", "longest stall",
)  # fmt: skip
_COUNTS = ("sent", "outcomes", "lost", "unexpected", "doubled", "repeated")


@dataclass(frozen=True, slots=True)
class Row:
    """One configuration: what was done, and what the account says of it.

    Attributes:
        kills: SIGKILLs of the program among the `times`.
        stall: the longest time in seconds without an outcome although something waited.

    """

    fault: str
    times: int
    kills: int
    sent: int
    outcomes: int
    lost: int
    unexpected: int
    doubled: int
    repeated: int
    stall: float


def table(rows: Sequence[Row]) -> str:
    """Write the rows and their totals as Markdown."""
    lines = [_HEAD, ("---", *["---:"] * (len(_HEAD) - 1)), *map(_cells, rows), _totals(rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cells(row: Row) -> Sequence[str]:
    counts = (f"{getattr(row, name):,}" for name in _COUNTS)
    return row.fault, f"{row.times:,}", *counts, f"{row.stall:.1f} s"


def _totals(rows: Sequence[Row]) -> Sequence[str]:
    def total(name: str) -> int:
        return sum(getattr(row, name) for row in rows)

    counts = (total(name) for name in _COUNTS)
    injected = f"{total('times'):,}, {total('kills'):,} of them kills"
    longest = max(row.stall for row in rows)
    name = f"**all {len(rows)} configurations**"
    return name, injected, *(f"{count:,}" for count in counts), f"{longest:.1f} s"


def rows_of(reports: Iterable[pytest.TestReport]) -> list[Row]:
    """Read the rows out of what tests reported, in whichever process they ran."""
    told = [pair for report in reports for pair in report.user_properties]
    return [Row(**cast("Mapping[str, Any]", row)) for name, row in told if name == PROPERTY]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, and write it to FAULTS_REPORT; what failed stands below it."""
    ended = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if isinstance(report, pytest.TestReport)
    ]
    rows = rows_of(report for report in ended if report.when == "call")
    if not rows:
        return
    replays = " ".join(
        f"{name}={os.environ.get(name, '')}" for name in ("FAULTS_SEED", "FAULTS_SECONDS")
    )
    failed = [f"FAILED {report.nodeid}" for report in ended if report.failed]
    text = "\n".join([table(rows), "", *failed, replays])
    terminalreporter.section("trials by fault")
    terminalreporter.write_line(text)
    if path := os.environ.get("FAULTS_REPORT"):
        Path(path).write_text(f"{text}\n")
