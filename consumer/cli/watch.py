"""`watch`: one operation, live, until it is settled."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import UUID

import click
from rich.console import Console
from rich.progress import Progress

from consumer.broker.connection import Backoff
from consumer.cli import environment
from consumer.cli.lazy import INTERRUPTED
from consumer.cli.operations import (
    Record,
    json_of,
    line_of,
    read_record,
    trouble_count,
    unknown,
)
from consumer.cli.outcome import (
    SOURCE,
    VERBS,
    progress_bar,
    said,
    settled_code,
    show_settled,
    status_code,
)
from consumer.cli.paper import paper
from consumer.client import Course, LifecycleClient
from consumer.message import UnavailableError
from consumer.store.history import Entry, entry
from consumer.store.migrate import check
from consumer.store.pool import Database, opened

_GATHERED = 0.2
"""Seconds in which the events behind a first one are joined: at most five looks a second."""
_SILENCE = (1.0, 15.0)
"""Seconds without an event after which to look all the same, soon and then more seldom: what was
said may have been ahead of the database, and an event can be lost on its way."""


@click.command()
@click.argument("operation_id", type=click.UUID)
@click.option("--amqp-url", help="RabbitMQ; LIFECYCLE_AMQP_URL by default.")
@click.option("--database-url", help="PostgreSQL; LIFECYCLE_DATABASE_URL by default.")
@click.option("--json", "as_json", is_flag=True, help="The end, as `operations ID --json`.")
def watch(
    operation_id: UUID, amqp_url: str | None, database_url: str | None, as_json: bool
) -> None:
    """Follow OPERATION_ID until it is settled.

    Exit codes: 0 every machine succeeded or was left to a newer command, 5 one failed or timed
    out, 4 no such operation, of a rejected one as of pause, 130 by Ctrl-C, 1 anything else.
    """
    urls = (
        environment.url(amqp_url, "LIFECYCLE_AMQP_URL"),
        environment.url(database_url, "LIFECYCLE_DATABASE_URL"),
    )
    try:
        sys.exit(environment.run(_watch(operation_id, *urls, as_json=as_json)))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


async def _watch(operation_id: UUID, amqp_url: str, database_url: str, *, as_json: bool) -> int:
    """Follow the operation and show its end; give the exit code."""
    out = paper(quiet=as_json)
    async with (
        opened(database_url, 1) as database,
        LifecycleClient(amqp_url, source=SOURCE) as client,
    ):
        with progress_bar(out, live=out.is_terminal and not as_json) as progress:
            record = await _Follower(operation_id, database, client, progress).follow()
    if record is None:
        return unknown(operation_id)
    if as_json:
        click.echo(json_of(record))
    _show_end(out, record)
    return _exit_code(record.entry)


class _Follower:
    """Listens, looks at the database whenever something was heard, and outlives lost connections.

    On each connection it listens before it looks, so that nothing happens in between unheard.
    """

    def __init__(
        self, operation_id: UUID, database: Database, client: LifecycleClient, progress: Progress
    ) -> None:
        self._operation_id = operation_id
        self._database, self._client, self._progress = database, client, progress
        self._bar = progress.add_task("", total=None, visible=False)
        self._begun = False
        self._lost = ""
        self._backoff, self._silence = Backoff(), Backoff(*_SILENCE)

    async def follow(self) -> Record | None:
        """Follow the operation to its end; None where it is unknown.

        Raises:
            UnavailableError: the broker or the database was away from the beginning.

        """
        while True:
            try:
                async with self._client.watching() as watch:
                    with watch.following(self._operation_id) as course:
                        return await self._to_the_end(course)
            except UnavailableError as error:
                if not self._begun:
                    raise
                self._tell_lost(str(error))
                await asyncio.sleep(self._backoff.next())

    async def _to_the_end(self, course: AsyncIterator[Course]) -> Record | None:
        while (found := await self._look()) is not None and found.settled_at is None:
            if await _news(course, self._silence.next()):
                self._silence.reset()
        async with self._database.connection() as connection:
            return await read_record(connection, self._operation_id)

    async def _look(self) -> Entry | None:
        async with self._database.connection() as connection:
            if not self._begun:
                await check(connection)
            found = await entry(connection, self._operation_id)
        if found is not None:
            self._show(found)
        self._tell_found()
        return found

    def _show(self, found: Entry) -> None:
        if not self._begun:
            self._progress.console.print(line_of(found), emoji=False)
        done, verb = found.target_count - found.open_count, VERBS[found.action]
        trouble = f", [red]{found.failed_count} failed[/]" if found.failed_count else ""
        self._progress.update(
            self._bar,
            description=verb + trouble,
            total=found.target_count,
            completed=done,
            visible=found.outcome == "carried",
        )

    def _tell_lost(self, why: str) -> None:
        """Say why nothing is heard, once for each reason."""
        if why != self._lost:
            self._tell(f"workspace-lifecycle: {why}; trying again")
        self._lost = why

    def _tell_found(self) -> None:
        if self._lost:
            self._tell("workspace-lifecycle: listening again")
        self._begun, self._lost = True, ""
        self._backoff.reset()

    def _tell(self, line: str) -> None:
        """Write above the bar, or on standard error where there is none."""
        if self._progress.disable:
            click.echo(line, err=True)
        else:
            self._progress.console.print(said(line), emoji=False)


async def _news(course: AsyncIterator[Course], silence: float) -> bool:
    """Wait until something is said of the operation, and join what is said right behind it.

    `silence` is in seconds: where nothing is said for so long, give False.
    """
    try:
        async with asyncio.timeout(silence):
            await anext(course)
    except TimeoutError:
        return False
    with suppress(TimeoutError):
        async with asyncio.timeout(_GATHERED):
            while True:
                await anext(course)
    return True


def _show_end(out: Console, record: Record) -> None:
    if record.entry.outcome == "carried":
        show_settled(out, record.entry, record.targets)
    if record.targets_truncated:
        out.print(f"  ... {len(record.targets)} of {trouble_count(record.entry)}")


def _exit_code(found: Entry) -> int:
    if found.outcome == "previewed":
        return 0
    return settled_code(found) or status_code(found.status)
