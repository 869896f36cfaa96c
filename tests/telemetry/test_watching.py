"""Dashboard and alert rules ask for what there is, and docs/metrics.md tells all of it."""

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import promql_parser
import pytest
import yaml

from consumer.observe import listening, say
from tests.broker.tools import Facts
from tests.support.caller import WireCaller
from tests.support.fleet import launch
from tests.support.forest import Forest
from tests.support.scraping import Scrape, scrape
from tests.telemetry.conftest import Measured

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

SHIPPED = Path(str(files("consumer.telemetry")))
DASHBOARD = json.loads((SHIPPED / "grafana" / "workspace-lifecycle.json").read_text())
PANELS = [one for one in DASHBOARD["panels"] if one["type"] != "row"]
RULES = yaml.safe_load((SHIPPED / "prometheus" / "rules.yml").read_text())["groups"][0]["rules"]
PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
TABLE = {
    name: (kind, {*re.findall(r"`(\w+)`", labels)})
    for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", PAGE, re.MULTILINE)
}
QUERIES = [
    *((one["title"], target["expr"]) for one in PANELS for target in one["targets"]),
    *((one["alert"], one["expr"]) for one in RULES),
]
BY_PROMETHEUS = {"instance", "job"}
PARTS = re.compile("_(bucket|sum|count|total)$")


@pytest.fixture
async def told(
    measured: Measured,
    caller: WireCaller,
    forest: Forest,
    aws: "EC2Client",
    bucket_url: str,
) -> AsyncIterator[Scrape]:
    """Do what the demo does, and what goes wrong beside it; scrape."""
    top = await forest.plant("top", "top/a", "top/b")
    statement = "update workspaces set instance_id = $1 where name = $2"
    machines = zip([*launch(aws, 2), "i-00000000000000000"], ("top", "a", "b"), strict=True)
    await forest.connection.executemany(statement, [*machines])
    settings = {"executor": "ec2", "archive_url": bucket_url, "archive_every": 0.2}
    facts = Facts()
    with listening(facts.listen):
        async with measured(**settings, implicit_cascade_apps=("old",)) as listen:
            await caller.pause(top)
            await caller.ask("workspace.pause", {"workspace_id": top}, app_id="old")
            await caller.hear("workspace.pause.settled")
            await caller.send("no.such", b"{}", exchange="", routing_key="lifecycle.commands")
            await facts.wait("delivery.parked")
            await facts.wait("archive.finished")
            say("connection.blocked", connection="workspace-lifecycle publisher", why="disk")
            yield await scrape(listen)


def asked(query: str) -> Iterator[tuple[str, Mapping[str, str], Sequence[str]]]:
    """Take a query apart: each metric it names, its labels as wanted, and what it groups by."""
    text = query.replace("$__rate_interval", "5m").replace("$__range", "1h")
    selected: list[promql_parser.VectorSelector] = []
    grouped: list[str] = []

    def visit(expr: promql_parser.Expr) -> None:
        if isinstance(expr, promql_parser.MatrixSelector):
            selected.append(expr.vector_selector)
        elif isinstance(expr, promql_parser.VectorSelector):
            selected.append(expr)
        elif isinstance(expr, promql_parser.AggregateExpr) and expr.modifier:
            grouped.extend(expr.modifier.labels)

    promql_parser.walk(promql_parser.parse(text), visit)
    for one in selected:
        wanted = {
            m.name: m.value for m in one.matchers.matchers if m.op == promql_parser.MatchOp.Equal
        }
        yield one.name or "", wanted, grouped


async def test_every_query_asks_for_what_there_is(told: Scrape) -> None:
    """Each metric is there, with the labels that are matched and grouped by."""
    assert len(QUERIES) > 60
    for title, query in QUERIES:
        found = [*asked(query)]
        assert found, title
        for name, wanted, grouped in found:
            series = [labels for labels, _ in told.samples[name]]
            assert [one for one in series if wanted.items() <= one.items()], (title, name, wanted)
            assert {*grouped} - BY_PROMETHEUS <= series[0].keys(), (title, name)


async def test_the_table_and_the_dashboard_tell_of_every_metric(told: Scrape) -> None:
    """With its type and labels, and of none that is not there."""
    labels: dict[str, set[str]] = {name: set() for name in told.kinds}
    for name, series in told.samples.items():
        family = name if name in told.kinds else PARTS.sub("", name)
        labels[family] |= {label for one, _ in series for label in one} - {"le"}
    assert {name: (kind, labels[name]) for name, kind in told.kinds.items()} == TABLE
    shown = {name for one in QUERIES for name, _, _ in asked(one[1])}
    shown |= {PARTS.sub("", name) for name in shown}
    assert {name for name in TABLE if name.startswith("lifecycle_")} <= shown


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_happens_and_what_to_do(rule: dict[str, Any]) -> None:
    """In two sentences at least; what its text names of labels, its query has."""
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert {*rule["annotations"]} == {"summary", "description"}
    assert all(text.endswith(".") for text in rule["annotations"].values())
    named = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    (grouped, *_) = [set(labels) for _, _, labels in asked(rule["expr"])]
    assert named <= (grouped or {"instance", "server"})


def test_the_page_lists_the_alerts() -> None:
    """By severity, in the order of the file."""
    listed = {
        severity: re.findall(r"`(Lifecycle\w+)`", names)
        for severity, names in re.findall(
            r"^\| (critical|warning|info) \|(.*)\|", PAGE, re.MULTILINE
        )
    }
    for severity, names in listed.items():
        assert [one["alert"] for one in RULES if one["labels"]["severity"] == severity] == names
    assert sum(map(len, listed.values())) == len(RULES)


def test_the_picture_shows_the_panels_there_are() -> None:
    """Each with data. Where this fails: `make pictures`."""
    picture = (Path(__file__).parents[2] / "docs" / "dashboard.svg").read_text()
    shown = re.findall(r'class="(?:row|title)">(.*?)<', picture)
    assert {*shown} == {one["title"] for one in DASHBOARD["panels"]}
    assert len(shown) == len(DASHBOARD["panels"])
    assert "No data" not in picture
    assert len(picture) < 200_000


def test_no_two_panels_lie_on_each_other() -> None:
    """Each has a place and an id of its own, and reads from the source that was chosen."""
    assert len({one["id"] for one in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for one in DASHBOARD["panels"]:
        at = one["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert {one["datasource"]["uid"] for one in PANELS} == {"${datasource}"}
