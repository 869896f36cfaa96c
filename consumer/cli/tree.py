"""`tree`: the forest, or one subtree, coloured by status."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from uuid import UUID

import click
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from consumer.cli import environment
from consumer.cli.paper import paper
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


@click.command()
@click.argument("workspace_id", type=click.UUID, required=False)
@click.option("--database-url", help="PostgreSQL; LIFECYCLE_DATABASE_URL by default.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, parents before children.")
def tree(workspace_id: UUID | None, database_url: str | None, as_json: bool) -> None:
    """Show the forest, or the subtree of WORKSPACE_ID, with each workspace's status."""
    found = environment.run(
        load(environment.url(database_url, "LIFECYCLE_DATABASE_URL"), workspace_id)
    )
    if workspace_id is not None and not found:
        raise click.ClickException(f"there is no workspace {workspace_id}")
    if as_json:
        click.echo(json.dumps([asdict(node) for node in found], default=str))
        return
    show(paper(), found)
    if len(found) == _MOST:
        click.echo(f"... cut at {_MOST} workspaces: name one to see its subtree", err=True)


async def load(url: str, root: UUID | None) -> list[Node]:
    """Read the forest from the database."""
    async with opened(url, 2) as database, database.connection() as connection:
        return await forest(connection, root, _MOST)


def show(console: Console, nodes: Sequence[Node]) -> None:
    """Draw every tree among `nodes`, which has parents before children."""
    drawn: dict[UUID, Tree] = {}
    for node in nodes:
        above = drawn.get(node.parent_id) if node.parent_id and node.depth else None
        label = describe(node.name, node.status, node.workspace_id, node.active_tasks)
        drawn[node.workspace_id] = above.add(label) if above else Tree(label)
    for node in nodes:
        if node.depth == 0:
            console.print(drawn[node.workspace_id])


def show_below(console: Console, descendants: Sequence[Descendant]) -> None:
    """Draw what a rejection lists, as the trees it forms: parents come before children."""
    drawn: dict[UUID, Tree] = {}
    tops = []
    for one in descendants:
        label = describe(one.name, one.status, one.workspace_id, one.active_tasks)
        above = drawn.get(one.parent_id) if one.parent_id else None
        drawn[one.workspace_id] = above.add(label) if above else Tree(label)
        if above is None:
            tops.append(drawn[one.workspace_id])
    for top in tops:
        console.print(top)


def describe(name: str, status: str, workspace_id: UUID, active_tasks: int | None) -> str:
    """Label one workspace, with rich's markup."""
    colour = COLOURS.get(status, "white")
    busy = f", {active_tasks} active task{'s' if active_tasks > 1 else ''}" if active_tasks else ""
    text = f"{escape(name)}  [{colour}]{escape(status)}[/]{busy}"
    return f"{text}  [bright_black]{workspace_id}[/]"
