"""A private RabbitMQ node from installed binaries: own folder, own ports, own epmd."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from consumer.devstack.management import answers
from consumer.devstack.packages import epmd_program, install, installed
from consumer.devstack.server import (
    HOST,
    Guarded,
    StackError,
    free_ports,
    in_memory,
    listens,
    start,
    wait,
)

_CONFIGURATION = """\
listeners.tcp.1 = {host}:{amqp}
management.tcp.ip = {host}
management.tcp.port = {management}
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.relative = 0.6
log.file.level = warning
collect_statistics_interval = 60000
"""
_CLUSTER = """\
cluster_partition_handling = autoheal
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.randomized_startup_delay_range.min = 0
cluster_formation.randomized_startup_delay_range.max = 1
"""
_MEMBER = "cluster_formation.classic_config.nodes.{} = {}\n"


@contextmanager
def private_broker(say: Callable[[str], None]) -> Iterator[tuple[str, str]]:
    """Run a node; give its AMQP URL and its management URL.

    Raises:
        StackError: there is no RabbitMQ here, or it did not start.

    """
    with private_node(say) as node:
        yield node.amqp, node.management


@dataclass(frozen=True, slots=True)
class Home:
    """What nodes share: the server's script, a folder, the port of their epmd, and a secret."""

    script: Path
    folder: Path
    names: int
    cookie: str


class Node:
    """A private node. `up` and `down` may follow each other: its data stays until the block ends.

    `more` is added to its configuration, `plugins` are enabled beside the management's.

    Attributes:
        name: its name among Erlang's nodes.
        amqp, management: its URLs.

    """

    def __init__(
        self,
        home: Home,
        more: str = "",
        plugins: Sequence[str] = (),
        *,
        name: str | None = None,
        ticktime: int = 60,
    ) -> None:
        amqp, management, distribution = free_ports(3)
        self.name = name or _name()
        self.amqp = f"amqp://guest:guest@{HOST}:{amqp}/"
        self.management = f"http://guest:guest@{HOST}:{management}"
        self._script, self._amqp = home.script, amqp
        self._folder = home.folder / self.name
        self._folder.mkdir()
        self._environment = _environment(self._folder, self.name, amqp, distribution, home.names)
        self._environment["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] += (
            f" -kernel net_ticktime {ticktime}"
        )
        conf = _CONFIGURATION.format(host=HOST, amqp=amqp, management=management)
        (self._folder / "rabbitmq.conf").write_text(conf + more)
        (self._folder / "rabbitmq-env.conf").touch()
        enabled = ", ".join(("rabbitmq_management", *plugins))
        (self._folder / "enabled_plugins").write_text(f"[{enabled}].")
        cookie = self._folder / ".erlang.cookie"
        cookie.write_text(home.cookie)
        cookie.chmod(0o400)
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

    def pause(self) -> None:
        """Let it do nothing more, as on a machine that hangs, until `resume` or `down`."""
        os.kill(self._pid(), signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self._pid(), signal.SIGCONT)

    def ctl(self, *arguments: str) -> str:
        """Run `rabbitmqctl` on it; give what that says."""
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
        return done.stdout

    def _pid(self) -> int:
        return int((self._folder / "pid").read_text())


@contextmanager
def private_node(
    say: Callable[[str], None], more: str = "", plugins: Sequence[str] = ()
) -> Iterator[Node]:
    """Run a node that can be stopped and started again.

    Raises:
        StackError: there is no RabbitMQ here, or it did not start.

    """
    with _home(say) as home:
        node = Node(home, more, plugins)
        try:
            node.up()
            yield node
        finally:
            node.down()


@contextmanager
def private_cluster(
    say: Callable[[str], None], ticktime: int = 60, size: int = 3
) -> Iterator[Sequence[Node]]:
    """Run nodes that are one cluster, each of which can be stopped and started again.

    `ticktime` is the number of seconds after which they give one up that does not answer.

    Raises:
        StackError: there is no RabbitMQ here, or it did not start.

    """
    with _home(say) as home:
        names = [_name() for _ in range(size)]
        known = "".join(_MEMBER.format(number, name) for number, name in enumerate(names, 1))
        nodes = [Node(home, f"{_CLUSTER}{known}", name=name, ticktime=ticktime) for name in names]
        try:
            first, *others = nodes
            first.up()
            up(others)
            yield nodes
        finally:
            for node in nodes:
                node.down()


def up(nodes: Sequence[Node]) -> None:
    """Start nodes that wait for each other."""
    with ThreadPoolExecutor(len(nodes)) as threads:
        for _ in threads.map(Node.up, nodes):
            pass


@contextmanager
def _home(say: Callable[[str], None]) -> Iterator[Home]:
    script = installed() or install(say)
    names_server = epmd_program()
    folder = Path(tempfile.mkdtemp(prefix="workspace-lifecycle-rabbitmq-", dir=in_memory()))
    (names,) = free_ports(1)
    # The last to end: its guard takes the folder away where this process was killed.
    epmd = start(
        [names_server, "-port", str(names)],
        log=folder / "epmd.log",
        folder=folder,
        environment={"ERL_EPMD_ADDRESS": HOST},
    )
    try:
        wait("epmd", epmd, lambda: listens(names))
        yield Home(script, folder, names, uuid4().hex)
    finally:
        epmd.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _name() -> str:
    return f"lifecycle-{uuid4().hex[:8]}@localhost"


def _environment(
    folder: Path, name: str, amqp: int, distribution: int, names: int
) -> dict[str, str]:
    """Point everything the node reads or writes into its folder."""
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "ERL_CRASH_DUMP": "/dev/null",  # or a node whose folder goes dumps where we were started
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": HOST,
        "RABBITMQ_NODENAME": name,
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
