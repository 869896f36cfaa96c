"""The one place that knows everyone: it wires the rooms, runs the roles, stops them in order."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from datetime import timedelta
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

from consumer.audit.basket import Sizes
from consumer.audit.lag import Limit
from consumer.audit.pruner import Pruner
from consumer.broker.connection import RefusedError
from consumer.broker.consume import Consumer
from consumer.broker.depth import Depths
from consumer.broker.identity import user_of
from consumer.broker.publish import Publisher
from consumer.broker.stream import Stream
from consumer.broker.suspects import Suspects, Watch
from consumer.broker.topology import declare
from consumer.executor.fence import Fence
from consumer.executor.port import Executor
from consumer.executor.simulated import SimulatedExecutor
from consumer.executor.worker import Worker
from consumer.lifecycle.lifecycle import Lifecycle
from consumer.message import UnavailableError
from consumer.observe import listening, say
from consumer.policy import Policy
from consumer.relay.relay import Relay
from consumer.service import Service, supervise
from consumer.settings import Declared, Settings, misspelt
from consumer.settlement import Deadlines, Settlement
from consumer.spans import tracing
from consumer.store.migrate import check
from consumer.store.pool import Database, NotAdmittedError, opened
from consumer.store.suspects import SuspectNotes
from consumer.store.wake import Wake
from consumer.telemetry.health import Health
from consumer.telemetry.logs import log
from consumer.telemetry.readiness import Readiness
from consumer.trigger import Triggers
from consumer.triggers import TriggerStage
from schemas.catalog import (
    AUDIT_STREAM,
    COMMANDS_QUEUE,
    EXECUTOR_QUEUE,
    RESULTS_QUEUE,
    TRIGGERS_QUEUE,
)
from schemas.topology import WORK_QUEUES, Queue, retention, topology, trigger_queues, with_dead

if TYPE_CHECKING:
    from consumer.audit.archive import Archiver
    from consumer.audit.bucket import Bucket
    from consumer.executor.ec2 import Ec2
    from consumer.executor.fleet import FleetExecutor
    from consumer.telemetry.metrics import Metrics
    from consumer.telemetry.standing import Standing
    from consumer.telemetry.traces import OtelTracer

Role = Literal["commands", "relay", "settlement", "executor", "archive", "triggers"]
ROLES: tuple[Role, ...] = get_args(Role)

_T = TypeVar("_T")
_RESULTS_PREFETCH = 1000
_EXECUTOR_PREFETCH = 1000
_WATCHED = 0.1
"""Seconds for which an order that came again and again is watched: its call takes seconds, and a
thousand may have been in hand when a process died."""
_LONGEST_PAUSE = 5.0


def policy_of(settings: Settings) -> Policy:
    """Give what the operator allows."""
    return Policy(
        implicit_cascade=settings.implicit_cascade == "deprecated",
        implicit_cascade_apps=settings.implicit_cascade_apps,
        max_cascade=settings.max_cascade,
        max_listed=settings.max_listed,
        reply_to_allow=settings.reply_to_allow,
        allow_apps=settings.allow_apps,
        rules=settings.policy_file,
        own_user=user_of(settings.amqp_url.get_secret_value()),
    )


def queues_of(settings: Declared, *, foreign: bool = False) -> Sequence[Queue]:
    """Give the queues as they are to be declared; `foreign`: with what others' exchanges send.

    Those may be missing, and nobody but the role that takes their events is to wait for them.
    """
    kept = topology(retention(settings.audit_max_age, settings.audit_max_bytes))
    triggers = settings.triggers_file
    if triggers is None:
        return kept
    return (*kept, *trigger_queues(triggers.bindings if foreign else ()))


def taken_queues(settings: Declared) -> Sequence[str]:
    """Name the queues from which some role takes."""
    return WORK_QUEUES if settings.triggers_file is None else (*WORK_QUEUES, TRIGGERS_QUEUE)


def bucket_of(settings: Settings) -> "Bucket | None":
    """Give the archive's bucket, if there is to be one.

    It is imported here, as is all that needs boto3: nobody else is to wait for that.
    """
    if settings.archive_url is None:
        return None
    room = import_module("consumer.audit.bucket")
    protection = room.Protection(
        encryption=settings.archive_encryption, lock_days=settings.archive_lock_days
    )
    bucket: Bucket = room.Bucket(settings.archive_url, protection)
    return bucket


def stream_of(settings: Settings) -> Stream:
    """Give the audit stream."""
    return Stream(settings.amqp_url.get_secret_value(), AUDIT_STREAM)


def archiver_of(settings: Settings, database: Database, bucket: "Bucket") -> "Archiver":
    """Give the archiver of the audit stream."""
    made: type[Archiver] = import_module("consumer.audit.archive").Archiver
    return made(
        database,
        bucket,
        stream_of(settings),
        sizes=Sizes(every=settings.archive_every),
        limit=Limit(settings.audit_max_age, settings.audit_max_bytes),
    )


async def run(settings: Settings, roles: Sequence[Role] = ROLES) -> None:
    """Run the program until SIGTERM or SIGINT; a second signal ends it at once.

    Raises:
        UnfitDatabaseError: the database is not migrated, or not the platform's.
        TopologyError: the broker holds one of our names with other arguments.
        RefusedError: the broker does not let us in.

    """
    stop = asyncio.Event()
    with _signals(stop), listening(log):
        for name, meant in misspelt(os.environ).items():
            say("setting.unknown", name=name, meant=meant)
        await serve(settings, roles, stop)


async def serve(settings: Settings, roles: Sequence[Role], stop: asyncio.Event) -> None:
    """Run roles until `stop` is set; what is in hand then is finished first."""
    if settings.policy_file is not None and policy_of(settings).own_user is None:
        raise RefusedError(
            "LIFECYCLE_POLICY_FILE goes by user_id: say user_id=NAME in the query of "
            "LIFECYCLE_AMQP_URL, with the name that RabbitMQ gives our certificate or token"
        )
    url = settings.database_url.get_secret_value()
    declaring = partial(declare, settings.amqp_url.get_secret_value(), queues_of(settings))
    await _patiently(declaring, stop)
    async with AsyncExitStack() as exits:
        size = settings.database_connections
        opening = partial(_entered, exits, lambda: opened(url, size, steady=True))
        database = await _patiently(opening, stop)
        if database is not None:
            await _patiently(partial(_check, database), stop)
            await _supervised(settings, roles, database, stop)
    say("program.stopped")


async def _supervised(
    settings: Settings, roles: Sequence[Role], database: Database, stop: asyncio.Event
) -> None:
    state = Readiness(stop)
    services = [*_services(settings, roles, database), state]
    async with AsyncExitStack() as ears:
        ears.enter_context(listening(state.hear))
        await _trace(ears)
        if settings.listen:
            metrics, serving = _measured(settings, roles, database, state)
            ears.enter_context(listening(metrics.hear))
            services[:0] = serving
        await supervise(services, stop)


async def _trace(ears: AsyncExitStack) -> None:
    """Trace, where the environment names a collector and the extra is installed."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or not any(
        os.environ.get(f"OTEL_EXPORTER_OTLP_{name}") for name in ("ENDPOINT", "TRACES_ENDPOINT")
    ):
        return
    try:
        tracer: OtelTracer = import_module("consumer.telemetry.traces").OtelTracer()
    except ImportError as error:
        say("traces.refused", why=f"install workspace-lifecycle[otel]: {error}")
        return
    ears.push_async_callback(tracer.close)
    ears.enter_context(tracing(tracer))


def _measured(
    settings: Settings, roles: Sequence[Role], database: Database, state: Readiness
) -> "tuple[Metrics, list[Service]]":
    """Give the ear that counts and what serves it.

    Both are imported here: nobody else is to wait a tenth of a second for their library.
    """
    assert settings.listen is not None
    queues = taken_queues(settings)
    metrics: Metrics = import_module("consumer.telemetry.metrics").Metrics(queues)
    counting: type[Standing] = import_module("consumer.telemetry.standing").Standing
    archive = stream_of(settings) if "archive" in roles and settings.archive_url else None
    depths = Depths(settings.amqp_url.get_secret_value(), with_dead(queues))
    standing = counting(metrics, database, depths, archive, lambda: not state.hindrances())
    health = Health(settings.listen, state.hindrances, standing.page)
    return metrics, [standing, health]


async def _entered(
    exits: AsyncExitStack, make: Callable[[], AbstractAsyncContextManager[_T]]
) -> _T:
    """Enter a context that is made anew for each try."""
    return await exits.enter_async_context(make())


def _services(settings: Settings, roles: Sequence[Role], database: Database) -> list[Service]:
    """List the parts in the order in which they start; they stop in the opposite one."""
    amqp = settings.amqp_url.get_secret_value()
    queues = queues_of(settings)
    publisher = Publisher(amqp, queues=queues)
    suspects = Suspects(SuspectNotes(database))
    services: list[Service] = []
    if {"relay", "executor", "triggers"} & set(roles):
        services.append(publisher)
    if "relay" in roles:
        wake = asyncio.Event()
        services.append(Wake(settings.database_url.get_secret_value(), wake))
        services.append(Relay(database, publisher.publish, wake))
    if "settlement" in roles:
        services.extend(_settlement(settings, database, suspects))
    if "executor" in roles and settings.executor != "none":
        fence = Fence(database)
        executor = _executor(settings, fence)
        policy = policy_of(settings)
        worker = Worker(executor, fence.standing, publisher.publish, policy, settings.max_body)
        services.append(
            Consumer(
                amqp,
                EXECUTOR_QUEUE,
                worker.handle,
                prefetch=_EXECUTOR_PREFETCH,
                queues=queues,
                watch=Watch(suspects, _WATCHED),
            )
        )
    if "commands" in roles:
        lifecycle = Lifecycle(
            database,
            policy_of(settings),
            max_body=settings.max_body,
            settle_timeout=settings.settle_timeout,
        )
        services.append(
            Consumer(
                amqp,
                COMMANDS_QUEUE,
                lifecycle.handle,
                prefetch=settings.prefetch,
                queues=queues,
                watch=Watch(suspects),
            )
        )
    if "triggers" in roles and settings.triggers_file is not None:
        services.append(_triggers(settings, settings.triggers_file, publisher, suspects))
    if "archive" in roles and (bucket := bucket_of(settings)) is not None:
        services.insert(0, archiver_of(settings, database, bucket))
        if settings.keep_days is not None:
            keep = timedelta(days=settings.keep_days)
            services.insert(0, Pruner(database, stream_of(settings), keep))
    return services


def _settlement(settings: Settings, database: Database, suspects: Suspects) -> list[Service]:
    settlement = Settlement(database, policy_of(settings), max_body=settings.max_body)
    deadlines = Deadlines(
        database, settle_timeout=settings.settle_timeout, max_listed=settings.max_listed
    )
    results = Consumer(
        settings.amqp_url.get_secret_value(),
        RESULTS_QUEUE,
        settlement.handle,
        prefetch=_RESULTS_PREFETCH,
        queues=queues_of(settings),
        watch=Watch(suspects),
    )
    return [deadlines, results]


def _triggers(
    settings: Settings, triggers: Triggers, publisher: Publisher, suspects: Suspects
) -> Service:
    """Give the part that takes events in. It is the last to start: it may wait for an exchange."""
    stage = TriggerStage(triggers, publisher.publish, max_body=settings.max_body)
    return Consumer(
        settings.amqp_url.get_secret_value(),
        TRIGGERS_QUEUE,
        stage.handle,
        prefetch=settings.prefetch,
        queues=queues_of(settings, foreign=True),
        watch=Watch(suspects),
    )


def _executor(settings: Settings, fence: Fence) -> Executor:
    if settings.executor == "simulated":
        return SimulatedExecutor(
            delay=settings.simulated_delay, failures=settings.simulated_failures
        )
    ec2: type[Ec2] = import_module("consumer.executor.ec2").Ec2
    fleet: type[FleetExecutor] = import_module("consumer.executor.fleet").FleetExecutor
    return fleet(ec2(), fence, hibernate=settings.ec2_hibernate)


async def _check(database: Database) -> None:
    async with database.connection() as connection:
        await check(connection)


async def _patiently(work: Callable[[], Awaitable[_T]], stop: asyncio.Event) -> _T | None:
    """Wait at the start for a server that is not there yet; what refuses us is not waited for."""
    pause = 0.2
    stopping = asyncio.create_task(stop.wait())
    while not stop.is_set():
        try:
            return await work()
        except (RefusedError, NotAdmittedError):
            raise
        except UnavailableError as error:
            say("program.waiting", why=str(error), again_in=pause)
            await asyncio.wait([stopping], timeout=pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
    return None


@contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Turn SIGTERM and SIGINT into a graceful stop, and the second one into the end."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)

    def told(number: signal.Signals) -> None:
        # Before it is said: who reads it and signals again must not meet the handler once more.
        for one in signals:
            loop.remove_signal_handler(one)
        say("program.stopping", signal=number.name)
        stop.set()

    for one in signals:
        loop.add_signal_handler(one, told, one)
    try:
        yield
    finally:
        for one in signals:
            loop.remove_signal_handler(one)
