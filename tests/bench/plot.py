"""The report as one SVG: a panel a comparison, a bar a contender, readable on dark and on light."""

from collections.abc import Collection, Iterator, Sequence
from xml.sax.saxutils import escape

from tests.bench.measure import Figure, Report
from tests.bench.paper import number

_WIDTH, _LEFT, _BAR, _ROW, _GAP = 760, 130, 460, 20, 34
_INK, _OURS, _OTHERS = "#808080", "#2f9e6e", "#8c9bb0"
_FONT = "font: 12px system-ui, sans-serif"


SHORT = ("command to last stop and summary", "commands a second")
"""The measures of the plot that stands in README."""


def plot(report: Report, measures: Collection[str] | None = None) -> str:
    """Draw what was compared, or some of it, each panel to its own scale, from nothing."""
    body, top = [], _GAP
    for work, measure in _panels(report):
        if measures is not None and measure not in measures:
            continue
        figures = [one for one in report.figures if (one.work, one.measure) == (work, measure)]
        body += [_text(8, top, f"{work}: {measure}, {figures[0].unit}", "bold")]
        body += _bars(figures, top + 8)
        top += 8 + _ROW * len(figures) + _GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{top}" '
    view = f'viewBox="0 0 {_WIDTH} {top}" fill="{_INK}" style="{_FONT}">'
    return "\n".join([head + view, *body, "</svg>\n"])


def _panels(report: Report) -> Iterator[tuple[str, str]]:
    """Name the measures that more than one contender stands in."""
    for work in report.works():
        measures = [one.measure for one in report.figures if one.work == work]
        yield from ((work, one) for one in dict.fromkeys(measures) if measures.count(one) > 1)


def _bars(figures: Sequence[Figure], top: int) -> Iterator[str]:
    most = max(one.value for one in figures) or 1.0
    for place, one in enumerate(figures):
        y, width = top + place * _ROW, max(1.0, _BAR * one.value / most)
        colour = _OURS if one.contender.startswith("ours") else _OTHERS
        told = number(one.value) + (f"  ({one.ratio:.2f} x)" if one.ratio is not None else "")
        yield _text(_LEFT - 8, y + 14, one.contender, "end")
        yield f'<rect x="{_LEFT}" y="{y + 3}" width="{width:.1f}" height="14" fill="{colour}"/>'
        yield _text(round(_LEFT + width + 6), y + 14, told)


def _text(x: int, y: int, told: str, how: str = "") -> str:
    style = {"bold": ' font-weight="bold"', "end": ' text-anchor="end"'}.get(how, "")
    return f'<text x="{x}" y="{y}"{style}>{escape(told)}</text>'
