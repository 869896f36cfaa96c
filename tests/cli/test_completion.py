"""What a shell gets when Tab is pressed."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.support.forest import Forest

_ASKED = "_WORKSPACE_LIFECYCLE_COMPLETE"


async def asked(cli: Cli, *words: str, **variables: str | None) -> list[str]:
    """Press Tab behind these words, as bash does; give what it offers."""
    line = " ".join(["workspace-lifecycle", *words])
    wanted = {_ASKED: "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words))}
    ran = await cli(**wanted, **variables)
    assert ran.code == 0, ran.err
    return [one.partition(",")[2] for one in ran.out.split()]


async def test_verbs_and_options_are_completed(cli: Cli) -> None:
    """Out of the program itself: nothing to keep up to date."""
    assert await asked(cli, "pa") == ["pause"]
    assert "--max-affected" in await asked(cli, "pause", "--")


async def test_a_workspace_is_found_by_its_name_or_its_id(cli: Cli, forest: Forest) -> None:
    """Both give the id, which is what a command names."""
    top = await forest.plant("Production Manager", "Production Manager/Agent")
    assert await asked(cli, "pause", "production") == [str(top)]
    assert str(top) in await asked(cli, "tree", str(top)[:8])


async def test_bash_lists_names_and_inserts_ids(
    cli: Cli, forest: Forest, database_url: str, tmp_path: Path
) -> None:
    """After the second Tab it only shows: there each id says whose it is, on a line of its own."""
    await forest.plant("Writer", "Writer* $(id)")
    script = tmp_path / "script"
    script.write_text((await cli("completion", "bash")).out)
    shown = {}
    for kind in (9, 63):
        process = await asyncio.create_subprocess_exec(
            "bash", "--norc", "-c",
            f"source {script}; COMP_WORDS=(workspace-lifecycle pause Wri); COMP_CWORD=2;"
            f"COMP_TYPE={kind}; _workspace_lifecycle_completion workspace-lifecycle;"
            'printf "%s\\n" "${COMPREPLY[@]}"',
            env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                 "LIFECYCLE_DATABASE_URL": database_url},
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        shown[kind] = (await process.communicate())[0].decode().splitlines()
    names = {str(found): name for name, found in forest.ids.items()}
    assert set(shown[9]) == set(names)
    assert set(shown[63]) == {f"{found}  {name} (online)" for found, name in names.items()}


async def test_who_gives_a_name_is_told_where_ids_are(cli: Cli) -> None:
    """No command goes by a name, which may be two workspaces'."""
    ran = await cli("pause", "Writer")
    assert ran.code == 2
    assert "workspace-lifecycle tree" in ran.err


@pytest.mark.parametrize("url", [None, "postgresql://nobody@127.0.0.1:1/none"])
async def test_without_a_database_there_is_nothing_to_offer(cli: Cli, url: str | None) -> None:
    """No traceback in the middle of somebody's line."""
    assert await asked(cli, "pause", "a", LIFECYCLE_DATABASE_URL=url) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_the_script_is_one_the_shell_takes(cli: Cli, tmp_path: Path, shell: str) -> None:
    """It names the program, and where the shell is there, it reads it without complaint."""
    ran = await cli("completion", shell)
    assert (ran.code, "workspace-lifecycle" in ran.out) == (0, True)
    if shutil.which(shell):
        script = tmp_path / "script"
        script.write_text(ran.out)
        process = await asyncio.create_subprocess_exec(shell, "-n", str(script))
        assert await process.wait() == 0
