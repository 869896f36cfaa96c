"""The report as text: a table a work, what was aimed at, and who guarantees what."""

from collections.abc import Iterator, Sequence

from tests.bench.measure import Aim, Figure, Report
from tests.bench.roster import GUARANTEES, ROSTER


def table(report: Report) -> str:
    """Write everything."""
    return "\n".join([*_about(report), *_works(report), "", *guarantees(), "", *_meanings()])


def _about(report: Report) -> Iterator[str]:
    told = ", ".join(f"{name} {value}" for name, value in report.about.items())
    yield f"scale {report.scale:g}, {told}" if told else f"scale {report.scale:g}"


def _works(report: Report) -> Iterator[str]:
    for work in report.works():
        yield f"\n{work}"
        figures = [one for one in report.figures if one.work == work]
        for measure in dict.fromkeys(one.measure for one in figures):
            yield f"  {measure}"
            yield from map(_row, [one for one in figures if one.measure == measure])
        yield from (_aimed(one) for one in report.aims if one.work == work)


def _row(figure: Figure) -> str:
    ratio = "" if figure.ratio is None else f"{figure.ratio:8.2f} x"
    return f"    {figure.contender:<22}{number(figure.value):>12} {figure.unit:<6}{ratio}"


def _aimed(aim: Aim) -> str:
    judged = {True: "met", False: "NOT met", None: f"not judged: {aim.why}"}[aim.met]
    return f"  aim: {aim.text}; found {number(aim.found)}, {judged}"


def number(value: float) -> str:
    """Write a number with three digits that tell something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return (
        f"{value:.1f}"
        if abs(value) >= 10
        else f"{value:.2f}"
        if abs(value) >= 1
        else f"{value:.3f}"
    )


def guarantees() -> Iterator[str]:
    """Tell which contender gives which guarantee."""
    yield _line("", [*GUARANTEES])
    for one in ROSTER.values():
        yield _line(one.name, ["yes" if name in one.guarantees else "-" for name in GUARANTEES])


def _line(head: str, cells: Sequence[str]) -> str:
    return f"{head:<14}" + "".join(f"{cell:<10}" for cell in cells).rstrip()


def _meanings() -> Iterator[str]:
    yield from (f"{name}: {meaning}" for name, meaning in GUARANTEES.items())
