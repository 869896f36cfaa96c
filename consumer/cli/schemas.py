"""`schemas`: write the JSON Schema files and the AsyncAPI document."""

import sys
from importlib.resources import files
from pathlib import Path

import click

from schemas.document import stale, write


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write to; schemas/generated of this installation by default.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 where a file is stale.")
def schemas(out: Path | None, check: bool) -> None:
    """Write the wire contract as JSON Schema and AsyncAPI 3.1."""
    folder = out or Path(str(files("schemas"))) / "generated"
    if check:
        names = stale(folder)
        for name in names:
            click.echo(f"stale: {name}")
        sys.exit(1 if names else 0)
    for path in write(folder):
        click.echo(path)
