"""`replay`: the audit trail once more, into a file, a queue or an exchange; or verified."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast, get_args
from uuid import UUID

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from consumer import app
from consumer.audit.journal import Journal, JournalError
from consumer.audit.replay import Broker, Lines, Pace, Target, replay
from consumer.audit.trail import Source, Span, Trail
from consumer.audit.wanted import EXECUTED, Wanted
from consumer.broker.publish import Publisher
from consumer.broker.topology import exists
from consumer.cli import environment
from consumer.cli.into import Into, may_execute, parsed
from consumer.cli.lazy import INTERRUPTED
from consumer.cli.outcome import counted
from consumer.cli.verify import verified
from consumer.message import UnavailableError
from consumer.settings import Settings
from consumer.store.history import entry
from consumer.store.migrate import check
from consumer.store.pool import opened
from consumer.store.prune import pruned_before
from schemas.catalog import COMMANDS


class _When(click.ParamType[datetime]):
    """A time as RFC 3339 has it, or a date; without an offset it is UTC."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time such as 2026-05-28 or 2026-05-28T14:00Z", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What was asked for."""

    into: Into
    source: Source
    wanted: Wanted
    rate: float | None
    state: Path | None

    @property
    def of(self) -> str:
        """Name this replay, so that its state is not taken for another one's."""
        w = self.wanted
        parts = (w.since, w.until, w.workspace, w.operation, *sorted(w.types), self.source)
        return " ".join([*(str(part) for part in parts if part), "into", str(self.into)])


@click.command("replay")
@click.option("--from", "since", type=_When(), help="From this time on, by the senders' clocks.")
@click.option("--to", "until", type=_When(), help="Before this time.")
@click.option("--workspace", type=click.UUID, help="Only messages that name it.")
@click.option("--operation", type=click.UUID, help="Only an operation's, its command included.")
@click.option("--type", "types", multiple=True, help="Only this message type; may be repeated.")
@click.option(
    "--source", type=click.Choice(get_args(Source)), default="auto", show_default=True,
    help="auto joins the archive and the stream.",
)  # fmt: skip
@click.option("--into", help="stdout, FILE, queue:NAME or exchange:NAME.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="At most, in messages/s.")
@click.option(
    "--state", type=click.Path(dir_okay=False, path_type=Path),
    help="A file that knows how far it came: the same command goes on there.",
)  # fmt: skip
@click.option("--execute", is_flag=True, help=f"Allow exchange:{COMMANDS}. It asks once more.")
@click.option("--verify", is_flag=True, help="Hold the whole trail against the database instead.")
@click.option("--json", "as_json", is_flag=True, help="With --verify: one JSON object.")
def replay_command(  # noqa: PLR0913 (each is an option)
    since: datetime | None,
    until: datetime | None,
    *,
    workspace: UUID | None,
    operation: UUID | None,
    types: Sequence[str],
    source: str,
    into: str | None,
    rate: float | None,
    state: Path | None,
    execute: bool,
    verify: bool,
    as_json: bool,
) -> None:
    """Replay the audit trail, or verify it.

    Messages keep their ids and say when they were replayed and where they came from. Exit codes:
    with --verify 0 nothing was found and 6 something was; 130 by Ctrl-C, 1 anything else.
    """
    settings = environment.settings()
    chosen = cast("Source", source)
    if chosen == "s3" and settings.archive_url is None:
        raise click.UsageError("LIFECYCLE_ARCHIVE_URL is not set: there is no s3 to read from")
    if verify:
        if into or since or until or workspace or operation or types or execute:
            raise click.UsageError("--verify reads the whole trail: give it --source at most")
        sys.exit(environment.run(verified(settings, chosen, as_json=as_json)))
    if into is None:
        raise click.UsageError("say --into stdout, FILE, queue:NAME or exchange:NAME, or --verify")
    wanted = Wanted(
        since=since,
        until=until,
        workspace=workspace,
        operation=operation,
        types=frozenset(types),
        executable=parsed(into).executes,
    )
    asked = _Asked(into=parsed(into), source=chosen, wanted=wanted, rate=rate, state=state)
    if asked.into.executes or execute:
        _confirm(settings, asked, execute=execute)
    try:
        count = environment.run(_replay(settings, asked))
    except KeyboardInterrupt:
        way = f": the same command goes on from {state}" if state else ""
        click.echo(f"interrupted{way}", err=True)
        sys.exit(INTERRUPTED)
    except (JournalError, FileExistsError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{counted(count, 'message')} replayed into {asked.into}", err=True)


def _trail_of(settings: Settings, source: Source) -> Trail:
    """Give the trail; the stream alone does not look at the archive."""
    return Trail(app.stream_of(settings), None if source == "stream" else app.bucket_of(settings))


def _confirm(settings: Settings, asked: _Asked, *, execute: bool) -> None:
    """Ask once more before commands are carried out again."""
    if not asked.into.executes:
        raise click.UsageError(f"--execute goes with --into exchange:{COMMANDS} alone")
    kinds = " or --type ".join(EXECUTED)
    if not may_execute(asked.wanted.types):
        raise click.UsageError(f"into {COMMANDS} go only --type {kinds}: say which")
    if not execute:
        raise click.UsageError(f"what is replayed into {COMMANDS} is carried out: say --execute")
    pruned = environment.run(_pruned(settings))
    if pruned and (asked.wanted.since is None or asked.wanted.since < pruned):
        raise click.UsageError(
            f"what was recorded before {pruned:%Y-%m-%dT%H:%M:%SZ} is pruned: those ids are no "
            "longer known and would be carried out again. Say --from that time or later"
        )
    click.echo(
        f"Commands of the trail are sent to {COMMANDS} again. Those that the database knows stay "
        "without effect; those that it lost are carried out now.",
        err=True,
    )
    typed = click.prompt(f"Type {COMMANDS} to go on", err=True, default="", show_default=False)
    if typed != COMMANDS:
        raise click.UsageError("not confirmed: nothing was sent")


async def _pruned(settings: Settings) -> datetime | None:
    async with (
        opened(settings.database_url.get_secret_value(), 1) as database,
        database.connection() as connection,
    ):
        await check(connection)
        return await pruned_before(connection)


async def _replay(settings: Settings, asked: _Asked) -> int:
    journal = Journal(asked.state, asked.of)
    journal.open()
    trail = _trail_of(settings, asked.source)
    wanted = await _whole(settings, asked.wanted)
    async with _target(settings, asked.into, journal) as target:
        with _bar() as progress:
            bar = progress.add_task("replayed", total=None)

            def told(place: tuple[int, int], count: int) -> None:
                progress.update(bar, completed=count, description=f"at offset {place[1]}")

            if progress.live.is_started and not progress.disable:
                progress.update(bar, total=await _total(trail, asked))
            count = await replay(
                trail,
                asked.source,
                wanted,
                target,
                journal=journal,
                pace=Pace(asked.rate),
                told=told,
            )
    if isinstance(target, Broker) and target.unrouted:
        click.echo(f"{target.unrouted} of them went to no queue", err=True)
    return count


async def _whole(settings: Settings, wanted: Wanted) -> Wanted:
    """Give what is wanted together with the id of the operation's command, if that is known."""
    if wanted.operation is None:
        return wanted
    async with (
        opened(settings.database_url.get_secret_value(), 1) as database,
        database.connection() as connection,
    ):
        await check(connection)
        found = await entry(connection, wanted.operation)
    command = found.message_id if found else None
    return Wanted(
        since=wanted.since,
        until=wanted.until,
        workspace=wanted.workspace,
        operation=wanted.operation,
        command=command,
        types=wanted.types,
        executable=wanted.executable,
    )


async def _total(trail: Trail, asked: _Asked) -> int | None:
    """Tell how many there are in all, where nothing is left out."""
    if asked.wanted == Wanted():
        return await trail.count(asked.source, Span())
    return None


@contextlib.asynccontextmanager
async def _target(settings: Settings, into: Into, journal: Journal) -> AsyncIterator[Target]:
    if into.kind == "stdout":
        yield Lines(sys.stdout.buffer, is_file=False)
    elif into.kind == "file":
        with _opened(into.path, journal) as file:
            yield Lines(file, is_file=True)
    else:
        url = settings.amqp_url.get_secret_value()
        if not await exists(url, into.kind, into.name):
            raise UnavailableError(f"there is no {into.kind} {into.name!r}: declare it first")
        publisher = Publisher(url, "workspace-lifecycle replay", queues=())
        stop = asyncio.Event()
        running = asyncio.create_task(publisher.run(lambda: None, stop))
        try:
            yield Broker(publisher.publish, into.kind, into.name, datetime.now(UTC))
        finally:
            stop.set()
            await running


def _opened(path: Path, journal: Journal) -> BinaryIO:
    """Open a new file, or the one that is gone on with, cut to what was noted of it."""
    if not journal.resumed:
        try:
            return path.open("xb")
        except FileExistsError:
            raise FileExistsError(f"{path} exists: remove it, or name another file") from None
    file = path.open("r+b")
    file.truncate(journal.reached.size)
    file.seek(0, 2)
    return file


def _bar() -> Progress:
    out = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f} replayed"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=out, disable=not out.is_terminal, transient=True)
