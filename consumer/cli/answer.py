"""How the answer to a command is shown: what was or would be changed, or why not and what next."""

from typing import Any

import click
from rich.console import Console

from consumer.cli.outcome import said
from consumer.cli.tree import show_below
from schemas.commands import PauseWorkspace
from schemas.events import Rejected
from schemas.problems import Code


def show_answer(out: Console, event: Any, command: PauseWorkspace) -> None:
    """Show a rejection with its list, or what was or would be changed."""
    would = " (dry run: nothing changed)" if command.dry_run else ""
    if isinstance(event, Rejected):
        line = f"[red]{event.status} {event.code.value}[/]{would}  {said(event.detail)}"
        out.print(line, emoji=False)
        show_below(out, event.descendants)
        if event.descendants_truncated:
            out.print(f"  ... {event.descendant_count} in all")
        return
    verb = "resumed" if event.action == "resume" else "paused"
    verb = f"would be {verb}" if command.dry_run else verb
    out.print(
        f"[green]{event.status}[/]{would}  {event.count} {verb}, operation {event.operation_id}"
    )
    for one in event.workspaces:
        out.print(f"  {said(one.name)}  was {said(one.previous_status)}", emoji=False)
    if event.deprecated:
        out.print("[yellow]deprecated:[/] the cascade was implicit. Say --cascade.")


def agreed(event: Rejected) -> bool:
    """Ask whether what is below is meant too, where that is all that was wrong; no is the default.

    What is agreed to is what was shown: the next command carries its etag.
    """
    if event.code is not Code.DESCENDANTS_EXIST:
        return False
    count = event.descendant_count
    these = "this one" if count == 1 else f"these {count}"
    return click.confirm(f"{event.action.capitalize()} {these} too?", default=False)


def what_next(out: Console, event: Rejected) -> None:
    """Tell what to type, with exactly the set that was shown."""
    if event.descendant_count and event.tree_etag and event.code is not Code.ANCESTOR_PAUSED:
        out.print(
            f"To {event.action} these too:\n  workspace-lifecycle {event.action} "
            f"{event.workspace_id} --cascade --if-match {event.tree_etag}",
            soft_wrap=True,
        )
