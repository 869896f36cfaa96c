"""`pause` and `resume`: through the broker, as any caller would."""

import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import click
from rich.console import Console

from consumer.cli import environment
from consumer.cli.answer import agreed, show_answer, what_next
from consumer.cli.outcome import (
    NO_ANSWER,
    SOURCE,
    VERBS,
    progress_bar,
    settled_code,
    show_settled,
    status_code,
)
from consumer.cli.paper import paper
from consumer.cli.workspace import WORKSPACE
from consumer.client import LifecycleClient, Watch, event_of
from consumer.message import UnavailableError
from schemas.commands import PauseWorkspace, ResumeWorkspace
from schemas.events import Rejected, Settled, Summary

_AGAIN = (
    ": the same line with --message-id {}. `workspace-lifecycle doctor` says whether anybody "
    "carries commands out"
)
_GOES_ON = "the operation goes on: workspace-lifecycle watch"
_Command = Callable[..., Any]


def _options(command: _Command) -> _Command:
    """Add the options that pause and resume share."""
    for option in reversed(
        (
            click.argument("workspace_id", type=WORKSPACE),
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
    sys.exit(_asked("workspace.pause", PauseWorkspace, options))


@click.command()
@_options
@click.option("--undo", type=click.UUID, help="An earlier pause's operation: put it back.")
def resume(**options: Any) -> None:
    """Resume WORKSPACE_ID; with --cascade what is below it too. Exit codes as of pause."""
    sys.exit(_asked("workspace.resume", ResumeWorkspace, options))


def _asked(kind: str, model: type[PauseWorkspace], options: dict[str, Any]) -> int:
    """Send the command; at a terminal, offer what was refused for want of a flag. Give the code."""
    code, refused = environment.run(_send(kind, model, options))
    if refused is None:
        return code
    if not (_offers(options) and agreed(refused)):
        what_next(paper(quiet=options["as_json"]), refused)
        return code
    taken = {"cascade": True, "if_match": refused.tree_etag, "message_id": None}
    code, refused = environment.run(_send(kind, model, options | taken))
    if refused is not None:
        what_next(paper(), refused)
    return code


def _offers(options: dict[str, Any]) -> bool:
    """Tell whether somebody is there to be asked, and left it open."""
    talks = sys.stdin.isatty() and sys.stdout.isatty()
    return talks and not options["as_json"] and options["cascade"] is None


async def _send(
    kind: str, model: type[PauseWorkspace], options: dict[str, Any]
) -> tuple[int, Rejected | None]:
    """Send the command, show the answer, wait if asked; give the exit code, and a rejection."""
    members = {name: options[name] for name in model.model_fields if options.get(name) is not None}
    command = _valid(model, members)
    url = environment.url(options["amqp_url"], "LIFECYCLE_AMQP_URL")
    out = paper(quiet=options["as_json"])
    identity = options["message_id"] or str(uuid4())
    async with AsyncExitStack() as rooms:
        client = await rooms.enter_async_context(LifecycleClient(url, source=SOURCE))
        watch = await rooms.enter_async_context(client.watching()) if options["wait"] else None
        try:
            answer = await client.ask(kind, command, identity, options["timeout"])
        except TimeoutError as error:
            click.echo(f"workspace-lifecycle: {error}{_AGAIN.format(identity)}", err=True)
            return NO_ANSWER, None
        event = event_of(answer)
        show_answer(out, event, command)
        if watch is not None and type(event) is Summary:
            event = await _settled(out, watch, event)
        if options["as_json"]:
            click.echo(event.model_dump_json())
    if isinstance(event, Settled):
        return settled_code(event), None
    return status_code(event.status), event if isinstance(event, Rejected) else None


def _valid(model: type[PauseWorkspace], members: dict[str, Any]) -> PauseWorkspace:
    try:
        return model(**members)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


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
