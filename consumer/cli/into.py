"""Where a replay may go, and where never."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

from consumer.audit.wanted import EXECUTED
from schemas.catalog import COMMANDS, DEAD_LETTER, EVENTS


@dataclass(frozen=True, slots=True)
class Into:
    """A place to replay into; `name` is a path where it is a file."""

    kind: Literal["stdout", "file", "queue", "exchange"]
    name: str = ""

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.name)

    @property
    def executes(self) -> bool:
        """Whether commands would be carried out there."""
        return self.kind == "exchange" and self.name == COMMANDS

    def __str__(self) -> str:
        """Write it as it was given."""
        return {"stdout": "stdout", "file": self.name}.get(self.kind, f"{self.kind}:{self.name}")


def parsed(text: str) -> Into:
    """Read a place.

    Raises:
        click.BadParameter: it is none, or one where old messages would be taken for new ones.

    """
    kind, colon, name = text.partition(":")
    if text == "stdout":
        return Into("stdout")
    if kind == "queue" and colon:
        if not name or name.startswith("lifecycle."):
            raise click.BadParameter(
                f"{text!r}: old messages would be worked on there as if they were new. Take a "
                f"queue of your own, or exchange:{COMMANDS} with --execute"
            )
        return Into("queue", name)
    if kind == "exchange" and colon:
        if name in {"", EVENTS, DEAD_LETTER}:
            raise click.BadParameter(
                f"{text!r}: old events would be taken for new ones there. Take an exchange of your "
                "own"
            )
        return Into("exchange", name)
    return Into("file", text)


def may_execute(types: frozenset[str]) -> bool:
    """Tell whether nothing but pauses and resumes is asked for."""
    return bool(types) and types <= set(EXECUTED)
