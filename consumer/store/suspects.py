"""Notes of suspects: how often each was begun, by a process that did not live to end it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from consumer.message import UnavailableError
from consumer.store.pool import Connection, Database, text_of
from consumer.store.statements import load

_SQL = load("suspects")


class SuspectNotes:
    """Keeps them, in one statement each.

    All raise UnavailableError where the database cannot serve now, or does not let us.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begun(self, key: bytes) -> int:
        """Tell how often a suspect was begun and not lived through."""
        async with self._lent() as connection:
            row = await connection.fetchrow(_SQL["suspect_begun"], key)
        return row["begun"] if row else 0

    async def begin(self, key: bytes) -> None:
        """Note that a suspect is begun once more."""
        async with self._lent() as connection:
            await connection.execute(_SQL["begin_suspect"], key)

    async def clear(self, key: bytes) -> None:
        """Forget a suspect."""
        async with self._lent() as connection:
            await connection.execute(_SQL["clear_suspect"], key)

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Connection]:
        """Lend a connection; what goes wrong is not the fault of the message that is noted."""
        try:
            async with self._database.connection() as connection:
                yield connection
        except asyncpg.PostgresError as error:
            raise UnavailableError(f"a suspect cannot be noted: {text_of(error)}") from error
