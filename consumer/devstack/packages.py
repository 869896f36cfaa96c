"""RabbitMQ as it is installed here: found, or installed where that can be done."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from consumer.devstack.server import StackError

_SCRIPTS = (
    "/usr/lib/rabbitmq/bin/rabbitmq-server",
    "/opt/rabbitmq/sbin/rabbitmq-server",
    "/usr/local/sbin/rabbitmq-server",
    "/opt/homebrew/sbin/rabbitmq-server",
)
_UNPACKED = "rabbitmq_server-*/sbin/rabbitmq-server"  # the generic archive, as it comes
_MISSING = (
    "no RabbitMQ was found: start Docker, or install it (apt-get install rabbitmq-server), or set "
    "LIFECYCLE_AMQP_URL to a broker on which tests may create vhosts"
)


def installed() -> Path | None:
    """Find the server's own script: the one on PATH may be Debian's wrapper, which wants root."""
    found = shutil.which("rabbitmq-server")
    unpacked = sorted(Path("/opt").glob(_UNPACKED), reverse=True)
    candidates = [*map(Path, _SCRIPTS), *unpacked, *([Path(found).resolve()] if found else [])]
    return next((one for one in candidates if os.access(one, os.X_OK)), None)


def install(say: Callable[[str], None]) -> Path:
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


def epmd_program() -> Path:
    """Find Erlang's port mapper, which is not always on PATH."""
    homes = (Path("/usr/lib/erlang"), Path("/usr/local/lib/erlang"))
    places = [place for home in homes for place in home.glob("erts-*/bin/epmd")]
    found = shutil.which("epmd") or next((str(place) for place in places), None)
    if found is None:
        raise StackError("RabbitMQ is here but Erlang's epmd is not: reinstall erlang-base")
    return Path(found)
