"""Notes of suspects: how often each was begun, by a process that did not live to end it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

from consumer.gather import Gather
from consumer.message import UnavailableError
from consumer.store.pool import Connection, Database, text_of
from consumer.store.statements import load

_SQL = load("suspects")
_AT_ONCE = 1000


class SuspectNotes:
    """Keeps them, those that are asked for together in one statement.

    All raise UnavailableError where the database cannot serve now, or does not let us.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.begun = Gather(self._begun, _AT_ONCE)
        self.begin = Gather(self._begin, _AT_ONCE)
        self.clear = Gather(self._clear, _AT_ONCE)

    async def _begun(self, keys: Sequence[bytes]) -> Sequence[int]:
        """Tell how often each was begun and not lived through."""
        async with self._lent() as connection:
            rows = await connection.fetch(_SQL["suspects_begun"], keys)
        return [row["begun"] for row in rows]

    async def _begin(self, keys: Sequence[bytes]) -> Sequence[None]:
        """Note that each is begun once more."""
        async with self._lent() as connection:
            await connection.execute(_SQL["begin_suspects"], keys)
        return [None] * len(keys)

    async def _clear(self, keys: Sequence[bytes]) -> Sequence[None]:
        """Forget each."""
        async with self._lent() as connection:
            await connection.execute(_SQL["clear_suspects"], keys)
        return [None] * len(keys)

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Connection]:
        """Lend a connection; what goes wrong is not the fault of the message that is noted."""
        try:
            async with self._database.connection() as connection:
                yield connection
        except asyncpg.PostgresError as error:
            raise UnavailableError(f"a suspect cannot be noted: {text_of(error)}") from error
