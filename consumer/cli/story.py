"""`operations ID --trail`: the story of one operation, from the trail."""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from uuid import UUID

import click

from consumer import app
from consumer.audit.repair import repaired
from consumer.audit.story import Chapter, chapter
from consumer.audit.trail import Span, Trail
from consumer.audit.wanted import Sieve, Wanted
from consumer.cli.outcome import UNKNOWN, said
from consumer.cli.paper import paper
from consumer.settings import Settings
from consumer.store.history import Entry, entry
from consumer.store.migrate import check
from consumer.store.pool import opened
from schemas.strict import rfc3339

_AROUND = timedelta(days=1)
"""How far clocks may differ, and how late a correction may come."""


async def story(settings: Settings, operation_id: UUID, *, as_json: bool) -> int:
    """Tell the operation; give the exit code."""
    async with (
        opened(settings.database_url.get_secret_value(), 1) as database,
        database.connection() as connection,
    ):
        await check(connection)
        known = await entry(connection, operation_id)
    found = [one async for one in _chapters(settings, operation_id, known)]
    if not found:
        click.echo(f"workspace-lifecycle: the trail has nothing of {operation_id}", err=True)
        return UNKNOWN
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], default=_text))
        return 0
    out = paper()
    for one in found:
        time = one.time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if one.time else " " * 19
        marked = "  [yellow](repaired)[/]" if one.repaired else ""
        why = f"  [bright_black]{said(one.why)}[/]" if one.why else ""
        out.print(f"{time}  {said(one.who)}  {said(one.what)}{why}{marked}", emoji=False)
    return 0


async def _chapters(
    settings: Settings, operation_id: UUID, known: Entry | None
) -> AsyncIterator[Chapter]:
    """Give what archive and stream hold of it, and after that what was repaired."""
    bucket = app.bucket_of(settings)
    wanted = Wanted(operation=operation_id, command=known.message_id if known else None)
    span = Span()
    if known is not None:
        until = (known.settled_at or datetime.now(UTC)) + _AROUND
        span = Span(since=known.recorded_at - _AROUND, until=until)
    sieve, seen = Sieve(wanted), set[object]()
    async for _, records in Trail(app.stream_of(settings), bucket).read("auto", span):
        for record in sieve.through(records):
            seen.add(record.properties.get("message_id"))
            yield chapter(record)
    if bucket is not None:
        async for records in repaired(bucket):
            for record in Sieve(wanted).through(records):
                if record.properties.get("message_id") not in seen:
                    yield chapter(record)


def _text(value: object) -> str:
    return rfc3339(value) if isinstance(value, datetime) else str(value)
