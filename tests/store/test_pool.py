"""The pool: what another transaction did is tried again, what the database cannot is said."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from consumer.message import UnavailableError
from consumer.observe import listening
from consumer.store.migrate import connect
from consumer.store.outbox import try_relay
from consumer.store.pool import Connection, Database, StaleError, opened
from tests.support.forest import Forest

MARK = "update workspaces set name = name || $2 where id = $1"


@pytest.fixture
def nowhere_url(database_url: str) -> str:
    """Give the URL of a server that is not there."""
    return f"postgresql://nobody@127.0.0.1:1/{database_url.rpartition('/')[2]}"


async def test_a_deadlock_is_tried_again_and_both_take_effect(
    pool: Database, forest: Forest
) -> None:
    """Two transactions that lock two rows crosswise both commit, each exactly once."""
    await forest.plant("a", "b")
    retried: list[str] = []
    both_hold_one = asyncio.Barrier(2)
    met = 0

    async def crosswise(connection: Connection, order: list[UUID]) -> None:
        nonlocal met
        await connection.execute(MARK, order[0], "!")
        if met < 2:
            met += 1
            await both_hold_one.wait()
        await connection.execute(MARK, order[1], "!")

    def notice(fact: str, fields: Any) -> None:
        retried.append(f"{fact} {fields['why']}")

    there = [forest.ids["a"], forest.ids["b"]]
    with listening(notice):
        await asyncio.gather(
            pool.run(lambda connection: crosswise(connection, there)),
            pool.run(lambda connection: crosswise(connection, there[::-1])),
        )
    assert set(await forest.statuses()) == {"a!!", "b!!"}
    assert {told.partition(":")[0] for told in retried} == {
        "transaction.retried DeadlockDetectedError"  # more than once where the victim was quicker
    }


async def test_a_stale_plan_is_made_again_and_nothing_of_the_first_stays(
    pool: Database, forest: Forest
) -> None:
    """StaleError rolls the transaction back and runs the work anew."""
    top = await forest.plant("top")
    tries = 0

    async def work(connection: Connection) -> int:
        nonlocal tries
        tries += 1
        await connection.execute(MARK, top, str(tries))
        if tries < 3:
            raise StaleError
        return tries

    assert await pool.run(work) == 3
    assert set(await forest.statuses()) == {"top3"}


async def test_what_stays_stale_is_left_for_later(pool: Database) -> None:
    """A transaction that never gets through ends as UnavailableError, after a bounded number."""
    tries = 0

    async def work(_: Connection) -> None:
        nonlocal tries
        tries += 1
        raise StaleError

    with pytest.raises(UnavailableError, match="met others"):
        await pool.run(work)
    assert 1 < tries < 20


async def test_a_failure_of_the_work_itself_is_not_tried_again(
    pool: Database, forest: Forest
) -> None:
    """An error that is nobody else's fault rolls back and comes out as it is."""
    top = await forest.plant("top")
    tries = 0

    async def work(connection: Connection) -> None:
        nonlocal tries
        tries += 1
        await connection.execute(MARK, top, "!")
        raise LookupError("a mistake of ours")

    with pytest.raises(LookupError, match="of ours"):
        await pool.run(work)
    assert tries == 1
    assert set(await forest.statuses()) == {"top"}


async def test_a_connection_that_is_cut_is_unavailable_and_the_pool_goes_on(
    pool: Database, forest: Forest
) -> None:
    """A backend that is terminated under the work is said so; the next work gets a new one."""
    top = await forest.plant("top")

    async def cut(connection: Connection) -> None:
        await connection.execute(MARK, top, "!")
        pid = await connection.fetchrow("select pg_backend_pid() as pid")
        assert pid is not None
        await forest.connection.fetchval("select pg_terminate_backend($1, 5000)", pid["pid"])
        await connection.execute(MARK, top, "?")

    async def mark(connection: Connection) -> None:
        await connection.execute(MARK, top, "2")

    with pytest.raises(UnavailableError, match="not available"):
        await pool.run(cut)
    await pool.run(mark)
    assert set(await forest.statuses()) == {"top2"}


async def test_a_lent_connection_that_is_cut_is_unavailable_too(
    pool: Database, forest: Forest
) -> None:
    """What holds for transactions holds for the relay's connection without one."""

    async def cut() -> None:
        async with pool.connection() as connection:
            pid = await connection.fetchrow("select pg_backend_pid() as pid")
            assert pid is not None
            await forest.connection.fetchval("select pg_terminate_backend($1, 5000)", pid["pid"])
            await connection.execute("select 1")

    with pytest.raises(UnavailableError, match="not available"):
        await cut()


@pytest.mark.parametrize(
    ("setting", "sleeps"),
    [
        ("statement_timeout", "select pg_sleep(9)"),
        ("transaction_timeout", "select pg_sleep(9)"),
        ("idle_in_transaction_session_timeout", "select 1"),
    ],
)
async def test_what_ran_out_of_time_is_unavailable(
    pool: Database, setting: str, sleeps: str
) -> None:
    """A limit that the database sets says nothing of the message: it is not counted against it."""

    async def linger(connection: Connection) -> None:
        known = "select set_config(name, '50ms', true) from pg_settings where name = $1"
        if await connection.fetchrow(known, setting) is None:
            pytest.skip(f"this PostgreSQL has no {setting}")
        await asyncio.sleep(0.3 if "idle" in setting else 0)
        await connection.execute(sleeps)

    with pytest.raises(UnavailableError, match="not available"):
        await pool.run(linger)


async def test_a_statement_that_ran_out_of_time_is_unavailable(
    pool: Database, forest: Forest
) -> None:
    """The same where it is a transaction by itself, and the session ends with it."""
    if forest.connection.get_server_version() < (17,):
        pytest.skip("this PostgreSQL has no transaction_timeout")
    with pytest.raises(UnavailableError, match="not available"):
        async with pool.connection() as connection:
            await connection.execute("set transaction_timeout = '50ms'")
            await connection.execute("select pg_sleep(9)")


@pytest.mark.parametrize(
    "failure", ["serialization_failure", "deadlock_detected", "disk_full", "io_error"]
)
async def test_a_failure_that_passes_is_unavailable_outside_a_transaction_too(
    pool: Database, failure: str
) -> None:
    """Nobody can do such a statement again but who asked for it."""
    with pytest.raises(UnavailableError, match="not available"):
        async with pool.connection() as connection:
            await connection.execute(
                f"do $$ begin raise {failure} using message = 'it passes'; end $$"
            )


async def test_a_session_does_not_go_by_the_databases_defaults(
    database_url: str, forest: Forest
) -> None:
    """What is committed stays, and a statement takes rows as they are, whoever set what."""
    name = database_url.rpartition("/")[2]
    for default in ("synchronous_commit = off", "default_transaction_isolation = serializable"):
        await forest.connection.execute(f'alter database "{name}" set {default}')
    async with opened(database_url, 1) as pool:
        for _ in range(2):  # and again, after the pool has reset it
            async with pool.connection() as connection:
                assert await connection.fetchval("show synchronous_commit") == "on"
                assert await connection.fetchval("show transaction_isolation") == "read committed"


async def test_a_session_that_ends_within_its_protocol_is_unavailable(pool: Database) -> None:
    """There is an error of its own for it in asyncpg, met where every session was ended at once."""
    with pytest.raises(UnavailableError, match="not available: InternalClientError"):
        async with pool.connection():
            raise asyncpg.InternalClientError("another operation (2) is in progress")


async def test_a_relays_right_does_not_outlive_its_loan(pool: Database, forest: Forest) -> None:
    """A connection that goes back to the pool holds no advisory lock, whoever forgot it."""

    async def forget() -> None:
        async with pool.connection() as connection:
            assert await try_relay(connection)
            assert not await try_relay(forest.connection)
            raise LookupError

    with pytest.raises(LookupError):
        await forget()
    assert await try_relay(forest.connection)


async def test_a_server_that_is_not_there_is_unavailable(nowhere_url: str) -> None:
    """Neither the pool nor a single connection lets the driver's own errors out."""
    with pytest.raises(UnavailableError, match="not available"):
        async with opened(nowhere_url, 2):
            raise AssertionError("there is nothing to open")
    with pytest.raises(UnavailableError, match="not available"):
        await connect(nowhere_url)


async def test_a_database_that_is_not_there_is_unavailable(database_url: str) -> None:
    """A server that serves but refuses is as good as none."""
    missing = f"{database_url.rpartition('/')[0]}/missing_{uuid4().hex}"
    with pytest.raises(UnavailableError, match="not available"):
        async with opened(missing, 2):
            raise AssertionError("there is nothing to open")


async def test_an_error_is_named_without_the_values_of_its_statement(
    pool: Database, forest: Forest
) -> None:
    """What is logged of a failure is one line, and never a row's content."""
    top = await forest.plant("top")
    said: list[str] = []

    async def twice(connection: Connection) -> None:
        await connection.execute(
            "do $$ begin raise serialization_failure using message = E'first\\nsecret',"
            " detail = 'secret'; end $$"
        )
        await connection.execute(MARK, top, "!")

    with (
        listening(lambda _, fields: said.append(fields["why"])),
        pytest.raises(UnavailableError),
    ):
        await pool.run(twice)
    assert set(said) == {"SerializationError: first"}
