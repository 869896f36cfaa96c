"""`doctor`: whether everything the program needs is there and allows what it has to do."""

import json
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Literal

import click
from rich.console import Console
from rich.markup import escape

from consumer.app import bucket_of, queues_of
from consumer.audit.bucket import Bucket, NoSuchObjectError
from consumer.broker.topology import TopologyError, examine
from consumer.cli import environment
from consumer.cli.paper import paper
from consumer.executor.ec2 import Ec2, Ec2Error
from consumer.message import UnavailableError
from consumer.settings import Settings
from consumer.store.migrate import UnfitDatabaseError, check
from consumer.store.pool import Database, opened
from consumer.store.rights import any_instance, rights
from schemas.catalog import COMMANDS_QUEUE, EXECUTOR_QUEUE
from schemas.topology import WORK_QUEUES, dead

_COLOURS = {"ok": "green", "note": "yellow", "wrong": "red"}
_DEAD = tuple(map(dead, WORK_QUEUES))


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look came to: `ok`, a `note` for people, or `wrong`: it would not work so."""

    part: str
    state: Literal["ok", "note", "wrong"]
    said: str


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array of findings.")
def doctor(as_json: bool) -> None:
    """Look at broker, database and AWS with the program's own settings; change nothing.

    Stops and starts are tried as EC2 dry runs. Exit code 1 where something is wrong.
    """
    settings = environment.settings()
    findings = environment.run(_all(settings, paper(quiet=as_json)))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings]))
    sys.exit(any(finding.state == "wrong" for finding in findings))


async def _all(settings: Settings, out: Console) -> list[Finding]:
    findings = []
    async for finding in _findings(settings):
        colour = _COLOURS[finding.state]
        out.print(f"[{colour}]{finding.state:5}[/]  {finding.part:8}  {escape(finding.said)}")
        findings.append(finding)
    return findings


async def _findings(settings: Settings) -> AsyncIterator[Finding]:
    try:
        async for finding in _broker(settings):
            yield finding
    except (UnavailableError, TopologyError) as error:
        yield Finding("broker", "wrong", str(error))
    instance = None
    try:
        async with opened(settings.database_url.get_secret_value(), 2) as database:
            async for finding in _database(database):
                yield finding
            async with database.connection() as connection:
                instance = await any_instance(connection)
    except (UnavailableError, UnfitDatabaseError) as error:
        yield Finding("database", "wrong", str(error))
    async for finding in _executor(settings, instance):
        yield finding
    yield await _archive(bucket_of(settings))


async def _broker(settings: Settings) -> AsyncIterator[Finding]:
    found = await examine(settings.amqp_url.get_secret_value(), queues_of(settings))
    missing = [queue.name for queue in found if not queue.there]
    if missing:
        names = ", ".join(missing)
        yield Finding("broker", "note", f"not declared yet ({names}): `run` declares it")
    else:
        yield Finding("broker", "ok", "the topology is declared, with our arguments")
    for queue in found:
        if queue.name in _DEAD and queue.messages:
            held = f"{queue.name} holds {queue.messages} dead letters"
            yield Finding("broker", "note", f"{held}: `workspace-lifecycle dead-letters list`")
        if queue.name == COMMANDS_QUEUE and queue.there and not queue.consumers:
            yield Finding("broker", "note", f"nobody consumes {queue.name}: is `run` running?")
        if queue.name == EXECUTOR_QUEUE and queue.there and not queue.consumers:
            yield Finding("broker", "note", f"nobody consumes {queue.name}: stops will time out")


async def _database(database: Database) -> AsyncIterator[Finding]:
    async with database.connection() as connection:
        await check(connection)
        may = await rights(connection)
    yield Finding("database", "ok", "migrated, and workspaces has the columns that are needed")
    if not may.may_read or may.may_not_change or not may.may_record:
        lacks = [
            *([] if may.may_read else ["select on workspaces"]),
            *(f"update ({column}) on workspaces" for column in may.may_not_change),
            *([] if may.may_record else ["select, insert, update, delete on the schema lifecycle"]),
        ]
        yield Finding("database", "wrong", f"the role {may.role} lacks {', '.join(lacks)}")
    else:
        yield Finding("database", "ok", f"the role {may.role} may read and change what it has to")


async def _executor(settings: Settings, instance: str | None) -> AsyncIterator[Finding]:
    if settings.executor != "ec2":
        yield Finding("executor", "ok", f"LIFECYCLE_EXECUTOR is {settings.executor}: no AWS needed")
        return
    ec2 = Ec2()
    tries: tuple[tuple[Literal["look", "stop", "start"], str], ...] = (
        ("look", "ec2:DescribeInstances"),
        ("stop", "ec2:StopInstances"),
        ("start", "ec2:StartInstances"),
    )
    for what, action in tries:
        if what != "look" and instance is None:
            yield Finding("executor", "note", f"{action} not tried: no workspace has an instance")
            continue
        yield await _permission(ec2, what, action, instance or "")


async def _archive(bucket: Bucket | None) -> Finding:
    if bucket is None:
        text = "LIFECYCLE_ARCHIVE_URL is not set: only the stream holds the audit trail"
        return Finding("archive", "note", text)
    try:
        async for name in bucket.names("manifest/"):
            return Finding("archive", "ok", f"can be listed, and begins with {name}")
    except (UnavailableError, NoSuchObjectError) as error:
        return Finding("archive", "wrong", str(error))
    return Finding("archive", "ok", "can be listed, and is empty")


async def _permission(
    ec2: Ec2, what: Literal["look", "stop", "start"], action: str, instance: str
) -> Finding:
    on = "" if what == "look" else f" on {instance}"
    try:
        allowed = await ec2.may(what, instance)
    except Ec2Error as error:
        return Finding("executor", "wrong", f"{action}{on} could not be tried: {error}")
    if allowed:
        return Finding("executor", "ok", f"{action}{on} is allowed (dry run)")
    return Finding("executor", "wrong", f"{action}{on} is not allowed to these credentials")
