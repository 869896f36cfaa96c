"""`run`: the program itself."""

import click

from consumer import app
from consumer.cli import environment
from consumer.telemetry.logs import configure


def _roles(_: click.Context, __: click.Parameter, value: str | None) -> tuple[app.Role, ...]:
    if value is None:
        return app.ROLES
    words = [word.strip() for word in value.split(",") if word.strip()]
    unknown = [word for word in words if word not in app.ROLES]
    if unknown or not words:
        raise click.BadParameter(f"{value!r}: name some of {', '.join(app.ROLES)}")
    return tuple(role for role in app.ROLES if role in words)


@click.command()
@click.option(
    "--roles",
    callback=_roles,
    help=f"What this process does, of {','.join(app.ROLES)}. All of it by default.",
)
def run(roles: tuple[app.Role, ...]) -> None:
    """Consume commands until SIGTERM or SIGINT; a second signal ends it at once."""
    settings = environment.settings()
    configure(settings.log_level)
    environment.run(app.run(settings, roles))
