"""`archive`: write what is in the audit stream into S3, once."""

import click

from consumer import app
from consumer.cli import environment
from consumer.settings import Settings
from consumer.store.migrate import check
from consumer.store.pool import opened


@click.command()
@click.option("--once", is_flag=True, help="Write what is there now, and end.")
def archive(once: bool) -> None:
    """Archive the audit stream into LIFECYCLE_ARCHIVE_URL; `run` does so all the time."""
    settings = environment.settings()
    if settings.archive_url is None:
        raise click.UsageError("LIFECYCLE_ARCHIVE_URL is not set: s3://bucket/prefix")
    if not once:
        raise click.UsageError("say --once; `run --roles archive` archives until it is stopped")
    count = environment.run(_once(settings))
    click.echo(f"{count} messages archived")


async def _once(settings: Settings) -> int:
    bucket = app.bucket_of(settings)
    assert bucket is not None
    async with opened(settings.database_url.get_secret_value(), 2) as database:
        async with database.connection() as connection:
            await check(connection)
        return await app.archiver_of(settings, database, bucket).once()
