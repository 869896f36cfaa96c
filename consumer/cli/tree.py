"""`tree`: the forest, or one subtree, coloured by status."""

import asyncio
import json
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import asdict, dataclass
from typing import NoReturn
from uuid import UUID

import click
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.markup import escape
from rich.tree import Tree

from consumer.cli import environment
from consumer.cli.lazy import INTERRUPTED
from consumer.cli.outcome import UNKNOWN
from consumer.cli.paper import paper
from consumer.cli.workspace import WORKSPACE
from consumer.store.forest import Node, forest
from consumer.store.pool import opened
from schemas.events import Descendant

COLOURS = {
    "online": "green",
    "provisioning": "cyan",
    "degraded": "yellow",
    "paused": "blue",
    "hibernated": "magenta",
    "offline": "bright_black",
    "failed": "red",
    "removed": "bright_black strike",
}
_MOST = 10_000
_LONG = 100_000


@dataclass(frozen=True, slots=True)
class Whole:
    """A tree whose lines are as long as they are: an id that was cut is none, and does not say."""

    tree: Tree

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Leave it to the terminal to go on in the next line."""
        yield from console.render(self.tree, options.update(width=_LONG))


@click.command()
@click.argument("workspace_id", type=WORKSPACE, required=False)
@click.option("--watch", is_flag=True, help="Draw it anew, until Ctrl-C; with --json each change.")
@click.option(
    "--interval", type=click.FloatRange(0.1), default=1.0, show_default=True, help="With --watch."
)
@click.option("--database-url", help="PostgreSQL; LIFECYCLE_DATABASE_URL by default.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, parents before children.")
def tree(
    workspace_id: UUID | None,
    *,
    watch: bool,
    interval: float,
    database_url: str | None,
    as_json: bool,
) -> None:
    """Show the forest, or the subtree of WORKSPACE_ID (exit code 4: there is none)."""
    url = environment.url(database_url, "LIFECYCLE_DATABASE_URL")
    if watch:
        out = paper(quiet=as_json)
        if not (as_json or out.is_terminal):
            raise click.UsageError("--watch draws at a terminal; with --json it writes each change")
        _watched(_follow(url, workspace_id, interval, out))
    found = environment.run(load(url, workspace_id))
    if workspace_id is not None and not found:
        click.echo(f"workspace-lifecycle: there is no workspace {workspace_id}", err=True)
        sys.exit(UNKNOWN)
    if as_json:
        click.echo(_json(found))
        return
    for one in drawn(found):
        paper().print(Whole(one))
    if not found:
        click.echo("no workspaces", err=True)
    if len(found) == _MOST:
        click.echo(f"... cut at {_MOST} workspaces: name one to see its subtree", err=True)


async def load(url: str, root: UUID | None) -> list[Node]:
    """Read the forest from the database."""
    async with opened(url, 2) as database, database.connection() as connection:
        return await forest(connection, root, _MOST)


def _watched(following: Coroutine[object, object, NoReturn]) -> NoReturn:
    try:
        environment.run(following)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


async def _follow(url: str, root: UUID | None, interval: float, out: Console) -> NoReturn:
    """Look again and again: the platform changes statuses without telling anybody."""
    before: list[Node] | None = None
    with Live(console=out, auto_refresh=False) as live:
        async with opened(url, 1) as database:
            while True:
                async with database.connection() as connection:
                    now = await forest(connection, root, _MOST)
                if now != before and not out.quiet:
                    live.update(Group(*drawn(now)), refresh=True)
                elif now != before:
                    click.echo(_json(now))
                before = now
                await asyncio.sleep(interval)


def _json(nodes: Sequence[Node]) -> str:
    return json.dumps([asdict(node) for node in nodes], default=str)


def drawn(nodes: Sequence[Node]) -> list[Tree]:
    """Draw every tree among `nodes`, which has parents before children."""
    found: dict[UUID, Tree] = {}
    for node in nodes:
        above = found.get(node.parent_id) if node.parent_id and node.depth else None
        label = describe(node.name, node.status, node.workspace_id, node.active_tasks)
        found[node.workspace_id] = above.add(label) if above else Tree(label)
    return [found[node.workspace_id] for node in nodes if node.depth == 0]


def show_below(console: Console, descendants: Sequence[Descendant]) -> None:
    """Draw what a rejection lists, as the trees it forms: parents come before children."""
    found: dict[UUID, Tree] = {}
    tops = []
    for one in descendants:
        label = describe(one.name, one.status, one.workspace_id, one.active_tasks)
        above = found.get(one.parent_id) if one.parent_id else None
        found[one.workspace_id] = above.add(label) if above else Tree(label)
        if above is None:
            tops.append(found[one.workspace_id])
    for top in tops:
        console.print(Whole(top))


def describe(name: str, status: str, workspace_id: UUID, active_tasks: int | None) -> str:
    """Label one workspace, with rich's markup."""
    colour = COLOURS.get(status, "white")
    busy = f", {active_tasks} active task{'s' if active_tasks > 1 else ''}" if active_tasks else ""
    text = f"{escape(name)}  [{colour}]{escape(status)}[/]{busy}"
    return f"{text}  [bright_black]{workspace_id}[/]"
