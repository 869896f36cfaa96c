"""`migrate`: bring the database up to this version."""

import json

import click

from consumer.cli import environment
from consumer.store.migrate import migrate as apply


@click.command()
@click.option("--database-url", help="PostgreSQL; LIFECYCLE_DATABASE_URL by default.")
@click.option("--json", "as_json", is_flag=True, help='One JSON object: {"applied": [names]}.')
def migrate(database_url: str | None, as_json: bool) -> None:
    """Create or update the program's own tables, in the schema lifecycle. Twice is harmless."""
    applied = environment.run(apply(environment.url(database_url, "LIFECYCLE_DATABASE_URL")))
    if as_json:
        click.echo(json.dumps({"applied": applied}))
        return
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("nothing to apply: the database is up to date")
