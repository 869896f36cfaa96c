"""`workspace-lifecycle`: the verbs, each in a file of its own."""

import logging
import sys

import click

from consumer.broker.ask import UnroutableError
from consumer.broker.topology import TopologyError
from consumer.cli.archive import archive
from consumer.cli.ask import pause, resume
from consumer.cli.completion import completion
from consumer.cli.console import console
from consumer.cli.dead_letters import dead_letters
from consumer.cli.demo import demo
from consumer.cli.doctor import doctor
from consumer.cli.migrate import migrate
from consumer.cli.operations import operations
from consumer.cli.replay import replay_command
from consumer.cli.run import run
from consumer.cli.schemas import schemas
from consumer.cli.tree import tree
from consumer.cli.watch import watch
from consumer.devstack.server import StackError
from consumer.message import UnavailableError
from consumer.store.migrate import UnfitDatabaseError

EXPECTED = (UnavailableError, UnfitDatabaseError, TopologyError, UnroutableError, StackError)

CHATTY = ("aiormq", "aio_pika")
"""Libraries that log each lost connection with its traceback; the verbs say it in a line."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="workspace-lifecycle")
def cli() -> None:
    """Pause and resume trees of running workspaces by message."""


cli.add_command(demo)
cli.add_command(run)
cli.add_command(migrate)
cli.add_command(doctor)
cli.add_command(pause)
cli.add_command(resume)
cli.add_command(tree)
cli.add_command(operations)
cli.add_command(watch)
cli.add_command(archive)
cli.add_command(replay_command)
cli.add_command(dead_letters)
cli.add_command(schemas)
cli.add_command(completion)
cli.add_command(console)


def main() -> None:
    """Run a verb; what can be expected to go wrong ends in one line and exit code 1."""
    for name in CHATTY:
        logging.getLogger(name).addHandler(logging.NullHandler())  # `run` logs them as its own
    try:
        cli(prog_name="workspace-lifecycle")
    except EXPECTED as error:
        click.echo(f"workspace-lifecycle: {error}", err=True)
        sys.exit(1)
