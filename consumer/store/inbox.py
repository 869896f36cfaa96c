"""What was seen before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from consumer.operation import Origin
from consumer.store.pool import Connection
from consumer.store.statements import load

_SQL = load("inbox")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The answer to a command that was seen before."""

    operation_id: UUID
    digest: bytes
    answer_type: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Whether a command is new here, and the database's time: the one clock of all processes."""

    fresh: bool
    at: datetime


async def claim(connection: Connection, commands: Sequence[tuple[Origin, UUID]]) -> list[Claim]:
    """Remember commands, each with its operation. Not fresh: it is known already, and committed.

    No two of them may have the same source and key.
    """
    origins = [origin for origin, _ in commands]
    rows = await connection.fetch(
        _SQL["claim"],
        [origin.source for origin in origins],
        [origin.key for origin in origins],
        [origin.digest for origin in origins],
        [operation_id for _, operation_id in commands],
    )
    return [Claim(row["fresh"], row["at"]) for row in rows]


async def unclaim(connection: Connection, origins: Sequence[Origin]) -> None:
    """Leave commands that this transaction claimed to another one."""
    await connection.execute(
        _SQL["unclaim"], [origin.source for origin in origins], [origin.key for origin in origins]
    )


async def stored_answers(connection: Connection, origins: Sequence[Origin]) -> list[Stored]:
    """Give what was answered to commands that `claim` found known."""
    rows = await connection.fetch(
        _SQL["stored_answers"],
        [origin.source for origin in origins],
        [origin.key for origin in origins],
    )
    return [Stored(**dict(row)) for row in rows]
