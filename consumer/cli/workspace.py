"""A workspace on the command line: its id, found by its name where the shell completes it."""

import asyncio

import click
from click.shell_completion import CompletionItem
from click.types import UUIDParameterType

from consumer.cli import environment
from consumer.message import UnavailableError
from consumer.settings import CredentialError, credential
from consumer.store.forest import Node, forest
from consumer.store.pool import opened

_SHOWN = 10_000
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
            CompletionItem(str(node.workspace_id), help=f"{node.name} ({node.status})")
            for node in nodes
            if str(node.workspace_id).startswith(begun) or node.name.casefold().startswith(begun)
        ]


WORKSPACE = WorkspaceType()


async def _nodes(url: str) -> list[Node]:
    async with (
        asyncio.timeout(_PATIENCE),
        opened(url, 1) as database,
        database.connection() as connection,
    ):
        return await forest(connection, None, _SHOWN)
