"""`migrate`: bring the database up to this version."""

import click

from consumer.cli import environment
from consumer.store.migrate import migrate as apply


@click.command()
@click.option("--database-url", help="PostgreSQL; LIFECYCLE_DATABASE_URL by default.")
def migrate(database_url: str | None) -> None:
    """Create or update the program's own tables, in the schema lifecycle. Twice is harmless."""
    applied = environment.run(apply(environment.url(database_url, "LIFECYCLE_DATABASE_URL")))
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("nothing to apply: the database is up to date")
