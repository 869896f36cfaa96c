"""The broker: whether it answers, holds our topology as it should be, and lets us use it."""

from collections.abc import AsyncIterator, Sequence

from consumer.app import queues_of
from consumer.broker.connection import RefusedError, connected
from consumer.broker.nodes import urls_of
from consumer.broker.rights import Lack, lacking
from consumer.broker.topology import Found, TopologyError, examine
from consumer.doctor.finding import Finding
from consumer.message import UnavailableError
from consumer.settings import Settings
from schemas.catalog import (
    COMMANDS,
    COMMANDS_QUEUE,
    DEAD_LETTER,
    EVENTS,
    EXECUTOR_QUEUE,
    TRIGGERS_QUEUE,
)
from schemas.topology import WORK_QUEUES, dead

DEFAULT_EXCHANGE = ""
_DEAD = tuple(map(dead, (*WORK_QUEUES, TRIGGERS_QUEUE)))
_TAKEN = (COMMANDS_QUEUE, TRIGGERS_QUEUE)
_RUN = "start `workspace-lifecycle run`"


async def look(settings: Settings) -> AsyncIterator[Finding]:
    """Look at topology, rights, consumers and dead letters."""
    url = settings.amqp_url.get_secret_value()
    try:
        found = await examine(url, queues_of(settings))
        missing = [queue.name for queue in found if not queue.there]
        if missing:
            told = f"not declared yet: {', '.join(missing)}"
            yield Finding("broker", "note", told, "`workspace-lifecycle run` or `declare` does")
        else:
            compared = all(queue.compared for queue in found)
            how = ", with our arguments" if compared else "; this user may not compare it"
            yield Finding("broker", "ok", f"the topology is declared{how}")
            yield await _rights(url, [queue.name for queue in found if queue.name not in _DEAD])
        for queue in found:
            if finding := _held(queue):
                yield finding
        nodes = urls_of(url)
        for node in nodes if len(nodes) > 1 else ():
            if finding := await _away(node):
                yield finding
    except TopologyError as error:
        yield Finding("broker", "wrong", str(error))
    except UnavailableError as error:
        yield Finding("broker", "wrong", str(error), "see LIFECYCLE_AMQP_URL")


async def _away(node: str) -> Finding | None:
    """Tell of a node of several that would be no help if the others went away."""
    try:
        async with connected(node, "workspace-lifecycle doctor"):
            return None
    except RefusedError as error:
        return Finding("broker", "wrong", str(error), "see LIFECYCLE_AMQP_URL")
    except UnavailableError as error:
        return Finding("broker", "note", str(error), "see whether that node of the cluster is up")


async def _rights(url: str, queues: Sequence[str]) -> Finding:
    exchanges = (COMMANDS, EVENTS, DEAD_LETTER, DEFAULT_EXCHANGE)
    missing = await lacking(url, exchanges, queues)
    if not missing:
        return Finding("broker", "ok", "the user may write and read what it has to")
    told = ", ".join(f"{lack.right} {lack.name}" for lack in missing)
    return Finding("broker", "wrong", f"the user may not {told}", _granting(missing))


def _granting(missing: Sequence[Lack]) -> str:
    kinds = sorted({lack.right for lack in missing})
    return f"add them to the {' and '.join(kinds)} patterns of `rabbitmqctl set_permissions`"


def _held(queue: Found) -> Finding | None:
    if queue.name in _DEAD and queue.messages:
        told = f"{queue.name} holds dead letters: {queue.messages}"
        return Finding("broker", "note", told, "`workspace-lifecycle dead-letters list`")
    if queue.name in _TAKEN and queue.there and not queue.consumers:
        return Finding("broker", "note", f"nobody consumes {queue.name}", _RUN)
    if queue.name == EXECUTOR_QUEUE and queue.there and not queue.consumers:
        told = f"nobody consumes {queue.name}: stops will time out"
        return Finding("broker", "note", told, f"{_RUN}, or your own executor")
    return None
