"""A workspace on the command line: its id, found by its name where the shell completes it."""

import asyncio
import os
from uuid import UUID

import click
from click.shell_completion import CompletionItem
from click.types import UUIDParameterType

from consumer.cli import environment
from consumer.message import UnavailableError
from consumer.settings import CredentialError, credential
from consumer.store.forest import Node, forest
from consumer.store.pool import opened

_SHOWN = 10_000
_LISTING = "63"
"""bash's COMP_TYPE after the second Tab, when it shows and inserts nothing."""
_PATIENCE = 2.0
"""Seconds: who presses Tab does not wait for a database that is away."""


class WorkspaceType(UUIDParameterType):
    """A UUID; the shell completes it from the beginning of an id or of a name."""

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 (click's signature)
        param: click.Parameter,  # noqa: ARG002 (click's signature)
        incomplete: str,
    ) -> list[CompletionItem]:
        """List what begins like this; nothing where no database is to be had."""
        try:
            url = credential("LIFECYCLE_DATABASE_URL")
            nodes = environment.run(_nodes(url)) if url else []
        except (CredentialError, UnavailableError, TimeoutError, ValueError):
            return []
        begun = incomplete.casefold()
        return [
            _offered(node)
            for node in nodes
            if str(node.workspace_id).startswith(begun) or node.name.casefold().startswith(begun)
        ]

    def convert(
        self, value: str | UUID, param: click.Parameter | None, ctx: click.Context | None
    ) -> UUID:
        """Read an id; who gives a name is told where the id is to be had.

        A name may be two workspaces', or another's by tomorrow: no command goes by one.
        """
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            self.fail(f"{error.message} `workspace-lifecycle tree` shows all ids.", param, ctx)


WORKSPACE = WorkspaceType()


def _offered(node: Node) -> CompletionItem:
    """Give an id, with its name beside it; where bash only lists, the name is all it would show."""
    name = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in node.name)
    whose = f"{name} ({node.status})"
    is_listed = os.environ.get("COMP_TYPE") == _LISTING
    shown = f"{node.workspace_id}  {whose}" if is_listed else str(node.workspace_id)
    return CompletionItem(shown, help=whose)


async def _nodes(url: str) -> list[Node]:
    async with (
        asyncio.timeout(_PATIENCE),
        opened(url, 1) as database,
        database.connection() as connection,
    ):
        return await forest(connection, None, _SHOWN)
