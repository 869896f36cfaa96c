"""What Prometheus would get of the program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True)
class Scrape:
    """One answer of /metrics, read as Prometheus reads it.

    Attributes:
        kinds: each family's type by its name.
        samples: each sample's labels and value, by the sample's name.

    """

    content_type: str
    kinds: Mapping[str, str]
    samples: Mapping[str, Sequence[tuple[Mapping[str, str], float]]]

    @classmethod
    def of(cls, text: str, content_type: str = "") -> "Scrape":
        """Read the text format."""
        kinds: dict[str, str] = {}
        samples: dict[str, list[tuple[Mapping[str, str], float]]] = {}
        for family in text_string_to_metric_families(text):
            kinds[family.name] = family.type
            for sample in family.samples:
                samples.setdefault(sample.name, []).append((sample.labels, sample.value))
        return cls(content_type, kinds, samples)

    def value(self, name: str, **labels: str) -> float | None:
        """Give the value of the one series with these labels and no others; None: none has."""
        found = [value for has, value in self.samples.get(name, ()) if has == labels]
        assert len(found) <= 1
        return found[0] if found else None


async def scrape(listen: str, **headers: Any) -> Scrape:
    """Ask for /metrics."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{listen}/metrics", headers=headers) as answer,
    ):
        assert answer.status == 200
        return Scrape.of(await answer.text(), answer.headers["Content-Type"])
