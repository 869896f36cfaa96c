"""`triggers`: the rules, and what they would make of an event. Nothing is sent."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from consumer.cli import environment
from consumer.message import Inbound, UnreadableError
from consumer.settings import Declared
from consumer.trigger import Trigger, Triggers
from consumer.triggers import Event, command_of, event_of


@click.command()
@click.option(
    "--try",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An event's body: show the commands that it would lead to.",
)
@click.option("--exchange", help="Where it is published; by default where each rule waits.")
@click.option("--routing-key", help="With which key; by default any.")
@click.option("--message-id", help="Its message_id, where it is no CloudEvent.")
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME=VALUE",
    help="Of a CloudEvent in binary mode, as cloudEvents:id=e1; may be repeated.",
)
def triggers(
    path: Path | None,
    exchange: str | None,
    routing_key: str | None,
    message_id: str | None,
    headers: Sequence[str],
) -> None:
    """List the rules of LIFECYCLE_TRIGGERS_FILE, or try them on an event; nothing is sent.

    One JSON object for each command. Exit code 1 where no rule makes one of the event, or one that
    speaks for it cannot.
    """
    rules = environment.read(Declared).triggers_file
    if rules is None:
        raise click.UsageError("LIFECYCLE_TRIGGERS_FILE is not set: no event triggers anything")
    if path is None:
        for rule in rules.trigger:
            click.echo(str(rule))
        return
    sent = Inbound(
        body=path.read_bytes(),
        queue="",
        exchange=exchange or "",
        routing_key=routing_key or "",
        message_id=message_id,
        headers=dict(map(_named, headers)),
    )
    sys.exit(_try(rules, sent))


def _named(header: str) -> tuple[str, str]:
    name, equals, value = header.partition("=")
    if not (name and equals):
        raise click.BadParameter(f"{header!r} is no NAME=VALUE", param_hint="--header")
    return name, value


def _try(rules: Triggers, sent: Inbound) -> int:
    """Show what each rule makes of an event, wherever it was not said to come; give the code."""
    try:
        event = event_of(sent)
    except UnreadableError as error:
        click.echo(f"workspace-lifecycle: {error}", err=True)
        return 1
    meant = [
        rule
        for rule in rules.trigger
        if sent.exchange in {"", rule.exchange}
        and (not sent.routing_key or rule.takes(rule.exchange, sent.routing_key))
        and rule.holds(event.document)
    ]
    shown = [_shown(rule, event) for rule in meant]
    return 0 if shown and all(shown) else 1


def _shown(rule: Trigger, event: Event) -> bool:
    """Show one command; tell whether there is one."""
    try:
        command = command_of(rule, event)
    except UnreadableError as error:
        click.echo(f"workspace-lifecycle: {error}", err=True)
        return False
    told = {"trigger": rule.name, "routing_key": command.routing_key, "app_id": command.app_id}
    click.echo(json.dumps({**told, "command": json.loads(command.body)}))
    return True
