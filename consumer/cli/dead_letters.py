"""`dead-letters`: what could not be handled, why, and sending it back or away."""

import base64
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import click

from consumer.broker.dead import Letter, dead_queue, dead_queues
from consumer.cli import environment
from consumer.cli.outcome import counted
from consumer.dead_letters import Meant, discarded, found, requeued
from schemas.catalog import TRIGGERS_QUEUE
from schemas.strict import rfc3339
from schemas.topology import WORK_QUEUES, dead

_SHORT = {queue.removeprefix("lifecycle."): dead(queue) for queue in (*WORK_QUEUES, TRIGGERS_QUEUE)}
_NOBODY = 4
_F = TypeVar("_F", bound=Callable[..., Any])


@click.group("dead-letters")
def dead_letters() -> None:
    """Look at what could not be handled; send it back, or away."""


def _which(command: _F) -> _F:
    """Add the options that say which letters are meant."""
    for option in reversed(
        (
            click.option(
                "--queue", "queues", type=click.Choice(list(_SHORT)), multiple=True,
                help="Only what came from this queue; may be repeated.",
            ),
            click.option("--id", "message_id", help="Only this message id."),
            click.option("--type", "kind", help="Only this message type."),
            click.option("--app", "app_id", help="Only from this sender."),
            click.option("--reason", help="Only where the reason holds this text."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


@dead_letters.command("list")
@_which
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def list_letters(*, as_json: bool, **which: Any) -> None:
    """List dead letters, the oldest first; nothing is changed."""
    letters = environment.run(_found(**which))
    if as_json:
        click.echo(json.dumps([_shown(letter) for letter in letters]))
        return
    for letter in letters:
        click.echo(_line(letter))
    click.echo(counted(len(letters), "dead letter"), err=True)


@dead_letters.command()
@click.argument("message_id")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def show(message_id: str, *, as_json: bool) -> None:
    """Show all of the dead letters with MESSAGE_ID (exit code 4: there is none)."""
    letters = environment.run(
        _found(queues=(), message_id=message_id, kind=None, app_id=None, reason=None)
    )
    if as_json:
        click.echo(json.dumps([_shown(letter) for letter in letters]))
    else:
        for letter in letters:
            click.echo(json.dumps(_shown(letter), indent=2))
    if not letters:
        click.echo(f"workspace-lifecycle: no dead letter has the id {message_id}", err=True)
        sys.exit(_NOBODY)


@dead_letters.command()
@_which
@click.option("--all", "every", is_flag=True, help="All of them, where nothing else says which.")
@click.option("--vouch", is_flag=True, help="Send what others sent under your own user_id.")
@click.option("--dry-run", is_flag=True, help="Only say what would be sent.")
def requeue(*, every: bool, vouch: bool, dry_run: bool, **which: Any) -> None:
    """Send dead letters to the exchange they came from, with the key they had.

    Exit code 1 where one stays because nobody takes it there.
    """
    _sure(which, every=every)
    move = partial(requeued, vouch=vouch)
    sys.exit(environment.run(_moved("requeued", move, dry_run=dry_run, **which)))


@dead_letters.command()
@_which
@click.option("--all", "every", is_flag=True, help="All of them, where nothing else says which.")
@click.option("--dry-run", is_flag=True, help="Only say what would be discarded.")
def discard(*, every: bool, dry_run: bool, **which: Any) -> None:
    """Take dead letters out for good; the audit trail still has the messages."""
    _sure(which, every=every)
    sys.exit(environment.run(_moved("discarded", discarded, dry_run=dry_run, **which)))


def _sure(which: dict[str, Any], *, every: bool) -> None:
    if not every and not any(which.values()):
        raise click.UsageError("say which (--id, --type, --app, --reason, --queue), or --all")


def _meant(
    message_id: str | None, kind: str | None, app_id: str | None, reason: str | None
) -> Meant:
    return Meant(message_id=message_id, type=kind, app_id=app_id, reason=reason)


async def _names(url: str, queues: Sequence[str]) -> list[str]:
    """Name the queues that are meant; that of triggers is not on every broker."""
    if queues:
        return [_SHORT[short] for short in _SHORT if short in queues]
    return await dead_queues(url)


async def _found(*, queues: Sequence[str], **which: str | None) -> list[Letter]:
    url = environment.url(None, "LIFECYCLE_AMQP_URL")
    letters: list[Letter] = []
    for name in await _names(url, queues):
        async with dead_queue(url, name) as queue:
            letters += [letter async for letter in found(queue, _meant(**which))]
    return letters


async def _moved(
    word: str, move: Any, *, dry_run: bool, queues: Sequence[str], **which: str | None
) -> int:
    """Move what is meant, and say so of each; give the exit code."""
    url = environment.url(None, "LIFECYCLE_AMQP_URL")
    count = kept = 0
    for name in await _names(url, queues):
        async with dead_queue(url, name) as queue:
            if dry_run:
                async for letter in found(queue, _meant(**which)):
                    click.echo(f"would be {word}  {_line(letter)}")
                    count += 1
                continue
            async for letter, why in move(queue, _meant(**which)):
                click.echo(f"{word if why is None else f'kept ({why})'}  {_line(letter)}")
                count, kept = count + (why is None), kept + (why is not None)
    click.echo(f"{count} {'would be ' if dry_run else ''}{word}, {kept} kept", err=True)
    return 1 if kept else 0


def _line(letter: Letter) -> str:
    message = letter.message
    who = message.app_id or "anonymous"
    parts = (message.queue, message.message_id or "no id", message.type or message.routing_key, who)
    return _plain("  ".join((*parts, letter.why)))


def _plain(text: str) -> str:
    """Write what somebody else chose so that it cannot end a line or steer a terminal."""
    return "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text)


def _shown(letter: Letter) -> dict[str, Any]:
    message = letter.message
    try:
        body = {"body": message.body.decode()}
    except UnicodeDecodeError:
        body = {"body_base64": base64.b64encode(message.body).decode()}
    return {
        "queue": message.queue,
        "message_id": message.message_id,
        "type": message.type,
        "app_id": message.app_id,
        "user_id": letter.sender,
        "why": letter.why,
        "parked_at": letter.parked_at,
        "exchange": message.exchange,
        "routing_key": message.routing_key,
        "sent_at": message.timestamp and rfc3339(message.timestamp),
        "headers": {name: str(value) for name, value in message.headers.items()},
        **body,
    }
