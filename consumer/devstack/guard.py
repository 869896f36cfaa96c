"""A guard around one private server: it ends with its parent, however the parent ended.

`python guard.py FOLDER SIGNAL USER COMMAND...` runs COMMAND (as USER, `-` for the same one) and
waits. When standard input ends, which is when the parent closes it or dies, the server gets SIGNAL
and, after a grace, SIGKILL; then FOLDER is removed (`-` for none). When the guard itself is killed
the kernel sends SIGNAL to COMMAND (prctl(2), PR_SET_PDEATHSIG), but not to what COMMAND started: it
has to be the server itself, or a script that becomes it by exec. Linux only, standard library only.
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
from functools import partial
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_GRACE = 5.0
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LIBC = ctypes.CDLL(None, use_errno=True)


def _die_with(guard: int, ending: signal.Signals) -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, ending)
    if os.getppid() != guard:  # it died before the kernel was asked
        os.kill(os.getpid(), signal.SIGKILL)
    for ignored in _IGNORED:  # what the guard ignores its server would inherit
        signal.signal(ignored, signal.SIG_DFL)


def main(folder: str, ending: str, user: str, *command: str) -> int:
    """Run the command until standard input or the command ends; give its exit code."""
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=partial(_die_with, os.getpid(), signal.Signals[ending]),  # noqa: PLW1509 (this program has one thread)
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
    for deaf in _IGNORED:
        signal.signal(deaf, signal.SIG_IGN)
    sys.exit(main(*sys.argv[1:]))
