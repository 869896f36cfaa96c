"""The database does what databases do, on a server of the trial's own with defaults against us."""

import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import repeat
from pathlib import Path

import pytest

from consumer.devstack.platform import create_workspaces
from consumer.devstack.postgres import Server, private_server
from consumer.store.migrate import migrate
from tests.faults.harms import HARMS, ON_A_SMALL_DISK, ROLE, SETUPS, Harm, url_of
from tests.support.harm import harmed
from tests.support.load import Load, loading
from tests.support.ready import Ready
from tests.support.siege import Urls
from tests.support.threads import beside_the_loop
from tests.support.trial import SEED, Trying, connected, settled

_AGAINST_US = (
    "synchronous_commit=off",
    "wal_writer_delay=10000",
    "wal_writer_flush_after=1GB",
    "default_transaction_isolation=serializable",
    "deadlock_timeout=20ms",
    "max_connections=40",
)
"""Where nothing else is said, a crash loses commits, and a statement may fail to be serialized."""
_SHORTLY = (
    "database restarted", "database crashed", "database lost a backend", "sessions terminated",
    "connections used up", "tables locked beyond statement_timeout", "serialization failures",
)  # fmt: skip


@asynccontextmanager
async def serving(place: Path | None = None) -> AsyncIterator[Server]:
    """Run a server with a migrated database, and the program's role."""
    async with beside_the_loop(private_server(settings=_AGAINST_US, place=place)) as server:
        await create_workspaces(server.url)
        await migrate(server.url)
        async with connected(server.url) as admin:
            await admin.execute(f"create role {ROLE} login")
            await admin.execute(f"grant pg_read_all_data, pg_write_all_data to {ROLE}")
        yield server


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Start a server."""
    async with serving() as server:
        yield server


@asynccontextmanager
async def loaded(server: Server, amqp: str) -> AsyncIterator[tuple[Urls, Load]]:
    """Put a load on a server, and have what that stands on written for good."""
    urls = Urls(amqp, server.url)
    async with connected(server.url) as admin, loading(amqp, admin, SEED) as sent:
        await admin.execute("checkpoint")
        yield urls, sent


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """Mount a disk that is soon full, where PostgreSQL's account may go too."""
    folder = tempfile.mkdtemp(prefix="workspace-lifecycle-disk-")
    mount = ["mount", "-t", "tmpfs", "-o", "size=192m,mode=755", "tmpfs", folder]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
        Path(folder).chmod(0o755)
        yield Path(folder)
        subprocess.run(["umount", "--lazy", folder], check=True)
    finally:
        Path(folder).rmdir()


async def prepared(server: Server, *harms: str) -> None:
    """Say to the database what some harms need."""
    async with connected(server.url) as admin:
        for harm in harms:
            if harm in SETUPS:
                await admin.execute(SETUPS[harm])


async def does(
    server: Server, urls: Urls, sent: Load, harms: Iterable[Harm], times: Iterable[int]
) -> None:
    """Do harms to a server, one after the other, while a program runs on it."""
    following = iter(harms)

    async def harm(_: Ready) -> None:
        await next(following)(server)

    await harmed(Urls(urls.amqp, url_of(server)), sent, harm, times)


@pytest.mark.timeout(300)
async def test_whatever_the_database_does_nothing_is_lost_or_doubled(
    server: Server, declared_url: str
) -> None:
    """One harm after the other, once each; the program lives through all of them."""
    await prepared(server, *_SHORTLY)
    harms = [HARMS[name] for name in _SHORTLY]
    async with loaded(server, declared_url) as (urls, sent):
        await does(server, urls, sent, harms, range(len(harms)))
        found = await settled(urls, sent)
    assert found.valid(), found


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", HARMS)
async def test_the_database_does_it_again_and_again(
    server: Server, declared_url: str, trial: Trying, name: str
) -> None:
    """One kind many times over; FAULTS_SEED replays it."""
    await prepared(server, name)
    async with (
        loaded(server, declared_url) as (urls, sent),
        trial(name, urls, sent) as going,
    ):
        await does(server, urls, sent, repeat(HARMS[name]), going.again())


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("name", "harm", "said"), ON_A_SMALL_DISK)
async def test_the_disk_is_full_again_and_again(
    small_disk: Path, declared_url: str, trial: Trying, name: str, harm: Harm, said: str
) -> None:
    """There is no room for tables, or none for the log, and then there is."""
    async with (
        serving(small_disk) as server,
        loaded(server, declared_url) as (urls, sent),
        trial(name, urls, sent) as going,
    ):
        await does(server, urls, sent, repeat(harm), going.again())
        assert said in (server.folder / "log").read_text()
