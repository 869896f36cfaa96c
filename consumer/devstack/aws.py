"""A private AWS: moto's server, spoken to over HTTP by the real boto3."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from consumer.devstack.server import HOST, StackError, free_ports, listens, start, wait

_SERVE = "from moto.server import main; main()"


@contextmanager
def private_aws() -> Iterator[str]:
    """Run moto's server on the loopback interface; give its URL.

    Raises:
        StackError: moto is not installed, or did not start.

    """
    if find_spec("moto") is None:
        raise StackError(
            "moto is missing: pip install 'workspace-lifecycle[devstack]', or set AWS_ENDPOINT_URL"
        )
    folder = Path(tempfile.mkdtemp(prefix="workspace-lifecycle-moto-"))
    (port,) = free_ports(1)
    command = [sys.executable, "-c", _SERVE, "-H", HOST, "-p", str(port)]
    server = start(command, log=folder / "log", folder=folder)
    try:
        wait("moto", server, lambda: listens(port))
        yield f"http://{HOST}:{port}"
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
