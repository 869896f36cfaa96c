"""`replay --verify`: what the trail and the database do not agree on."""

import json
from dataclasses import asdict

import click
from rich.console import Console

from consumer import app
from consumer.audit.trail import Source
from consumer.audit.verify import Verdict, Verifier
from consumer.cli.outcome import said
from consumer.cli.paper import paper
from consumer.settings import Settings
from consumer.store.migrate import check
from consumer.store.pool import Database, opened

FOUND = 6
"""The exit code for a trail in which something was found."""
_SHOWN = 50


async def verified(settings: Settings, source: Source, *, as_json: bool) -> int:
    """Verify the trail, show what was found, and give the exit code."""
    async with opened(settings.database_url.get_secret_value(), 2) as database:
        verdict = await verdict_of(settings, database, source)
    if as_json:
        click.echo(json.dumps(asdict(verdict), default=str))
    else:
        _show(paper(), verdict)
    return FOUND if verdict.findings else 0


async def verdict_of(settings: Settings, database: Database, source: Source) -> Verdict:
    """Verify the trail, with a line on standard error where somebody waits for it."""
    async with database.connection() as connection:
        await check(connection)
    bucket = None if source == "stream" else app.bucket_of(settings)
    verifier = Verifier(database, app.stream_of(settings), bucket, settings.max_body)
    out = Console(stderr=True)
    if not out.is_terminal:
        return await verifier.verify(source, lambda _: None)
    with out.status("reading the trail") as status:
        return await verifier.verify(source, lambda count: status.update(f"{count} messages read"))


def _show(out: Console, verdict: Verdict) -> None:
    for note in verdict.notes:
        out.print(f"note  {said(note)}", emoji=False)
    for kind in dict.fromkeys(one.kind for one in verdict.findings):
        several = [one for one in verdict.findings if one.kind == kind]
        for one in several[:_SHOWN]:
            out.print(f"[red]{kind}[/]  {said(one.text)}", emoji=False)
        if len(several) > _SHOWN:
            out.print(f"... {len(several)} of {kind} in all: --json lists every one")
    count = len(verdict.findings)
    found = f"[red]{count} found[/]" if count else "[green]nothing found[/]"
    out.print(
        f"{verdict.messages} messages, {verdict.operations} operations, {verdict.workspaces} "
        f"workspaces compared: {found}"
    )
    if verdict.repairable():
        out.print("`archive --repair` writes what the database still knows of what is missing")
