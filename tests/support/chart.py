"""The dashboard's panels as one SVG, each in its place, readable on dark and light."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from tests.support.panels import Line, Window

_COLUMN, _UNIT, _GAP, _HEAD = 50, 27, 4, 30
_LEFT, _RIGHT, _TOP, _LEGEND, _MOST_ROWS = 52, 18, 34, 14, 4
_CHARACTER = 6.1
"""How wide one is, about, in pixels."""
_COLOURS = (
    "#2f7ed8", "#e08a1e", "#2f9e6e", "#d1495b", "#8e5bd0",
    "#3aa6b9", "#b0a02e", "#c76fa8", "#808a99",
)  # fmt: skip
_STYLE = """\
<style>
 svg { --back: #f4f5f7; --sheet: #fff; --text: #1c2330; --faint: #5c667a; --line: #e3e6ec; }
 @media (prefers-color-scheme: dark) { svg { --back: #111217; --sheet: #1a1d24; --text: #e4e8ef;
  --faint: #98a2b6; --line: #2c3442; } }
 text { font: 10.5px system-ui, sans-serif; fill: var(--faint); }
 .title, .row, .big { fill: var(--text); font-weight: 600; font-size: 12px; }
 .row { font-size: 14px; } .big { font-weight: 400; } .back { fill: var(--back); }
 .sheet { fill: var(--sheet); stroke: var(--line); } .grid { stroke: var(--line); }
 polyline { fill: none; stroke-width: 1.4; stroke-linejoin: round; } .end { text-anchor: end; }
 .middle { text-anchor: middle; }
</style>"""


@dataclass(frozen=True)
class Answered:
    """A panel and the lines that its queries gave."""

    panel: Any
    lines: Sequence[Line]


def draw(dashboard: Any, answered: Sequence[Answered], window: Window) -> str:
    """Draw all of it, the rows' titles too."""
    places = [one["gridPos"] for one in dashboard["panels"]]
    height = max((at["y"] + at["h"]) * _UNIT for at in places) + _GAP
    width = 24 * _COLUMN + _GAP
    body = [
        _text(12, one["gridPos"]["y"] * _UNIT + 20, one["title"], "row")
        for one in dashboard["panels"]
        if one["type"] == "row"
    ]
    for one in answered:
        body += _panel(one, window)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
    back = f'<rect class="back" width="{width}" height="{height}"/>'
    return "\n".join([head, _STYLE, back, *body, "</svg>\n"])


@dataclass(frozen=True)
class _Frame:
    """Where a panel's curves go, and what its axes span."""

    x: float
    y: float
    width: float
    height: float
    window: Window
    scale: "_Scale"

    def at(self, moment: float, value: float) -> tuple[float, float]:
        span = self.window.end - self.window.begin
        across = self.width * (moment - self.window.begin) / span
        return self.x + across, self.y + self.height * (1 - self.scale.part(value))


@dataclass(frozen=True)
class _Scale:
    """Values from the least to the most, even or by their magnitude."""

    least: float
    most: float

    @classmethod
    def of(cls, one: Answered) -> "_Scale":
        values = [value for line in one.lines for _, value in line.points]
        defaults = one.panel["fieldConfig"]["defaults"]
        if "scaleDistribution" not in defaults.get("custom", {}):
            return cls(0.0, _nice(max(values), 2**20 if defaults["unit"] == "bytes" else 1))
        above = [value for value in values if value > 0] or [1.0]
        least = math.floor(math.log10(min(above)))
        most = max(math.ceil(math.log10(max(above))), least + 1)
        return cls(10.0**least, 10.0**most)

    @property
    def marks(self) -> list[float]:
        if not self.least:
            return [0.0, self.most / 2, self.most]
        decades = round(math.log10(self.most / self.least))
        return [self.least * 10**one for one in range(decades + 1)]

    def part(self, value: float) -> float:
        """Tell how far up a value stands, from 0 to 1."""
        if not self.least:
            return value / self.most
        least = math.log10(self.least)
        return (math.log10(max(value, self.least)) - least) / (math.log10(self.most) - least)


def _panel(one: Answered, window: Window) -> Iterator[str]:
    at = one.panel["gridPos"]
    x, y = at["x"] * _COLUMN + _GAP, at["y"] * _UNIT + _GAP
    width, height = at["w"] * _COLUMN - _GAP, at["h"] * _UNIT - _GAP
    yield f'<rect class="sheet" x="{x}" y="{y}" width="{width}" height="{height}" rx="3"/>'
    yield _text(x + 10, y + 19, one.panel["title"], "title")
    if not one.lines:
        yield _text(x + width / 2, y + height / 2, "No data", "middle")
    elif one.panel["type"] == "table":
        yield from _table(one, x + 10, y + 44, width - 20)
    else:
        legend = [*_legend(one.lines, width - 20)][:_MOST_ROWS]
        top = y + height - 6 - _LEGEND * (len(legend) - 1)
        yield from _curves(one, _framed(one, window, (x, y, width, top - y - _LEGEND)))
        for row, entries in enumerate(legend):
            yield from _entries(entries, x + 10, top + row * _LEGEND)


def _framed(one: Answered, window: Window, room: tuple[float, float, float, float]) -> _Frame:
    x, y, width, height = room
    inner = width - _LEFT - _RIGHT, height - _TOP - 18
    return _Frame(x + _LEFT, y + _TOP, *inner, window, _Scale.of(one))


def _curves(one: Answered, frame: _Frame) -> Iterator[str]:
    unit = one.panel["fieldConfig"]["defaults"]["unit"]
    right, bottom = frame.x + frame.width, frame.y + frame.height
    for value in frame.scale.marks:
        _, y = frame.at(frame.window.begin, value)
        yield f'<path class="grid" d="M{frame.x:.0f} {y:.1f}H{right:.0f}"/>'
        yield _text(frame.x - 6, y + 4, _told(value, unit), "end")
    for minute in range(math.floor((frame.window.end - frame.window.begin) / 60) + 1):
        x, _ = frame.at(frame.window.begin + 60 * minute, 0)
        yield _text(x, bottom + 14, f"{minute}:00", "middle")
    for place, line in enumerate(one.lines):
        colour = _COLOURS[place % len(_COLOURS)]
        for run in _runs(line, frame.window.step):
            points = " ".join("{:.1f},{:.1f}".format(*frame.at(*point)) for point in run)
            yield f'<polyline points="{points}" stroke="{colour}"/>'


def _runs(line: Line, step: float) -> Iterator[list[tuple[float, float]]]:
    """Take a line apart where it has no value: Grafana draws nothing there."""
    run: list[tuple[float, float]] = []
    for point in line.points:
        if run and point[0] - run[-1][0] > 1.5 * step:
            yield _seen(run, step)
            run = []
        run.append(point)
    yield _seen(run, step)


def _seen(run: list[tuple[float, float]], step: float) -> list[tuple[float, float]]:
    """Make a lone point a short line."""
    return run if len(run) > 1 else [run[0], (run[0][0] + step / 2, run[0][1])]


def _legend(lines: Sequence[Line], width: float) -> Iterator[list[tuple[int, str]]]:
    """Break the names of lines into rows."""
    row: list[tuple[int, str]] = []
    taken = 0.0
    for place, line in enumerate(lines):
        needed = len(line.name) * _CHARACTER + 22
        if row and taken + needed > width:
            yield row
            row, taken = [], 0.0
        row.append((place, line.name))
        taken += needed
    yield row


def _entries(entries: Sequence[tuple[int, str]], x: float, y: float) -> Iterator[str]:
    for place, name in entries:
        colour = _COLOURS[place % len(_COLOURS)]
        yield f'<rect x="{x:.0f}" y="{y - 5:.0f}" width="10" height="3" fill="{colour}"/>'
        yield _text(x + 14, y, name)
        x += len(name) * _CHARACTER + 22


def _table(one: Answered, x: float, y: float, width: float) -> Iterator[str]:
    (target,) = one.panel["targets"]
    label = target["legendFormat"].strip("{}")
    (rename,) = [each["options"]["renameByName"] for each in one.panel["transformations"]]
    yield _text(x, y, label) + _text(x + width, y, rename["Value"], "end")
    for place, line in enumerate(one.lines, 1):
        value = f"{line.points[-1][1]:.0f}"
        yield _text(x, y + 20 * place, line.name, "big")
        yield _text(x + width, y + 20 * place, value, "big end")


def _nice(value: float, unit: float) -> float:
    """Give a round number of units at or above a value, of which the half is round too."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value / unit)) * unit
    return next(step * power for step in (1, 2, 3, 4, 5, 6, 8, 10) if step * power >= value * 0.999)


def _told(value: float, unit: str) -> str:
    """Write a value in the panel's unit, as short as Grafana does."""
    if unit == "percentunit":
        return f"{value:.0%}"
    if unit == "bytes":
        return f"{value / 2**20:.0f} MiB"
    if unit == "s" and 0 < value < 1:
        return f"{value * 1000:g} ms"
    behind = {"s": " s", "ops": "/s"}.get(unit, "")
    return f"{value:g}{behind}" if value < 10_000 else f"{value / 1000:g}k{behind}"


def _text(x: float, y: float, told: str, style: str = "") -> str:
    named = f' class="{style}"' if style else ""
    return f'<text x="{x:.0f}" y="{y:.0f}"{named}>{escape(told)}</text>'
