"""`pause` and `resume`: through the broker, as any caller would."""

import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import click
from rich.console import Console

from consumer.cli import environment
from consumer.cli.outcome import (
    NO_ANSWER,
    SOURCE,
    VERBS,
    progress_bar,
    said,
    settled_code,
    show_settled,
    status_code,
)
from consumer.cli.paper import paper
from consumer.cli.tree import show_below
from consumer.client import LifecycleClient, Watch, event_of
from consumer.message import UnavailableError
from schemas.commands import PauseWorkspace, ResumeWorkspace
from schemas.events import Rejected, Settled, Summary

_GOES_ON = "the operation goes on: workspace-lifecycle watch"
_Command = Callable[..., Any]


def _options(command: _Command) -> _Command:
    """Add the options that pause and resume share."""
    for option in reversed(
        (
            click.argument("workspace_id", type=click.UUID),
            click.option(
                "--cascade/--no-cascade", default=None, help="Include, or never, what is below it."
            ),
            click.option("--dry-run", is_flag=True, help="Decide and report, change nothing."),
            click.option("--if-match", metavar="ETAG", help="Only where the tree is still that."),
            click.option("--max-affected", type=click.IntRange(1), help="Your own cap."),
            click.option("--reason", help="For the audit trail, at most 1000 characters."),
            click.option("--requested-by", help="For the audit trail, at most 200 characters."),
            click.option("--wait", is_flag=True, help="Wait until every machine has an outcome."),
            click.option(
                "--timeout", default=30.0, show_default=True, help="Seconds to wait for the answer."
            ),
            click.option("--message-id", help="Send again under an earlier id."),
            click.option("--amqp-url", help="RabbitMQ; LIFECYCLE_AMQP_URL by default."),
            click.option("--json", "as_json", is_flag=True, help="The event's data, as JSON."),
        )
    ):
        command = option(command)
    return command


@click.command()
@_options
def pause(**options: Any) -> None:
    """Pause WORKSPACE_ID; with --cascade what is below it too.

    Exit codes: 9 refused (409), 12 refused (412), 4 no such workspace, 3 forbidden, 2 malformed,
    5 a machine failed or timed out (with --wait), 6 no answer, 1 anything else.
    """
    sys.exit(environment.run(_send("workspace.pause", PauseWorkspace, options)))


@click.command()
@_options
@click.option("--undo", type=click.UUID, help="An earlier pause's operation: put it back.")
def resume(**options: Any) -> None:
    """Resume WORKSPACE_ID; with --cascade what is below it too. Exit codes as of pause."""
    sys.exit(environment.run(_send("workspace.resume", ResumeWorkspace, options)))


async def _send(kind: str, model: type[PauseWorkspace], options: dict[str, Any]) -> int:
    """Send the command, show the answer, wait if asked; give the exit code."""
    members = {name: options[name] for name in model.model_fields if options.get(name) is not None}
    command = _valid(model, members)
    url = environment.url(options["amqp_url"], "LIFECYCLE_AMQP_URL")
    out = paper(quiet=options["as_json"])
    async with AsyncExitStack() as rooms:
        client = await rooms.enter_async_context(LifecycleClient(url, source=SOURCE))
        watch = await rooms.enter_async_context(client.watching()) if options["wait"] else None
        try:
            answer = await client.ask(kind, command, options["message_id"], options["timeout"])
        except TimeoutError as error:
            click.echo(f"workspace-lifecycle: {error}", err=True)
            return NO_ANSWER
        event = event_of(answer)
        show_answer(out, event, command)
        if watch is not None and type(event) is Summary:
            event = await _settled(out, watch, event)
        if options["as_json"]:
            click.echo(event.model_dump_json())
    return settled_code(event) if isinstance(event, Settled) else status_code(event.status)


def _valid(model: type[PauseWorkspace], members: dict[str, Any]) -> PauseWorkspace:
    try:
        return model(**members)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def show_answer(out: Console, event: Any, command: PauseWorkspace) -> None:
    """Show a rejection with its list and what to type next, or what was or would be changed."""
    would = " (dry run: nothing changed)" if command.dry_run else ""
    if isinstance(event, Rejected):
        line = f"[red]{event.status} {event.code.value}[/]{would}  {said(event.detail)}"
        out.print(line, emoji=False)
        show_below(out, event.descendants)
        _what_next(out, event)
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


def _what_next(out: Console, event: Rejected) -> None:
    """Tell what to type, with exactly the set that was shown."""
    if event.descendants_truncated:
        out.print(f"  ... {event.descendant_count} in all")
    if event.descendant_count and event.tree_etag and event.code.value != "ancestor_paused":
        out.print(
            f"To {event.action} these too:\n  workspace-lifecycle {event.action} "
            f"{event.workspace_id} --cascade --if-match {event.tree_etag}",
            soft_wrap=True,
        )


async def _settled(out: Console, watch: Watch, summary: Summary) -> Settled:
    """Show each outcome as it comes."""
    with progress_bar(out) as progress:
        bar = progress.add_task(VERBS[summary.action], total=summary.count)
        try:
            settled = await watch.settled(summary.operation_id, lambda _: progress.advance(bar))
        except UnavailableError as error:
            raise UnavailableError(f"{error}; {_GOES_ON} {summary.operation_id}") from error
        progress.update(bar, completed=settled.target_count)
    show_settled(out, settled, settled.failures)
    return settled
