"""Every ```sh block of README and docs: typed into a shell here, run by another test, or parsed.

Which of these is in one table below; a block that is not in it fails. Where a block of text follows
one that is typed, that is its output, but for ids and times.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import click
import pytest
import yaml

from consumer.cli.demo import LEGACY
from consumer.cli.main import cli
from consumer.client import LifecycleClient
from consumer.devstack.platform import Fleet, found_company
from consumer.settings import CREDENTIALS, Settings
from tests.cli.test_dead_letters import die
from tests.support.caller import WireCaller
from tests.support.documented import block as block_of
from tests.support.program import running
from tests.support.shell import shell

ROOT = Path(__file__).parents[2]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")))
}
BLOCK = re.compile(
    r"^ *```sh\n(.*?)^ *```\n(?:\n *```text\n(.*?)^ *```\n)?", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Typed:
    """Typed into a shell, in the order of the page, with the program running.

    Attributes:
        codes: the exit codes other than 0 that it has to give, in their order.
        needs: programs of others: where one is not installed, the block is parsed alone.

    """

    codes: tuple[int, ...] = ()
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class By:
    """Run by another test."""

    test: str


@dataclass(frozen=True)
class Parsed:
    """Not run, for a reason: it is long, installs, needs Docker, or never ends.

    Its make targets, verbs with their arguments, variables, and services have to exist.
    """

    why: str


Way = Typed | By | Parsed
DEMO = Parsed("tests/cli/test_demo.py plays it, on servers that are there")
PROGRAM = "workspace-lifecycle"
TUTORIAL, HOW_TO = "docs/tutorial.md", "docs/how-to.md"
WAYS: Mapping[tuple[str, str], Way] = {
    ("README.md", "make demo"): DEMO,
    ("README.md", f"{PROGRAM} pause"): Typed(),
    ("README.md", f"{PROGRAM} migrate"): Typed(),
    ("docs/audit.md", "aws s3"): Parsed("needs the AWS command line"),
    ("docs/audit.md", f"{PROGRAM} replay"): Typed(needs=("jq",)),
    ("docs/bench.md", "make bench"): Parsed("takes half an hour"),
    ("docs/console.md", f"{PROGRAM} console"): By("tests/console/test_verb.py"),
    ("docs/console.md", f"{PROGRAM} operations"): Typed(),
    ("docs/deploy.md", "/usr/bin/python3 -m venv"): Parsed("changes the machine"),
    ("docs/deploy.md", f"{PROGRAM} declare"): Typed(),
    (HOW_TO, f"{PROGRAM} tree"): Typed(),
    (HOW_TO, "WORKSPACE="): Typed(codes=(9,)),
    (HOW_TO, f"{PROGRAM} operations --limit 1000"): Typed(needs=("jq",)),
    (HOW_TO, "LIFECYCLE_IMPLICIT_CASCADE="): Typed(),
    (HOW_TO, f"{PROGRAM} dead-letters"): Typed(),
    (HOW_TO, f"{PROGRAM} operations --workspace"): Typed(),
    (HOW_TO, f"{PROGRAM} replay --from 2026-05-28T14:00Z --to"): Typed(needs=("jq",)),
    (HOW_TO, f"{PROGRAM} doctor"): Typed(),
    (HOW_TO, f"{PROGRAM} declare"): Typed(),
    (HOW_TO, f"{PROGRAM} replay --from 2026-05-28T14:00Z --type"): By("tests/cli/test_how_to.py"),
    (HOW_TO, f"{PROGRAM} replay --verify"): Typed(needs=("jq",)),
    ("docs/metrics.md", "docker compose"): Parsed("needs Docker"),
    ("docs/recipes.md", "LIFECYCLE_AMQP_URL="): By("tests/house/test_recipes.py"),
    ("docs/recipes.md", "rabbitmqadmin publish"): By("tests/house/test_recipes.py"),
    ("docs/reliability.md", "make faults"): Parsed("takes minutes"),
    ("docs/reliability.md", "HYPOTHESIS_EXAMPLES="): Parsed("takes minutes"),
    ("docs/reliability.md", f"{PROGRAM} dead-letters"): Typed(),
    ("docs/security.md", "rabbitmqctl"): By("tests/contract/test_permissions.py"),
    ("docs/security.md", "make lock"): Parsed("asks package registries"),
    ("docs/triggers.md", f"{PROGRAM} triggers"): Typed(),
    (TUTORIAL, "make demo"): DEMO,
    (TUTORIAL, "MANAGER="): Typed(),
    (TUTORIAL, f'{PROGRAM} resume "$MANAGER" --cascade'): Typed(),
    (TUTORIAL, f'{PROGRAM} pause "$MANAGER" --reason'): Typed(codes=(9,)),
    (TUTORIAL, f'{PROGRAM} pause "$MANAGER" --cascade --dry-run'): Typed(),
    (TUTORIAL, f'{PROGRAM} pause "$MANAGER" --cascade --max-affected 4'): Typed(codes=(9,)),
    (TUTORIAL, f'{PROGRAM} pause "$MANAGER" --cascade --max-affected 5'): Typed(),
    (TUTORIAL, "PAUSE="): Typed(),
    (TUTORIAL, f"{PROGRAM} operations"): Typed(),
    (TUTORIAL, f'{PROGRAM} resume "$MANAGER" --undo'): Typed(),
    (TUTORIAL, f"{PROGRAM} replay"): Typed(),
    (TUTORIAL, f"{PROGRAM} tree"): Typed(),
}
"""Each block by its page and how its first command begins."""
WORKSPACE = "9a591777-7480-40d4-85d2-2bf7f3a1a5b5"
OPERATION = "c69c4ad1-51fc-4506-8dd2-8562bfc9c6ef"
LETTER = "4f7c1f0e-6d8e-4d0a-9c51-7f1f6c7c9b7a"
"""What stands in the docs for a workspace with four below it, its last pause, and a dead letter."""
EVENT = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/billing",
    "type": "exceeded",
    "data": {"workspace_id": WORKSPACE, "level": "hard"},
}
"""The event.json of the docs."""


@dataclass(frozen=True)
class Block:
    """A block, its entries of the table, and what it says, where the page tells."""

    page: str
    text: str
    told: str

    @property
    def begins(self) -> list[tuple[str, str]]:
        """The entries that speak of it."""
        line = next(line for line in self.text.splitlines() if not line.startswith("#"))
        return [key for key in WAYS if key[0] == self.page and line.startswith(key[1])]

    @property
    def way(self) -> Way:
        """What is done with it."""
        (key,) = self.begins
        return WAYS[key]


BLOCKS = [
    Block(page, textwrap.dedent(written), textwrap.dedent(told))
    for page, text in PAGES.items()
    for written, told in BLOCK.findall(text)
]


def lines_of(text: str) -> Iterator[list[str]]:
    """Give the words of each command."""
    for line in text.replace("\\\n", "").splitlines():
        if words := shlex.split(line, comments=True):
            yield words


def test_every_block_is_in_the_table_and_nothing_else() -> None:
    """A new block needs an entry, one that is gone takes it along, and each has one."""
    assert [block for block in BLOCKS if len(block.begins) != 1] == []
    assert {key for block in BLOCKS for key in block.begins} == set(WAYS)
    assert all("```sh" not in BLOCK.sub("", text) for text in PAGES.values())


@pytest.mark.parametrize("way", [*WAYS.values()], ids=lambda way: type(way).__name__)
def test_what_another_test_runs_is_run_by_it(way: Way) -> None:
    """That test is there."""
    if isinstance(way, By):
        assert (ROOT / way.test).exists()
    if isinstance(way, Parsed):
        assert way.why


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.page)
def test_every_word_exists(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bash reads each block; targets, verbs, their arguments, variables and profiles exist."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "event.json").touch()
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True, capture_output=True)
    way = block.way
    if isinstance(way, Typed) and not way.needs:
        return  # shown by typing it
    for words in lines_of(block.text):
        _look_at(words)


def _look_at(words: Sequence[str]) -> None:
    while re.match(r"[A-Z_]+=", words[0]):
        assert _is_read(words[0].partition("=")[0]), words[0]
        words = words[1:]
        if not words:
            return
    match words:
        case ["make", target, *settings]:
            command = ["make", "--dry-run", target]
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
            assert all(_is_read(one.partition("=")[0]) for one in settings)
        case ["workspace-lifecycle", *arguments]:
            _parse(cli, arguments[: arguments.index("|")] if "|" in arguments else arguments)
        case ["docker", "compose", *arguments]:
            _composed(arguments)
        case _:
            pass


def _is_read(variable: str) -> bool:
    """Tell whether the program, the Makefile or the tests read a variable of the environment."""
    if variable.startswith("LIFECYCLE_"):
        name = variable.removeprefix("LIFECYCLE_").lower().removesuffix("_file")
        return name in Settings.model_fields or name in CREDENTIALS
    files = (ROOT / "Makefile", *ROOT.glob("tests/**/*.py"))
    return any(variable in path.read_text() for path in files if path != Path(__file__))


def _parse(command: click.Command, arguments: Sequence[str]) -> None:
    """Have click read the arguments as it would; nothing is run."""
    context = command.make_context(command.name, [*arguments])
    if isinstance(command, click.Group):
        name, inner, rest = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        assert name is not None
        assert inner is not None
        _parse(inner, rest)


def _composed(arguments: Sequence[str]) -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    profiles = {profile for one in services.values() for profile in one.get("profiles", ())}
    for flag, value in pairwise(arguments):
        assert flag != "--profile" or value in profiles


@asynccontextmanager
async def town(settings: Settings, caller: WireCaller) -> AsyncIterator[dict[str, str]]:
    """Run the program with the incident's five workspaces, paused by a caller of the old kind.

    Gives what is to be put for the ids of the docs.
    """
    url = settings.database_url.get_secret_value()
    top = await found_company(url, Fleet().launch(5))
    await die(caller, LETTER, app_id="billing")
    await caller.channel.declare_queue("review", durable=True)
    for name in ("analysis", "billing"):
        await caller.channel.declare_exchange(name, "topic", durable=True)
    async with (
        running(settings),
        LifecycleClient(settings.amqp_url.get_secret_value(), source=LEGACY) as client,
    ):
        summary = await client.pause(top)
        await client.wait_settled(summary.operation_id, timeout=30)
        yield {WORKSPACE: str(top), OPERATION: str(summary.operation_id)}


@pytest.mark.parametrize("tutorial", [True, False], ids=["tutorial", "others"])
async def test_what_is_typed_does_and_says_what_the_page_tells(
    tutorial: bool,
    aws: object,
    settings_of: Callable[..., Settings],
    caller: WireCaller,
    tmp_path: Path,
) -> None:
    """From top to bottom, in one shell, each page in a folder of its own."""
    assert aws
    typed = [
        (one, one.way)
        for one in BLOCKS
        if (one.page == TUTORIAL) == tutorial
        and isinstance(one.way, Typed)
        and all(map(shutil.which, one.way.needs))
    ]
    settings = settings_of(executor="ec2", implicit_cascade_apps=(LEGACY,))
    folders = {one.page: tmp_path / one.page.replace("/", "-") for one, _ in typed}
    for folder in folders.values():
        folder.mkdir()
        (folder / "event.json").write_text(json.dumps(EVENT))
    (tmp_path / "triggers.toml").write_text(block_of("toml", "[[trigger]]", "triggers.md"))
    with shell(tmp_path, _variables(tmp_path, settings)) as bash:
        async with town(settings, caller) as ids:
            went = [f"cd {folders[one.page]}\n{_put(one.text, ids)}" for one, _ in typed]
            came = await bash.type(went)
    for (one, way), said in zip(typed, came, strict=True):
        assert said.codes == way.codes, f"{one.text}\n{said.said}"
        if one.told:
            assert masked(said.said) == masked(one.told), said.said


def _put(text: str, ids: Mapping[str, str]) -> str:
    for written, real in ids.items():
        text = text.replace(written, real)
    return text


def _variables(home: Path, settings: Settings) -> dict[str, str]:
    """Give the environment that the docs take for granted."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LIFECYCLE_")}
    return kept | {
        "LIFECYCLE_AMQP_URL": settings.amqp_url.get_secret_value(),
        "LIFECYCLE_DATABASE_URL": settings.database_url.get_secret_value(),
        "LIFECYCLE_TRIGGERS_FILE": str(home / "triggers.toml"),
    }


def masked(text: str) -> list[str]:
    """Give the lines without what differs from run to run: ids, times, and their order."""
    for pattern, word in (
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID"),
        (r"\b[0-9a-f]{64}\b", "ETAG"),
        (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\dZ?", "TIME"),
        (r"\b\d+\.\d s\b", "SECONDS"),
        (r"━+ (\d+/\d+) \d:\d\d:\d\d", r"\1"),
        (r"\bgeneration \d+", "generation N"),
        (r"\bi-[0-9a-f]{17}\b", "INSTANCE"),
    ):
        text = re.sub(pattern, word, text)
    return sorted(line.strip() for line in text.splitlines())
