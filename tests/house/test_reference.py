"""docs/reference is what the code says, and the settings' defaults are the program's."""

import re
from pathlib import Path
from typing import Any

import pytest

from consumer.settings import CREDENTIALS, Settings
from schemas.catalog import CATALOG
from schemas.problems import Code
from tests.support.reference import FOLDER, WHEN_AND_WHAT, pages

DOCS = Path(__file__).parents[2] / "docs"
ROW = re.compile(r"^\| (`LIFECYCLE_.+?) \| (.+?) \|", re.MULTILINE)
HEADING = re.compile(r"^## (workspace.*)$", re.MULTILINE)
NAMED = {
    name.lower(): default.strip()
    for names, defaults in ROW.findall((DOCS / "settings.md").read_text())
    for name, default in zip(
        re.findall(r"`LIFECYCLE_(\w+)`", names),
        defaults.split(",") if "," in defaults else [defaults] * names.count("LIFECYCLE_"),
        strict=True,
    )
}
"""What the table says each setting is by default."""


@pytest.mark.parametrize("name", pages())
def test_a_page_is_what_the_code_says(name: str) -> None:
    """Where this fails: `make reference`."""
    assert (FOLDER / name).read_text() == pages()[name]


def test_no_page_is_there_by_hand() -> None:
    """All of the folder is generated."""
    assert {path.name for path in FOLDER.iterdir()} == set(pages())


def test_everything_is_told() -> None:
    """Each message type has its heading and an example, each code what to do about it."""
    text = pages()["messages.md"]
    headings = HEADING.findall(text)
    told = {name for heading in headings for name in heading.split(", ")}
    assert told == {kind.name for kind in CATALOG}
    assert text.count("```json") == len(headings) + 1
    assert set(WHEN_AND_WHAT) == set(Code)


@pytest.mark.parametrize("name", [one for one in Settings.model_fields if one not in CREDENTIALS])
def test_a_settings_default_is_told(name: str) -> None:
    """As it would be written in the environment; a word where there is none."""
    default: Any = Settings.model_fields[name].default
    if default is None or default == ():
        assert "`" not in NAMED[name]
        return
    text = ",".join(default) if isinstance(default, tuple) else f"{default}"
    text = text.lower() if isinstance(default, bool) else re.sub(r"\.0$", "", text)
    assert NAMED[name] == f"`{text}`"
