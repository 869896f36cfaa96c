"""`console`: the page for people who watch over the fleet."""

import asyncio

import click

from consumer.cli import environment
from consumer.console.server import Address, Console, ExposedError
from consumer.settings import Settings


@click.command()
@click.option(
    "--listen",
    default="127.0.0.1:8181",
    show_default=True,
    help="host:port; beyond this machine only with LIFECYCLE_CONSOLE_TOKEN.",
)
def console(listen: str) -> None:
    """Serve one web page, read-only: the forest, operations, rejections, dead letters, lag.

    With LIFECYCLE_CONSOLE_TOKEN the browser asks for it: any name, and the token as password.
    """
    settings = environment.settings()
    try:
        environment.run(_serve(settings, Address.of(listen)))
    except ExposedError as error:
        raise click.UsageError(str(error)) from None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--listen") from None
    except KeyboardInterrupt:
        return


async def _serve(settings: Settings, address: Address) -> None:
    token = settings.console_token
    page = Console(
        settings.amqp_url.get_secret_value(),
        settings.database_url.get_secret_value(),
        address,
        token.get_secret_value() if token else None,
    )
    stop = asyncio.Event()
    await page.run(lambda: click.echo(f"{page.url}  Ctrl-C ends it"), stop)
