"""A private RabbitMQ node from installed binaries: own folder, own ports, own epmd."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from consumer.devstack.management import answers
from consumer.devstack.server import (
    HOST,
    Guarded,
    StackError,
    free_ports,
    listens,
    start,
    wait,
)

_SCRIPTS = (
    "/usr/lib/rabbitmq/bin/rabbitmq-server",
    "/opt/rabbitmq/sbin/rabbitmq-server",
    "/usr/local/sbin/rabbitmq-server",
    "/opt/homebrew/sbin/rabbitmq-server",
)
_UNPACKED = "rabbitmq_server-*/sbin/rabbitmq-server"  # the generic archive, as it comes
_MEMORY = "/dev/shm"  # noqa: S108 (a folder of its own is made in it)
_PLENTY = 4 * 2**30
_CONFIGURATION = """\
listeners.tcp.1 = {host}:{amqp}
management.tcp.ip = {host}
management.tcp.port = {management}
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.relative = 0.6
log.file.level = warning
collect_statistics_interval = 60000
"""
_MISSING = (
    "no RabbitMQ was found: start Docker, or install it (apt-get install rabbitmq-server), or set "
    "LIFECYCLE_AMQP_URL to a broker on which tests may create vhosts"
)


@contextmanager
def private_broker(say: Callable[[str], None]) -> Iterator[tuple[str, str]]:
    """Run a node; give its AMQP URL and its management URL.

    Raises:
        StackError: there is no RabbitMQ here, or it did not start.

    """
    with private_node(say) as node:
        yield node.amqp, node.management


class Node:
    """A private node. `up` and `down` may follow each other: its data stays until the block ends.

    `more` is added to its configuration, `plugins` are enabled beside the management's.

    Attributes:
        amqp, management: its URLs.

    """

    def __init__(
        self, script: Path, folder: Path, names: int, more: str, plugins: Sequence[str]
    ) -> None:
        amqp, management, distribution = free_ports(3)
        self.amqp = f"amqp://guest:guest@{HOST}:{amqp}/"
        self.management = f"http://guest:guest@{HOST}:{management}"
        self._script, self._folder, self._amqp = script, folder, amqp
        self._environment = _environment(folder, amqp, management, distribution, names)
        with (folder / "rabbitmq.conf").open("a") as configuration:
            configuration.write(more)
        enabled = ", ".join(("rabbitmq_management", *plugins))
        (folder / "enabled_plugins").write_text(f"[{enabled}].")
        self._server: Guarded | None = None

    def up(self) -> None:
        """Start it, and wait until it answers."""
        self._server = start(
            [self._script], log=self._folder / "log", environment=self._environment
        )
        wait("RabbitMQ", self._server, lambda: listens(self._amqp) and answers(self.management))

    def down(self) -> None:
        """Kill it."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def ctl(self, *arguments: str) -> None:
        """Run `rabbitmqctl` on it."""
        program = str(self._script.with_name("rabbitmqctl"))
        done = subprocess.run(
            [program, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise StackError(f"rabbitmqctl {arguments[0]} failed: {done.stderr.strip()}")


@contextmanager
def private_node(
    say: Callable[[str], None], more: str = "", plugins: Sequence[str] = ()
) -> Iterator[Node]:
    """Run a node that can be stopped and started again.

    Raises:
        StackError: there is no RabbitMQ here, or it did not start.

    """
    script = installed() or _install(say)
    names_server = _epmd()
    folder = Path(tempfile.mkdtemp(prefix="workspace-lifecycle-rabbitmq-", dir=_in_memory()))
    (names,) = free_ports(1)
    node = Node(script, folder, names, more, plugins)
    # The last to end: its guard takes the folder away where this process was killed.
    epmd = start(
        [names_server, "-port", str(names)],
        log=folder / "epmd.log",
        folder=folder,
        environment={"ERL_EPMD_ADDRESS": HOST},
    )
    try:
        wait("epmd", epmd, lambda: listens(names))
        node.up()
        yield node
    finally:
        node.down()
        epmd.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _in_memory() -> str | None:
    """Choose memory where there is plenty: half of the time of a small node goes into fsync."""
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK):
        return None
    return _MEMORY if shutil.disk_usage(_MEMORY).free > _PLENTY else None


def installed() -> Path | None:
    """Find the server's own script: the one on PATH may be Debian's wrapper, which wants root."""
    found = shutil.which("rabbitmq-server")
    unpacked = sorted(Path("/opt").glob(_UNPACKED), reverse=True)
    candidates = [*map(Path, _SCRIPTS), *unpacked, *([Path(found).resolve()] if found else [])]
    return next((one for one in candidates if os.access(one, os.X_OK)), None)


def _install(say: Callable[[str], None]) -> Path:
    """Install Debian's package, as root, without the service it would start."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise StackError(_MISSING)
    say("no Docker and no RabbitMQ here: installing rabbitmq-server with apt-get")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _without_services():
        for command in (["update", "-q"], ["install", "-q", "-y", "rabbitmq-server"]):
            done = subprocess.run(
                ["apt-get", *command], env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                last = (done.stderr.strip() or "it said nothing").splitlines()[-1]
                raise StackError(f"apt-get {command[0]} failed: {last}. {_MISSING}")
    script = installed()
    if script is None:
        raise StackError(_MISSING)
    return script


@contextmanager
def _without_services() -> Iterator[None]:
    """Keep the package from starting a broker on the standard port: see invoke-rc.d(8)."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def _epmd() -> Path:
    """Find Erlang's port mapper, which is not always on PATH."""
    homes = (Path("/usr/lib/erlang"), Path("/usr/local/lib/erlang"))
    places = [place for home in homes for place in home.glob("erts-*/bin/epmd")]
    found = shutil.which("epmd") or next((str(place) for place in places), None)
    if found is None:
        raise StackError("RabbitMQ is here but Erlang's epmd is not: reinstall erlang-base")
    return Path(found)


def _environment(
    folder: Path, amqp: int, management: int, distribution: int, names: int
) -> dict[str, str]:
    """Point everything the node reads or writes into its folder."""
    (folder / "rabbitmq.conf").write_text(
        _CONFIGURATION.format(host=HOST, amqp=amqp, management=management)
    )
    (folder / "rabbitmq-env.conf").touch()
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "ERL_CRASH_DUMP": "/dev/null",  # or a node whose folder goes dumps where we were started
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": HOST,
        "RABBITMQ_NODENAME": f"lifecycle-{uuid4().hex[:8]}@localhost",
        "RABBITMQ_NODE_PORT": str(amqp),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "logs"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
        # Where input is "allowed" the script becomes Erlang by exec, else it stays its parent and
        # Erlang outlives a killed guard. That there is no input is then ours to say.
        "RABBITMQ_ALLOW_INPUT": "true",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            "-noinput -start_epmd false -kernel inet_dist_use_interface {127,0,0,1}"
        ),
    }
