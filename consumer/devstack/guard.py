"""A guard around one private server: it ends with its parent, however the parent ended.

`python guard.py FOLDER SIGNAL USER COMMAND...` runs COMMAND (as USER, `-` for the same one) and
waits. When standard input ends, which is when the parent closes it or dies, the server gets SIGNAL
and, after a grace, SIGKILL; then FOLDER is removed (`-` for none). When the guard itself is killed
the kernel kills the server (prctl(2), PR_SET_PDEATHSIG). Linux only, standard library only.
"""

import ctypes
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_GRACE = 5.0
_LIBC = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(folder: str, ending: str, user: str, *command: str) -> int:
    """Run the command until standard input or the command ends; give its exit code."""
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_die_with_parent,  # noqa: PLW1509 (this program has one thread)
        user=None if user == "-" else user,
        group=None if user == "-" else _group_of(user),
        extra_groups=None if user == "-" else [],
    )
    ended, _, _ = select.select([sys.stdin, os.pidfd_open(server.pid)], [], [])
    _end(server, signal.Signals[ending])
    # A server that ended by itself leaves its log to the parent, who wants to know why.
    if folder != "-" and sys.stdin in ended:
        shutil.rmtree(Path(folder), ignore_errors=True)
    return server.returncode


def _group_of(user: str) -> int:
    return pwd.getpwnam(user).pw_gid


def _end(server: subprocess.Popen[bytes], ending: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(server.pid, ending)
    try:
        server.wait(_GRACE)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    sys.exit(main(*sys.argv[1:]))
