"""What databases do to those who use them; each harm is over when its coroutine ends."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import asyncpg

from consumer.devstack.postgres import Server
from tests.support.trial import SECONDS, connected

ROLE = "program"
Harm = Callable[[Server], Awaitable[None]]
_WHILE = 1.0
_RECOVERED = 10.0
"""Seconds in which a server that restarts by itself serves again."""
_SEGMENTS = 20
_MUCH = "repeat('x', 4000000)"
_TABLES = (
    "workspaces", "lifecycle.operation", "lifecycle.target", "lifecycle.inbox", "lifecycle.outbox",
)  # fmt: skip
_CONFLICTS = f"""
    create table trial_conflict (share float not null);
    grant select on trial_conflict to {ROLE};
    create function trial_conflict() returns trigger language plpgsql as $$ begin
        if random() < (select coalesce(max(share), 0) from trial_conflict) then
            raise serialization_failure using message = 'provoked';
        end if;
        return null;
    end $$;
"""
_CONFLICT = """
    create trigger conflict before insert or update or delete on {} for each statement
    execute function trial_conflict();
"""
SETUPS: Mapping[str, str] = {
    "tables locked beyond statement_timeout": f"alter role {ROLE} set statement_timeout = '250ms'",
    "rows locked beyond lock_timeout": f"alter role {ROLE} set lock_timeout = '100ms'",
    "rows locked beyond transaction_timeout": f"""
        alter role {ROLE} set transaction_timeout = '250ms'
    """,
    "serialization failures": _CONFLICTS + "".join(map(_CONFLICT.format, _TABLES)),
    "sessions ended for being idle": f"""
        alter role {ROLE} set idle_session_timeout = '200ms';
        alter role {ROLE} set idle_in_transaction_session_timeout = '20ms';
    """,
}
"""What is said to the database before the program starts."""


def url_of(server: Server) -> str:
    """Give the URL of the program's own role, which is no superuser."""
    return server.url.replace("postgres@", f"{ROLE}@")


async def _ended(server: Server, ending: signal.Signals, seconds: float) -> None:
    await asyncio.to_thread(server.down, ending)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(server.up)


async def restarted(server: Server) -> None:
    """End it in order, as for an update."""
    await _ended(server, signal.SIGINT, 0)


async def crashed(server: Server) -> None:
    """End it as a crash does: what was not written is lost."""
    await _ended(server, signal.SIGQUIT, 0)


async def gone(server: Server) -> None:
    """Have it away for long, up to a minute, while the broker is there."""
    await _ended(server, signal.SIGQUIT, min(SECONDS / 3, 60))


async def lost_a_backend(server: Server) -> None:
    """Kill one session's process: the server then ends all of them, and recovers."""
    pid = None
    async with connected(server.url) as admin:
        while pid is None:
            session = "select min(pid) from pg_stat_activity where usename = $1"
            pid = await admin.fetchval(session, ROLE)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    await asyncio.sleep(0.2)
    await answering(server)


async def terminated(server: Server) -> None:
    """End every session of the program, and the next ones, twenty times a second."""
    async with connected(server.url) as admin:
        for _ in range(20):
            await _terminate(admin)
            await asyncio.sleep(_WHILE / 20)


async def _terminate(admin: "asyncpg.Connection[asyncpg.Record]", *but: int) -> None:
    query = "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1"
    await admin.execute(f"{query} and pid <> all($2)", ROLE, list(but))


async def used_up(server: Server) -> None:
    """Take every connection that the program could have, those that it has among them."""
    async with AsyncExitStack() as exits, connected(server.url) as admin:
        mine: list[int] = []
        for _ in range(5):
            with suppress(asyncpg.TooManyConnectionsError):
                while True:
                    one = await exits.enter_async_context(connected(url_of(server)))
                    mine.append(one.get_server_pid())
            await _terminate(admin, *mine)
        await asyncio.sleep(_WHILE)


async def tables_locked(server: Server) -> None:
    """Hold a lock on every table that the program reads or writes, as for a migration."""
    async with connected(server.url) as other:
        for _ in range(20):
            with suppress(asyncpg.DeadlockDetectedError):
                async with other.transaction(isolation="read_committed"):
                    await other.execute(f"lock table {', '.join(_TABLES)}")
                    await asyncio.sleep(_WHILE)
                break


async def rows_locked(server: Server) -> None:
    """Hold a lock on every workspace, as the platform may."""
    async with connected(server.url) as other:
        with suppress(asyncpg.DeadlockDetectedError):
            async with other.transaction(isolation="read_committed"):
                await other.execute("select from workspaces order by id for update")
                await asyncio.sleep(_WHILE)


async def crossed(server: Server) -> None:
    """Lock workspaces in the opposite order again and again, three sessions at once."""
    end = asyncio.get_running_loop().time() + _WHILE

    async def cross() -> None:
        async with connected(server.url) as other:
            while asyncio.get_running_loop().time() < end:
                with suppress(asyncpg.DeadlockDetectedError):
                    async with other.transaction(isolation="read_committed"):
                        rows = await other.fetch("select id from workspaces order by id desc")
                        for row in rows[::3]:
                            lock = "select from workspaces where id = $1 for update"
                            await other.execute(lock, row["id"])

    await asyncio.gather(*(cross() for _ in range(3)))


async def conflicting(server: Server) -> None:
    """Have three statements in ten fail as if it could not be serialized."""
    async with connected(server.url) as admin:
        await admin.execute("insert into trial_conflict values (0.3)")
        await asyncio.sleep(_WHILE)
        await admin.execute("delete from trial_conflict")


async def filled(server: Server) -> None:
    """Leave no byte on the disk of its tables, for a while.

    Where that left none for its log it has ended, and is started again.
    """
    async with _no_space(server):
        await asyncio.sleep(_WHILE)
    try:
        async with asyncio.timeout(_RECOVERED):
            await answering(server)
    except TimeoutError:
        await _ended(server, signal.SIGQUIT, 0)


async def panicked(server: Server) -> None:
    """Leave none while it needs more for its log, which ends it; then make room, and start it."""
    async with _no_space(server):
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            async with connected(server.url) as admin:
                for _ in range(_SEGMENTS):
                    await admin.execute(f"select pg_logical_emit_message(true, '', {_MUCH})")
    await _ended(server, signal.SIGQUIT, 0)


@asynccontextmanager
async def _no_space(server: Server) -> AsyncIterator[None]:
    ballast = server.folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(2**16))
    assert shutil.disk_usage(server.folder).free == 0
    try:
        yield
    finally:
        ballast.unlink()


async def idle(_: Server) -> None:
    """Do nothing: the role's own settings do."""
    await asyncio.sleep(_WHILE / 2)


async def answering(server: Server) -> None:
    """Wait until it lets one in."""
    while not await asyncio.to_thread(server.serves):  # noqa: ASYNC110 - cannot wake us
        await asyncio.sleep(0.05)


HARMS: Mapping[str, Harm] = {
    "database restarted": restarted,
    "database crashed": crashed,
    "database gone for long": gone,
    "database lost a backend": lost_a_backend,
    "sessions terminated": terminated,
    "connections used up": used_up,
    "tables locked beyond statement_timeout": tables_locked,
    "rows locked beyond lock_timeout": rows_locked,
    "rows locked beyond transaction_timeout": rows_locked,
    "deadlocks": crossed,
    "serialization failures": conflicting,
    "sessions ended for being idle": idle,
}
ON_A_SMALL_DISK = (
    ("disk full", filled, "could not extend file"),
    ("disk full for the database's log", panicked, 'could not write to file "pg_wal/xlogtemp'),
)
"""With what the server says of it, or else it was none."""
