"""`doctor`: whether everything the program needs is there and allows what it has to do."""

import json
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict

import click
from rich.console import Console
from rich.markup import escape

from consumer.cli import environment
from consumer.cli.paper import paper
from consumer.doctor import archive, broker, database, executor, names, triggers
from consumer.doctor.finding import Finding
from consumer.settings import Settings

_COLOURS = {"ok": "green", "note": "yellow", "wrong": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array of findings.")
def doctor(as_json: bool) -> None:
    """Look at settings, broker, database, clock, AWS, archive and triggers, as `run` has them.

    Changes nothing; stops and starts are tried as EC2 dry runs. Each thing that is wrong is said
    with what mends it. Exit code 1 where something is.
    """
    settings = environment.settings()
    findings = environment.run(_all(settings, paper(quiet=as_json)))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings]))
    sys.exit(any(finding.state == "wrong" for finding in findings))


async def _all(settings: Settings, out: Console) -> list[Finding]:
    findings = []
    async for finding in _findings(settings):
        _show(out, finding)
        findings.append(finding)
    return findings


def _show(out: Console, finding: Finding) -> None:
    colour = _COLOURS[finding.state]
    mend = f": {finding.mend}" if finding.mend else ""
    out.print(
        f"[{colour}]{finding.state:5}[/]  {finding.part:8}  {escape(finding.said)}{escape(mend)}"
    )


async def _findings(settings: Settings) -> AsyncIterator[Finding]:
    for finding in names.look():
        yield finding
    async for finding in broker.look(settings):
        yield finding
    async for finding in database.look(settings):
        yield finding
    async for finding in executor.look(settings, await database.an_instance(settings)):
        yield finding
    yield await archive.look(settings)
    async for finding in triggers.look(settings):
        yield finding
