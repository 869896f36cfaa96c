"""`migrate`, `tree`, `schemas`, and the command itself."""

import json
from pathlib import Path

import pytest

from consumer.store.migrate import migrations
from tests.cli.conftest import Cli
from tests.support.forest import Forest


async def test_migrate_applies_once(cli: Cli, platform_database_url: str) -> None:
    """Migrating twice is harmless, and says so."""
    first = await cli("migrate", "--database-url", platform_database_url)
    second = await cli("migrate", "--database-url", platform_database_url)
    applied = "".join(f"applied {migration.name}\n" for migration in migrations())
    assert (first.code, first.out) == (0, applied)
    assert (second.code, second.out) == (0, "nothing to apply: the database is up to date\n")


async def test_migrate_needs_the_platforms_table(cli: Cli, empty_database_url: str) -> None:
    """Migrating somebody else's database is refused."""
    ran = await cli("migrate", "--database-url", empty_database_url)
    assert ran.code == 1
    assert "LIFECYCLE_DATABASE_URL" in ran.err


async def test_tree_shows_the_forest_or_a_subtree(cli: Cli, forest: Forest) -> None:
    """Every workspace with its status; ids whole, and no colours where nobody looks."""
    await forest.plant("one", "one/child:paused", "two")
    whole, part = await cli("tree"), await cli("tree", forest.ids["child"])
    assert f"└── child  paused  {forest.ids['child']}" in whole.out
    assert "two" in whole.out
    assert part.out == f"child  paused  {forest.ids['child']}\n"
    assert "\x1b" not in whole.out


async def test_trees_stand_in_the_order_of_their_names(cli: Cli, forest: Forest) -> None:
    """Each with all that is below it, whichever was made first."""
    await forest.plant("d", "d/x", "b", "c", "a", "a/y", "e")
    nodes = json.loads((await cli("tree", "--json")).out)
    assert [one["name"] for one in nodes] == ["a", "y", "b", "c", "d", "x", "e"]


async def test_tree_as_json(cli: Cli, forest: Forest) -> None:
    """One array, parents before children."""
    await forest.plant("one", "one/child")
    found = json.loads((await cli("tree", "--json")).out)
    assert [(node["name"], node["depth"]) for node in found] == [("one", 0), ("child", 1)]


@pytest.mark.parametrize("verb", ["tree", "operations"])
async def test_nothing_to_show_is_said(cli: Cli, verb: str) -> None:
    """To whoever looks; what is piped stays empty, and JSON an empty array."""
    ran, as_json = await cli(verb), await cli(verb, "--json")
    assert (ran.code, ran.out, ran.err.split()[0]) == (0, "", "no")
    assert (as_json.out, as_json.err) == ("[]\n", "")


async def test_tree_of_nobody(cli: Cli) -> None:
    """An unknown id is an error that names it, with the exit code that pause would have."""
    ran = await cli("tree", "00000000-0000-4000-8000-000000000000")
    assert ran.code == 4
    assert "00000000-0000-4000-8000-000000000000" in ran.err


async def test_the_wrong_database_is_named(cli: Cli, empty_database_url: str) -> None:
    """Where it is, what it lacks and where to look, in a line."""
    ran = await cli("tree", "--database-url", empty_database_url)
    (line,) = ran.err.splitlines()
    assert ran.code == 1
    assert empty_database_url.rpartition("@")[2] in line
    assert 'relation "workspaces" does not exist' in line
    assert "doctor" in line


async def test_a_database_that_does_not_answer_is_named_and_no_password(cli: Cli) -> None:
    """Host, port and name are what somebody has to look at."""
    ran = await cli("tree", "--database-url", "postgresql://me:secret@127.0.0.1:1/platform")
    assert ran.code == 1
    assert "the database at 127.0.0.1:1/platform is not available" in ran.err
    assert "secret" not in ran.err


async def test_schemas_writes_and_finds_stale_files(cli: Cli, tmp_path: Path) -> None:
    """What was written is not stale; what was changed is, by name."""
    assert (await cli("schemas", "--out", tmp_path)).code == 0
    assert (await cli("schemas", "--out", tmp_path, "--check")).code == 0
    (tmp_path / "asyncapi.json").write_text("{}")
    ran = await cli("schemas", "--out", tmp_path, "--check")
    assert (ran.code, ran.out) == (1, "stale: asyncapi.json\n")


@pytest.mark.parametrize("words", [("replay", "--into"), ("schemas", "--out")])
async def test_a_file_that_cannot_be_written_is_named(cli: Cli, words: tuple[str, str]) -> None:
    """In one line, as anything else that is to be expected."""
    ran = await cli(*words, "/proc/none/x")
    assert (ran.code, len(ran.err.splitlines())) == (1, 1)
    assert "/proc/none" in ran.err
    assert "No such file or directory" in ran.err


async def test_a_verb_that_is_misspelt_is_guessed(cli: Cli) -> None:
    """Only said, never done; what is like nothing is not guessed at."""
    near, far = await cli("puase", "x"), await cli("nonsense")
    assert (near.code, "Did you mean 'pause'?" in near.err) == (2, True)
    assert (far.code, "Did you mean" in far.err) == (2, False)


async def test_help_lists_the_verbs(cli: Cli) -> None:
    """Each verb says in a line what it does."""
    ran = await cli("--help")
    for verb in (
        "completion",
        "demo",
        "doctor",
        "migrate",
        "pause",
        "resume",
        "run",
        "schemas",
        "tree",
    ):
        assert f"\n  {verb} " in ran.out
