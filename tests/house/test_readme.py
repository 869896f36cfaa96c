"""README and docs: their Python runs, links lead somewhere, settings are the program's."""

import asyncio
import re
import textwrap
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from consumer.settings import CREDENTIALS, Settings
from schemas.commands import StopWorkspace
from tests.support.caller import WireCaller
from tests.support.forest import Forest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCS = {path: path.read_text() for path in (ROOT / "README.md", *ROOT.glob("docs/**/*.md"))}


def blocks(language: str, text: str = README) -> list[str]:
    """Give the code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.settings(executor="none")
@pytest.mark.usefixtures("program")
async def test_the_complete_executor_runs(
    forest: Forest, amqp_url: str, caller: WireCaller
) -> None:
    """It stops what it can, tells what it cannot, and leaves alone what a newer command touched."""
    top = await forest.plant("top", "top/stuck", "top/resumed")
    paused = await caller.pause(top, cascade=True)
    await caller.hear("workspace.stop", 3)
    overtaken = await caller.pause(top, cascade=True)
    await forest.connection.execute(
        "update workspaces set status = 'online' where name = 'resumed'"
    )
    again = await caller.pause(forest.ids["resumed"])
    (recipe,) = blocks("python executor", DOCS[ROOT / "docs" / "executor.md"])
    names: dict[str, Any] = {}
    exec(compile(recipe, "executor.md", "exec"), names)

    async def carry_out(kind: str, order: StopWorkspace) -> dict[str, object]:
        if order.name == "stuck":
            return {"code": "stuck", "detail": "it does not stop", "retryable": False}
        return {"detail": f"{kind} {order.name}"}

    executing = asyncio.ensure_future(names["execute"](amqp_url, carry_out))
    try:
        (settled,) = await caller.hear(
            "workspace.pause.settled", operation_id=paused.data["operation_id"]
        )
        await caller.hear("workspace.pause.settled", operation_id=again.data["operation_id"])
    finally:
        executing.cancel()
    assert overtaken.data["paused_count"] == 0
    assert [one["name"] for one in settled.data["failures"]] == ["stuck"]
    assert (await forest.statuses())["stuck"] == "online"


@pytest.mark.usefixtures("program")
async def test_the_python_recipe_runs(
    forest: Forest, amqp_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The recipe for callers is refused, reads the list, and pauses exactly that."""
    top = await forest.plant("top", "top/a")
    (recipe,) = blocks("python")
    source = f"async def recipe(amqp_url, workspace_id):\n{textwrap.indent(recipe, '    ')}"
    names: dict[str, object] = {}
    exec(compile(source, "README.md", "exec"), names)
    recipe_function = names["recipe"]
    assert callable(recipe_function)
    await recipe_function(amqp_url, UUID(str(top)))
    assert capsys.readouterr().out == "2\n"


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    """To a file that is there, and to a heading that it has."""
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(DOCS[path])):
        if re.match(r"https?:", link):
            continue
        name, _, heading = link.partition("#")
        there = (path.parent / name).resolve() if name else path
        assert there.exists(), link
        assert not heading or heading in anchors(DOCS[there]), link


def prose(text: str) -> str:
    """Give a page without its blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Name the headings as forges do."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


def test_every_page_is_on_the_map() -> None:
    """The README leads to docs/index.md, and that to everything else."""
    assert "(docs/index.md)" in README
    index = DOCS[ROOT / "docs" / "index.md"]
    pages = {path.relative_to(ROOT / "docs") for path in DOCS if path.name != "README.md"}
    assert [page for page in pages if f"({page})" not in index] == [Path("index.md")]


def test_the_settings_table_is_the_programs() -> None:
    """Every setting stands in the table, and nothing else does."""
    table = (ROOT / "docs" / "settings.md").read_text()
    written = set(re.findall(r"`LIFECYCLE_(\w+)`", table))
    files = {f"{name.upper()}_FILE" for name in CREDENTIALS}
    assert written == {name.upper() for name in Settings.model_fields} | files


def test_readme_fits_and_comes_to_the_point() -> None:
    """Under 150 lines, and the first code before line 25."""
    lines = README.splitlines()
    assert len(lines) < 150
    assert next(i for i, line in enumerate(lines) if line.startswith("```")) < 25
