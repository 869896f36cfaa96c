"""`workspace-lifecycle`: the verbs, each in a file of its own."""

import logging
import sys

import click

from consumer.cli.lazy import LazyGroup
from consumer.foreseen import ForeseenError

VERBS = {
    "demo": "consumer.cli.demo:demo",
    "run": "consumer.cli.run:run",
    "migrate": "consumer.cli.migrate:migrate",
    "declare": "consumer.cli.declare:declare",
    "doctor": "consumer.cli.doctor:doctor",
    "pause": "consumer.cli.ask:pause",
    "resume": "consumer.cli.ask:resume",
    "tree": "consumer.cli.tree:tree",
    "operations": "consumer.cli.operations:operations",
    "watch": "consumer.cli.watch:watch",
    "archive": "consumer.cli.archive:archive",
    "replay": "consumer.cli.replay:replay_command",
    "dead-letters": "consumer.cli.dead_letters:dead_letters",
    "triggers": "consumer.cli.triggers:triggers",
    "schemas": "consumer.cli.schemas:schemas",
    "completion": "consumer.cli.completion:completion",
    "console": "consumer.cli.console:console",
}
CHATTY = ("aiormq", "aio_pika")
"""Libraries that log each lost connection with its traceback; the verbs say it in a line."""


SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 120}


@click.group(cls=LazyGroup, places=VERBS, context_settings=SETTINGS)
@click.version_option(package_name="workspace-lifecycle")
def cli() -> None:
    """Pause and resume trees of running workspaces by message."""


def main() -> None:
    """Run a verb; what can be expected to go wrong ends in one line and exit code 1."""
    for name in CHATTY:
        logging.getLogger(name).addHandler(logging.NullHandler())  # `run` logs them as its own
    try:
        cli(prog_name="workspace-lifecycle")
    except ForeseenError as error:
        click.echo(f"workspace-lifecycle: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        if error.filename is None:  # no file that somebody named: a mistake of ours
            raise
        click.echo(f"workspace-lifecycle: {error.filename}: {error.strerror}", err=True)
        sys.exit(1)
