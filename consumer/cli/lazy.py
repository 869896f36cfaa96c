"""A group whose verbs are imported when they are called: `pause` needs nothing of the console."""

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

INTERRUPTED = 130
"""The exit code of who was ended by Ctrl-C, as of any program that dies of it."""


class LazyGroup(click.Group):
    """Finds each verb in a module of its own (click documentation, Lazily Loading Subcommands)."""

    def __init__(self, *, places: Mapping[str, str], **settings: Any) -> None:
        super().__init__(**settings)
        self._places = places

    def list_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 (click's signature)
    ) -> list[str]:
        """Name the verbs, in the order in which they were given."""
        return [*self._places]

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 (click's signature)
        cmd_name: str,
    ) -> click.Command | None:
        """Import a verb. `module:name` says where it is."""
        place = self._places.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a verb; of one that is misspelt say which it was to be."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if not (alike := get_close_matches(args[0], self._places, 1)):
                raise
            raise click.UsageError(f"{error.message} Did you mean {alike[0]!r}?", ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run a verb; Ctrl-C, also at a question, ends it as a shell expects it."""
        try:
            return super().invoke(ctx)
        except (click.Abort, KeyboardInterrupt):
            click.echo(err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None
