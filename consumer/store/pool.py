"""Connections, transactions, and what a failing database means for who asked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias, TypeVar

import asyncpg

from consumer.address import AddressError, check_files, place, query_of
from consumer.foreseen import ForeseenError
from consumer.message import UnavailableError
from consumer.observe import say
from consumer.store.keepalive import keep_alive
from consumer.store.statements import load
from consumer.tls import Names, refused

Connection: TypeAlias = (
    "asyncpg.pool.PoolConnectionProxy[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]"
)
"""A connection, lent by a pool or opened alone."""

_SQL = load("pool")
_AGAIN = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a session that ended between two messages of its protocol
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
)
_UNFIT = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.InsufficientPrivilegeError,
)
_TRIES = 8
STEADY = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
}
"""Every row that the program's work touches is found by an index: it costs what it touches. A
planner that cannot know the tree, nor anything of new tables, would at times read whole ones; and
to plan a walk anew for each tree takes longer than the walk."""
SESSION = {
    "application_name": "workspace-lifecycle",
    "default_transaction_isolation": "read committed",
    "synchronous_commit": "on",
}
"""What our promises rest on, whatever the database's defaults are: what is acknowledged was written
for good, and a statement takes the rows as they are when it gets them."""
SCHEMES = ("postgresql", "postgres")
EXAMPLE = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
TLS = Names(ca="sslrootcert", certificate="sslcert", key="sslkey")
_VERIFYING = ("require", "verify-ca", "verify-full")
_T = TypeVar("_T")


class NotAdmittedError(UnavailableError):
    """Waiting is no use: the database refuses our role or certificate, or we refuse its."""


class UnfitError(ForeseenError):
    """A table, a column or a right is not there: this is another database, or another role."""


class StaleError(Exception):
    """What was planned is no longer what is there: plan again."""


def text_of(error: BaseException) -> str:
    """Name an error in one line without the values that stood in the statement."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


class Database:
    """A pool of connections to PostgreSQL."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def run(self, work: Callable[[Connection], Awaitable[_T]]) -> _T:
        """Do `work` in one READ COMMITTED transaction, again where it met another one's lock.

        Raises:
            UnavailableError: the database cannot be reached or cannot serve now.

        """
        for tried in range(_TRIES):
            try:
                async with (
                    self._pool.acquire() as connection,
                    connection.transaction(isolation="read_committed"),
                ):
                    return await work(connection)
            except (StaleError, *_AGAIN) as error:
                say("transaction.retried", why=text_of(error), tried=tried + 1)
                await asyncio.sleep(0.01 * tried)
            except AWAY as error:
                raise UnavailableError(
                    f"the database is not available: {text_of(error)}"
                ) from error
        raise UnavailableError(f"the transaction met others {_TRIES} times and was left for later")

    async def run_briefly(self, work: Callable[[Connection], Awaitable[_T]]) -> _T:
        """Do `work` in one such transaction, once, and without waiting long for anybody.

        Raises:
            StaleError: it met another one's lock, or what was planned is no longer there.
            UnavailableError: as `run`.

        """
        try:
            async with (
                self._pool.acquire() as connection,
                connection.transaction(isolation="read_committed"),
            ):
                await connection.execute(_SQL["wait_briefly"])
                return await work(connection)
        except (asyncpg.LockNotAvailableError, *_AGAIN) as error:
            raise StaleError(text_of(error)) from error
        except AWAY as error:
            raise UnavailableError(f"the database is not available: {text_of(error)}") from error

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection outside any transaction.

        Raises:
            UnavailableError: as `run`.

        """
        try:
            async with self._pool.acquire() as connection:
                yield connection
        except (*_AGAIN, *AWAY) as error:
            raise UnavailableError(f"the database is not available: {text_of(error)}") from error


@contextmanager
def admitting(url: str) -> Iterator[None]:
    """Look at a URL before it is used, and turn what connecting raises into our own.

    Raises:
        UnavailableError: the database cannot be reached now.
        NotAdmittedError: the URL cannot be used, or the database does not let us in.

    """
    _check(url)
    try:
        yield
    except (*AWAY, asyncpg.PostgresError, ValueError) as error:
        name = f"the database at {place(url)}"
        if why := refused(error, TLS):
            raise NotAdmittedError(f"{name} is not available: {why}") from error
        if "rejected SSL upgrade" in str(error):
            raise NotAdmittedError(f"{name} has no TLS, and sslmode= asks for it") from error
        is_away = isinstance(error, AWAY) and not isinstance(error, ValueError)
        kind = UnavailableError if is_away else NotAdmittedError
        raise kind(f"{name} is not available: {text_of(error)}") from error


def _check(url: str) -> None:
    try:
        query = query_of(url, SCHEMES, EXAMPLE)
        check_files(query, TLS)
    except AddressError as error:
        raise NotAdmittedError(f"the database URL: {error}") from None
    if TLS.ca in query and query.get("sslmode") not in _VERIFYING:
        # Without it, asyncpg neither looks at the CA nor minds an unencrypted connection.
        raise NotAdmittedError("the database URL: sslrootcert= takes sslmode=verify-full")


@asynccontextmanager
async def opened(url: str, size: int, *, steady: bool = False) -> AsyncIterator[Database]:
    """Open a pool of at most `size` connections, and close it at the end.

    `steady`: for the program's own work, whose plans may not depend on what the tables held when
    they were last looked at.

    Raises:
        UnavailableError: the database cannot be reached now.
        NotAdmittedError: it can, and does not let us in.
        UnfitError: what the block wanted of it is not there.

    """
    with admitting(url):
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            command_timeout=300,
            timeout=10,
            init=keep_alive,
            server_settings=SESSION | (STEADY if steady else {}),
        )
    try:
        yield Database(pool)
    except _UNFIT as error:
        raise UnfitError(
            f"the database at {place(url)} is not the one, or not open to this role: "
            f"{text_of(error)}: see its URL, and `workspace-lifecycle doctor`"
        ) from error
    finally:
        await _close(pool)


async def _close(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    """Close in order, or at once where a connection does not answer."""
    try:
        await asyncio.wait_for(pool.close(), 5)
    except (TimeoutError, *AWAY):
        pool.terminate()
