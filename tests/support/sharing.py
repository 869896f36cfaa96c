"""One stack for a run in several processes (`pytest -n`): the first process holds it for all."""

from contextlib import ExitStack
from dataclasses import asdict

import pytest
from xdist.workermanage import WorkerController

from consumer.devstack.stack import Stack, embedded

_HELD = pytest.StashKey[tuple[ExitStack, Stack]]()


def shared_stack(config: pytest.Config) -> Stack | None:
    """Give the stack that the first process holds; None where this is the only one."""
    given = getattr(config, "workerinput", {}).get("stack")
    return Stack(**given) if given else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Bring the stack up before the first of the other processes starts, and tell each of it."""
    config: pytest.Config = node.config
    if _HELD not in config.stash:
        rooms = ExitStack()
        config.stash[_HELD] = rooms, rooms.enter_context(embedded(print))
    node.workerinput["stack"] = asdict(config.stash[_HELD][1])


def pytest_unconfigure(config: pytest.Config) -> None:
    """End it after the last test."""
    if _HELD in config.stash:
        config.stash[_HELD][0].close()
