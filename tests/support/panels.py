"""The shipped dashboard's panels, and what Prometheus answers to them."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from tests.support.prometheus import Labels, Point, Prometheus

DASHBOARD: Any = json.loads(
    (Path(str(files("consumer.telemetry"))) / "grafana" / "workspace-lifecycle.json").read_text()
)
PANELS: Sequence[Any] = [one for one in DASHBOARD["panels"] if one["type"] != "row"]


@dataclass(frozen=True)
class Line:
    """One series of a panel, by its legend; points without a number are left out."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Window:
    """The time that a dashboard shows, in Unix seconds, a point every `step`.

    `every`: how often was scraped.
    """

    begin: float
    end: float
    step: float
    every: float

    def filled(self, expr: str) -> str:
        """Put numbers where Grafana does: its $__rate_interval is at least four scrapes."""
        rate = max(self.step + self.every, 4 * self.every)
        span = max(1, round(self.end - self.begin))
        return expr.replace("$__rate_interval", f"{rate:.0f}s").replace("$__range", f"{span}s")

    async def lines(self, server: Prometheus, target: Any) -> list[Line]:
        """Ask one of a panel's queries."""
        expr = self.filled(target["expr"])
        if target.get("instant"):
            told: Sequence[tuple[Labels, Sequence[Point]]]
            found = await server.now(expr, self.end)
            told = [(labels, [(self.end, value)]) for labels, value in found]
        else:
            told = await server.course(expr, self.begin, self.end, self.step)
        named = [(_named(target["legendFormat"], labels), points) for labels, points in told]
        lines = [Line(name, [p for p in points if math.isfinite(p[1])]) for name, points in named]
        return [line for line in lines if line.points]


def _named(legend: str, labels: Labels) -> str:
    """Fill a legend in, as Grafana does."""
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), legend).strip()
