"""What was seen before."""

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


async def claim(connection: Connection, origin: Origin, operation_id: UUID) -> Claim:
    """Remember a command. Not fresh: it is known already, and committed."""
    row = await connection.fetchrow(
        _SQL["claim"], origin.source, origin.key, origin.digest, operation_id
    )
    assert row is not None
    return Claim(fresh=row["fresh"], at=row["at"])


async def stored_answer(connection: Connection, origin: Origin) -> Stored:
    """Give what was answered to a command that `claim` found known."""
    row = await connection.fetchrow(_SQL["stored_answer"], origin.source, origin.key)
    assert row is not None
    return Stored(
        operation_id=row["operation_id"], digest=row["digest"], answer_type=row["answer_type"]
    )
