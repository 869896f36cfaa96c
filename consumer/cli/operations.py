"""`operations`: what was asked, by whom, and what became of it."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from uuid import UUID

import click
from rich.console import Console

from consumer.cli import environment
from consumer.cli.outcome import UNKNOWN, said
from consumer.cli.paper import paper
from consumer.cli.story import story
from consumer.store.history import (
    Entry,
    EntryTarget,
    entry,
    entry_targets,
    open_operations,
    recent_operations,
    workspace_operations,
)
from consumer.store.migrate import check
from consumer.store.pool import Connection, opened
from schemas.strict import rfc3339

_MOST_TARGETS = 100
_COLOURS = {"failed": "red", "timed_out": "red", "succeeded": "green", None: "yellow"}


@dataclass(frozen=True, slots=True)
class Record:
    """One operation and those of its targets that are shown."""

    entry: Entry
    targets: Sequence[EntryTarget]
    targets_truncated: bool


@click.command()
@click.argument("operation_id", type=click.UUID, required=False)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most.")
@click.option("--open", "only_open", is_flag=True, help="Only those that are not settled.")
@click.option(
    "--workspace", "workspace_id", type=click.UUID, help="That named it or had it as a target."
)
@click.option("--all", "every", is_flag=True, help="With OPERATION_ID: all of its targets.")
@click.option("--trail", is_flag=True, help="With OPERATION_ID: its story, from the audit trail.")
@click.option("--database-url", help="PostgreSQL; LIFECYCLE_DATABASE_URL by default.")
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON array; with OPERATION_ID an object."
)
def operations(  # noqa: PLR0913 (each is an option)
    operation_id: UUID | None,
    *,
    limit: int,
    only_open: bool,
    workspace_id: UUID | None,
    every: bool,
    trail: bool,
    database_url: str | None,
    as_json: bool,
) -> None:
    """List operations, newest first, or tell all about OPERATION_ID (exit code 4: unknown)."""
    if trail:
        if operation_id is None:
            raise click.UsageError("--trail tells one operation: name it")
        sys.exit(environment.run(story(environment.settings(), operation_id, as_json=as_json)))
    url = environment.url(database_url, "LIFECYCLE_DATABASE_URL")
    if operation_id is None:
        found = environment.run(_list(url, limit, workspace_id, only_open=only_open))
        click.echo(_json([asdict(one) for one in found])) if as_json else _show_list(found)
        return
    record = environment.run(_read(url, operation_id, every=every))
    if record is None:
        sys.exit(unknown(operation_id))
    click.echo(json_of(record)) if as_json else _show(paper(), record, every=every)


def unknown(operation_id: UUID) -> int:
    """Say that there is no such operation, and give the exit code for it."""
    click.echo(f"workspace-lifecycle: there is no operation {operation_id}", err=True)
    return UNKNOWN


async def read_record(
    connection: Connection, operation_id: UUID, *, every: bool = False
) -> Record | None:
    """Read an operation and what is not well of it, or `every` target."""
    found = await entry(connection, operation_id)
    if found is None:
        return None
    most = None if every else _MOST_TARGETS + 1
    targets = await entry_targets(connection, operation_id, most, every=every)
    shown = targets if every else targets[:_MOST_TARGETS]
    return Record(found, shown, targets_truncated=len(shown) < len(targets))


def json_of(record: Record) -> str:
    """Write a record as one JSON object: the operation's members, and its targets."""
    targets = [asdict(one) for one in record.targets]
    truncated = {"targets_truncated": record.targets_truncated}
    return _json({**asdict(record.entry), "targets": targets, **truncated})


def line_of(one: Entry) -> str:
    """Tell an operation in one line of rich's markup."""
    parts = (
        str(one.operation_id),
        _second(one.recorded_at),
        one.action,
        said(one.name or one.workspace_id or "-"),
        _who(one),
        _decided(one),
        *((_counted(one), _state(one)) if one.outcome == "carried" else ()),
    )
    return "  ".join(parts)


def trouble_count(one: Entry) -> int:
    """How many targets failed, timed out or are still open."""
    return one.failed_count + one.timed_out_count + one.open_count


async def _list(
    url: str, limit: int, workspace_id: UUID | None, *, only_open: bool
) -> Sequence[Entry]:
    async with opened(url, 1) as database, database.connection() as connection:
        await check(connection)
        if only_open:
            return await open_operations(connection, limit, workspace_id)
        if workspace_id is not None:
            return await workspace_operations(connection, limit, workspace_id)
        return await recent_operations(connection, limit)


async def _read(url: str, operation_id: UUID, *, every: bool) -> Record | None:
    async with opened(url, 1) as database, database.connection() as connection:
        await check(connection)
        return await read_record(connection, operation_id, every=every)


def _json(value: object) -> str:
    return json.dumps(value, default=lambda one: rfc3339(one) if _is_time(one) else str(one))


def _is_time(value: object) -> bool:
    return isinstance(value, datetime)


def _show_list(found: Sequence[Entry]) -> None:
    out = paper()
    for one in found:
        out.print(line_of(one), emoji=False)
    if not found:
        click.echo("no operations", err=True)


def _show(out: Console, record: Record, *, every: bool) -> None:
    for name, value in _known(record.entry):
        out.print(f"[bright_black]{name:<12}[/]  {value}", emoji=False)
    for target in record.targets:
        out.print(f"  {_target(target)}", emoji=False)
    if record.targets_truncated:
        count = trouble_count(record.entry)
        out.print(f"  ... {len(record.targets)} of {count} that failed, timed out or are open")
    elif every:
        out.print(f"  {len(record.targets)} in all")


def _known(one: Entry) -> Iterator[tuple[str, str]]:
    """Name everything known of an operation; what it never had is left out."""
    yield "operation", str(one.operation_id)
    yield "action", one.action
    yield "workspace", f"{said(one.name or 'unknown')}  {one.workspace_id or ''}".rstrip()
    yield "cascade", {None: "absent", True: "true", False: "false"}[one.cascade]
    for name in ("undo", "app_id", "source", "message_id", "requested_by", "reason"):
        value = getattr(one, name)
        if value is not None:
            yield name.replace("_", " "), said(value)
    yield "outcome", _decided(one)
    yield "recorded", _second(one.recorded_at)
    if one.outcome == "carried":
        yield "deadline", _second(one.deadline)
        yield "settled", _second(one.settled_at) if one.settled_at else "not yet"
        yield "state", _state(one)
        yield "counts", _counted(one)


def _target(one: EntryTarget) -> str:
    outcome = f"[{_COLOURS.get(one.outcome, 'blue')}]{(one.outcome or 'open').replace('_', ' ')}[/]"
    why = ": ".join(said(text) for text in (one.code, one.detail) if text)
    instance = said(one.instance_id or "no instance")
    return (
        f"{said(one.name)}  {one.workspace_id}  {instance}  generation {one.generation}  {outcome}"
        f"  {why}"
    ).rstrip()


def _who(one: Entry) -> str:
    return said(one.app_id) + (f" ({said(one.requested_by)})" if one.requested_by else "")


def _decided(one: Entry) -> str:
    deprecated = ", deprecated: the cascade was implicit" if one.deprecated else ""
    if one.outcome == "carried":
        return f"[green]carried[/]{deprecated}"
    if one.outcome == "previewed":
        return f"[cyan]previewed[/] {one.status} {said(one.code or '')}".rstrip() + deprecated
    return f"[red]rejected[/] {one.status} {said(one.code or '')}"


def _counted(one: Entry) -> str:
    """Count the targets; what there is none of is left out."""
    counts = {
        "succeeded": one.succeeded_count,
        "[red]failed[/]": one.failed_count,
        "superseded": one.superseded_count,
        "[red]timed out[/]": one.timed_out_count,
        "[yellow]open[/]": one.open_count,
    }
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"{one.target_count} target{'' if one.target_count == 1 else 's'}: {told or 'none'}"


def _state(one: Entry) -> str:
    if one.settled_at is None:
        return "[yellow]open[/]"
    seconds = (one.settled_at - one.recorded_at).total_seconds()
    troubled = " [red]with failures[/]" if one.failed_count or one.timed_out_count else ""
    return f"settled{troubled} after {seconds:.1f} s"


def _second(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
