"""`archive`: write what is in the audit stream into S3, once."""

import json

import click

from consumer import app
from consumer.audit.repair import Repairer
from consumer.cli import environment
from consumer.cli.verify import verdict_of
from consumer.settings import Settings
from consumer.store.migrate import check
from consumer.store.pool import opened


@click.command()
@click.option("--once", is_flag=True, help="Write what is there now, and end.")
@click.option(
    "--repair", is_flag=True, help="Write what the database knows of operations the trail lost."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object: archived or repaired.")
def archive(once: bool, repair: bool, as_json: bool) -> None:
    """Archive the audit stream into LIFECYCLE_ARCHIVE_URL; `run` does so all the time."""
    settings = environment.settings()
    if settings.archive_url is None:
        raise click.UsageError("LIFECYCLE_ARCHIVE_URL is not set: s3://bucket/prefix")
    if repair:
        count = environment.run(_repair(settings))
        click.echo(json.dumps({"repaired": count}) if as_json else f"{count} operations repaired")
        return
    if not once:
        raise click.UsageError(
            "say --once or --repair; `run --roles archive` archives until it is stopped"
        )
    count = environment.run(_once(settings))
    click.echo(json.dumps({"archived": count}) if as_json else f"{count} messages archived")


async def _repair(settings: Settings) -> int:
    bucket = app.bucket_of(settings)
    assert bucket is not None
    async with opened(settings.database_url.get_secret_value(), 2) as database:
        verdict = await verdict_of(settings, database, "auto")
        repairer = Repairer(database, bucket, settings.max_listed)
        return await repairer.repair(verdict.repairable())


async def _once(settings: Settings) -> int:
    bucket = app.bucket_of(settings)
    assert bucket is not None
    async with opened(settings.database_url.get_secret_value(), 2) as database:
        async with database.connection() as connection:
            await check(connection)
        return await app.archiver_of(settings, database, bucket).once()
