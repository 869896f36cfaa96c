"""Celery on quorum queues and psycopg, as its documentation has them: a task a stop, in one group.

Run by Celery's own command. Its tasks go by the exchanges and queues that everybody's go by, so
that the broker has the same to do; they are declared already.
"""

from typing import Any
from uuid import UUID, uuid4

import psycopg
from celery import Celery, group
from celery.signals import worker_process_init, worker_ready
from kombu import Exchange, Queue
from psycopg.rows import dict_row

from tests.bench.contenders import shape

_QUORUM = {"x-queue-type": "quorum"}


def queue(name: str, key: str) -> Queue:
    """Name a queue that is there."""
    exchange = Exchange(shape.COMMANDS, type="topic", no_declare=True)
    return Queue(name, exchange, key, queue_arguments=_QUORUM, no_declare=True)


app = Celery("bench", broker=shape.AMQP_URL)
app.conf.update(
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
    task_queues=[
        queue(shape.COMMANDS_QUEUE, "workspace.pause"),
        queue(shape.EXECUTOR_QUEUE, shape.STOP),
    ],
    task_default_queue=shape.COMMANDS_QUEUE,
    task_default_queue_type="quorum",
    task_routes={shape.STOP: {"queue": shape.EXECUTOR_QUEUE}},
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=shape.AT_ONCE,
)
databases: list[Any] = []


@worker_process_init.connect
def connect(**_: Any) -> None:
    """Connect to the database in each of the worker's processes."""
    databases.append(psycopg.connect(shape.DATABASE_URL, row_factory=dict_row, autocommit=True))


@worker_ready.connect
def started(**_: Any) -> None:
    """Say so."""
    shape.ready()


@app.task(name=shape.STOP)
def stop(order: dict[str, Any]) -> None:
    """Stand for what another worker carries out."""


@app.task(name="workspace.pause", bind=True)
def pause(self: Any, workspace_id: str, reply_to: str | None) -> None:
    """Pause a tree, send a task for each stop, and publish the summary and the answer."""
    operation, cause = uuid4(), self.request.id
    with databases[0].transaction():
        rows = databases[0].execute(shape.PAUSE.replace("$1", "%s"), [workspace_id]).fetchall()
    group(stop.s(shape.stop(operation, cause, row)) for row in rows).apply_async()
    told = shape.summary(operation, cause, UUID(workspace_id), rows)
    with app.producer_pool.acquire(block=True) as producer:
        events = Exchange(shape.EVENTS, type="topic", no_declare=True)
        producer.publish(told, exchange=events, routing_key=shape.SUMMARY, delivery_mode=2)
        if reply_to:
            producer.publish(told, exchange="", routing_key=reply_to, correlation_id=cause)
