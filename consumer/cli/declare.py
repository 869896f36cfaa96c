"""`declare`: the exchanges and queues, as a user who may, so that the program need not."""

import click

from consumer import app
from consumer.broker.topology import declare as apply
from consumer.cli import environment
from consumer.settings import Declared


@click.command()
@click.option("--amqp-url", help="RabbitMQ; LIFECYCLE_AMQP_URL by default.")
def declare(amqp_url: str | None) -> None:
    """Declare the exchanges and queues, as `run` does. Twice is harmless.

    With LIFECYCLE_TRIGGERS_FILE the queue for events too, bound to the exchanges that the file
    names, which have to be there.

    Where an administrator does this, the program's own user needs no permission to configure.
    """
    queues = app.queues_of(environment.read(Declared), foreign=True)
    environment.run(apply(environment.url(amqp_url, "LIFECYCLE_AMQP_URL"), queues))
    click.echo("the topology is declared")
