"""Measuring: in turn, medians, ratios; and whether what was aimed at was met."""

import math
import os
import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

SCALE = float(os.environ.get("BENCH_SCALE", "1"))
Work = Callable[[], Awaitable[float]]


def scaled(count: int, least: int = 1) -> int:
    """Give a count as BENCH_SCALE has it."""
    return max(least, round(count * SCALE))


async def alternate(works: Mapping[str, Work], rounds: int) -> dict[str, list[float]]:
    """Do each work once a round, each round begun by the next one; give what each came to."""
    names = [*works]
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        start = number % len(names)
        for name in (*names[start:], *names[:start]):
            found[name].append(await works[name]())
    return found


def quantile(samples: Sequence[float], share: float) -> float:
    """Give the smallest sample that at least this share of them does not exceed."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Figure:
    """What one contender came to.

    Attributes:
        work: the number of the work and what it is; measure: what was measured of it.
        value: the median of `samples`, in `unit`.
        ratio: how many times the value of the one it is held against; None for figures alone.

    """

    work: str
    measure: str
    contender: str
    value: float
    unit: str
    ratio: float | None = None
    samples: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Aim:
    """What was aimed at. `met` is None where it cannot be judged; `why` tells."""

    work: str
    text: str
    found: float
    bound: float
    met: bool | None
    why: str = ""


@dataclass(slots=True)
class Report:
    """Everything that was measured in one run."""

    scale: float
    about: dict[str, Any] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    aims: list[Aim] = field(default_factory=list)

    def compare(
        self, work: str, measure: str, unit: str, found: Mapping[str, Sequence[float]], base: str
    ) -> dict[str, float]:
        """Note a figure for each contender beside the one named `base`; give the medians."""
        medians = {name: statistics.median(samples) for name, samples in found.items()}
        for name, samples in found.items():
            ratio = medians[name] / medians[base] if medians[base] else None
            told = (medians[name], unit, ratio, tuple(samples))
            self.figures.append(Figure(work, measure, name, *told))
        return medians

    def note(self, work: str, measure: str, value: float, unit: str, who: str = "ours") -> None:
        """Note a figure that is held against nobody's."""
        self.figures.append(Figure(work, measure, who, value, unit))

    def aim(
        self,
        work: str,
        text: str,
        found: float,
        kind: Literal["at most", "at least"],
        bound: float,
        *,
        not_judged: str = "",
    ) -> None:
        """Note what was aimed at, and whether it was met; `not_judged` says why that is open."""
        met = found <= bound if kind == "at most" else found >= bound
        told = f"{text}: {kind} {bound:g}"
        self.aims.append(Aim(work, told, found, bound, None if not_judged else met, not_judged))

    def works(self) -> list[str]:
        """Name the works in the order of their numbers."""
        return sorted({one.work for one in self.figures}, key=number)

    def as_json(self) -> dict[str, Any]:
        """Give all of it as JSON holds it."""
        return {
            "about": self.about,
            "scale": self.scale,
            "figures": [asdict(one) for one in sorted(self.figures, key=lambda f: number(f.work))],
            "aims": [asdict(one) for one in sorted(self.aims, key=lambda a: number(a.work))],
        }


def number(work: str) -> int:
    """Give the number that a work begins with."""
    return int(work.split(" ", 1)[0])
