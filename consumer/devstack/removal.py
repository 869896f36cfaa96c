"""Removes containers whose parent was killed: `python -P removal.py LABEL`.

Standard input is the parent's. Where the parent says a word before it ends, it has removed them
itself; where the input just ends, the parent died.
"""

import sys
import time

import docker

_LATE = 3.0  # seconds in which the engine may still finish what the parent asked of it


def main(label: str) -> None:
    """Wait for the parent's end, and remove what bears the label, running or not."""
    if sys.stdin.read():
        return
    client = docker.from_env()
    for pause in (0.0, _LATE):
        time.sleep(pause)
        for container in client.containers.list(all=True, filters={"label": label}):
            container.remove(force=True, v=True)


if __name__ == "__main__":
    main(sys.argv[1])
