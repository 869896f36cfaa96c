"""The report as README and docs/bench.md have it, written there from what a run kept."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench.measure import Aim, Figure, Report, number
from tests.bench.paper import number as digits
from tests.bench.roster import ROSTER

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "docs" / "bench.json"
_OTHERS = [name for name in ROSTER if not name.startswith("ours")]
_COMPARED = (
    (1, "command to last stop and summary", "a cascade of 10,000: time, times ours"),
    (1, "CPU of its own", "the same: CPU of its own, times ours"),
    (2, "commands a second", "trees of three: commands a second, times ours"),
    (2, "CPU of its own a command", "the same: CPU of its own a command, times ours"),
)
_HEAD = ["what", *(f"`{name}`" for name in _OTHERS)]
_AIMED = ["work", "what was aimed at", "found", ""]


def kept() -> Report:
    """Read the run that was kept."""
    told = json.loads(KEPT.read_text())
    figures = [Figure(**{**one, "samples": tuple(one["samples"])}) for one in told["figures"]]
    return Report(told["scale"], told["about"], figures, [Aim(**one) for one in told["aims"]])


def blocks(report: Report) -> dict[Path, list[list[str]]]:
    """Give what stands in each page: blocks of lines that begin with a line of their own."""
    return {
        ROOT / "README.md": [[*_table(_HEAD, _compared(report), "--:")], [_told(report)]],
        ROOT / "docs" / "bench.md": [[*_table(_AIMED, _aims(report), "---")]],
    }


def written(page: str, block: Sequence[str]) -> str:
    """Put a block where one stands that begins in the same way, up to the next empty line.

    Raises:
        ValueError: there is none.

    """
    lines = page.splitlines()
    begin = next((n for n, line in enumerate(lines) if line.startswith(block[0][:40])), None)
    if begin is None:
        raise ValueError(f"no line begins with {block[0][:40]!r}")
    end = next((n for n in range(begin, len(lines)) if not lines[n]), len(lines))
    return "\n".join([*lines[:begin], *block, *lines[end:], ""])


def put() -> None:
    """Write the kept run into the pages."""
    for path, several in blocks(kept()).items():
        page = path.read_text()
        for block in several:
            page = written(page, block)
        path.write_text(page)


def _table(head: Sequence[str], rows: Iterator[Sequence[str]], align: str) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---|" + f"{align}|" * (len(head) - 1)
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _compared(report: Report) -> Iterator[Sequence[str]]:
    for work, measure, name in _COMPARED:
        found = {
            one.contender: one.value
            for one in report.figures
            if number(one.work) == work and one.measure == measure
        }
        ratios = [f"{found[one] / found['ours']:.2g}" if one in found else "-" for one in _OTHERS]
        yield [name, *ratios]


def _aims(report: Report) -> Iterator[Sequence[str]]:
    for aim in sorted(report.aims, key=lambda one: number(one.work)):
        judged = {True: "met", False: "**not met**", None: f"not judged: {aim.why}"}[aim.met]
        yield [aim.work, aim.text, digits(aim.found), judged]


def _told(report: Report) -> str:
    """Tell in a line what stands beside no other contender."""
    one, many = (_rate(report, 6, of, "aio-pika alone", "ours") for of in (" 1 op", ",333 op"))
    archive, replay = (
        _rate(report, 7, "messages a second", "aio-pika alone", f"ours, {what}")
        for what in ("archive", "replay stream")
    )
    p50, p99 = (_value(report, 3, measure) for measure in ("p50", "p99"))
    memory = [_value(report, 5, what) for what in ("peak in a cascade of 100,", "peak while")]
    return (
        f"Beside plain aio-pika that reads as many messages and does nothing: results are settled "
        f"{one} times as fast (of one operation; {many} where each three settle one), archived "
        f"{archive} and replayed {replay} times as fast. p99 of an answer is {p99 / p50:.2g} times "
        f"p50 at half load. A cascade of 100,000 takes {memory[0]:.0f} MB, a backlog of 1,000,000 "
        f"{memory[1]:.0f} MB. Idle, it takes {_value(report, 8, 'CPU'):.2g} % of a core and says "
        f"nothing but heartbeats. It consumes {_value(report, 9, 'start'):.2g} s after its start."
    )


def _rate(report: Report, work: int, of: str, base: str, who: str) -> str:
    ratio = _value(report, work, of, who) / _value(report, work, of, base)
    return f"{ratio:.2g}"


def _value(report: Report, work: int, of: str, who: str = "ours") -> float:
    """Find a figure by its work's number, a part of its measure, and who it is of."""
    return next(
        one.value
        for one in report.figures
        if number(one.work) == work and of in one.measure and one.contender == who
    )


if __name__ == "__main__":
    put()
