"""Facts as Prometheus metrics, in a registry of their own."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from consumer.broker.publish import PUBLISHER
from schemas.events import Action
from schemas.topology import WORK_QUEUES

OTHER = "other"
_MOST = 100
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_MINUTES = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600)
_SIZES = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
_ACTIONS: Sequence[str] = get_args(Action)
_CALLS = ("look", "stop", "start")
_CALL_OUTCOMES = ("ok", "throttled", "refused", "unreachable", "lost", "unset", "broken_off")
_RESULTS = ("succeeded", "failed", "superseded")
_OUTCOMES = {"summary": "carried", "rejected": "rejected", "previewed": "previewed"}

Fields = Mapping[str, Any]
Hear = Callable[[Fields], None]


class Bounded:
    """Keeps a label that others choose to so many different values: the rest are `other`."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._known: set[str] = set()

    def __call__(self, value: object) -> str:
        """Give the value to count under."""
        text = str(value)
        if text not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(text)
        return text


class Metrics:
    """What was said so far. `hear` is a listener of `consumer.observe`.

    `queues`: those of which deliveries may come.
    """

    def __init__(self, queues: Sequence[str] = WORK_QUEUES) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # twice the series for nothing
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._hears: dict[str, Hear] = {}
        self._hear_commands()
        self._hear_deliveries(queues)
        self._hear_connections()
        self._hear_outbox()
        self._hear_executor()
        self._hear_settlement()
        self._hear_archive()

    def hear(self, fact: str, fields: Fields) -> None:
        """Count a fact, where something is counted by it."""
        if hear := self._hears.get(fact):
            hear(fields)

    def text(self) -> bytes:
        """Write everything in Prometheus's text format."""
        return generate_latest(self.registry)

    def _hear_commands(self) -> None:
        commands = self._counter("commands", "Commands answered", "action", "outcome", "code")
        implicit = self._counter(
            "implicit_cascades", "Cascades that nobody asked for in words", "app_id"
        )
        affected = self._histogram(
            "affected_workspaces", "Workspaces that a command changed", _SIZES, "action"
        )
        for action in _ACTIONS:
            affected.labels(action)
        app = Bounded()

        def recorded(fields: Fields) -> None:
            _, action, kind = fields["type"].split(".")
            commands.labels(action, _OUTCOMES[kind], fields["code"] or "").inc()
            if kind == "summary":
                affected.labels(action).observe(fields["count"])
            if fields["deprecated"]:
                implicit.labels(app(fields["app_id"])).inc()

        def repeated(fields: Fields) -> None:
            commands.labels(fields["type"].split(".")[1], "repeated", "").inc()

        self._hears |= {"operation.recorded": recorded, "answer.repeated": repeated}
        self._count("transaction.retried", "transaction_retries", "Transactions tried again")

    def _hear_deliveries(self, queues: Sequence[str]) -> None:
        self._time(
            "delivery.acknowledged",
            "delivery_duration_seconds",
            "From a delivery to its acknowledgement",
            _SECONDS,
            queue=queues,
        )
        for what, help_text in (
            ("failed", "Attempts at a delivery that failed"),
            ("retried", "Attempts put off because a server was away"),
            ("parked", "Deliveries that became dead letters"),
        ):
            self._count(f"delivery.{what}", f"deliveries_{what}", help_text, queue=queues)
        refused = self._counter(
            "messages_refused", "Messages of senders that may not send them", "message"
        )
        for message in ("order", "result", "reply"):
            self._hears[f"{message}.refused"] = _incrementing(refused.labels(message))

    def _hear_connections(self) -> None:
        blocked = self._gauge("connection_blocked", "1: the broker takes nothing", "connection")
        blocked.labels(PUBLISHER)
        lost = self._counter("connections_lost", "Connections that were lost", "part")
        for part in ("consumer", "publisher", "wake"):
            self._hears[f"{part}.lost"] = _incrementing(lost.labels(part))
        for fact, value in (("connection.blocked", 1), ("connection.unblocked", 0)):
            self._hears[fact] = _setting(blocked, value)

    def _hear_outbox(self) -> None:
        published = self._counter("outbox_published", "Messages of the outbox given to the broker")
        confirm = self._histogram(
            "outbox_confirm_duration_seconds", "From a chunk's publishing to its confirms", _SECONDS
        )

        def sent(fields: Fields) -> None:
            if fields["count"]:
                published.inc(fields["count"])
                confirm.observe(fields["seconds"])

        self._hears["outbox.published"] = sent
        self._count("relay.paused", "relay_pauses", "Times that the relay could not publish")

    def _hear_executor(self) -> None:
        orders = self._counter(
            "executor_orders", "Stops and starts ended", "action", "outcome", "code"
        )
        calls = self._counter("executor_calls", "Calls of EC2", "call", "outcome")
        retries = self._counter("executor_call_retries", "Calls of EC2 made again", "call")
        seconds = self._histogram(
            "executor_call_duration_seconds", "How long a call of EC2 took", _SECONDS, "call"
        )
        for call in _CALLS:
            retries.labels(call)
            for outcome in _CALL_OUTCOMES:
                calls.labels(call, outcome)
        bounded = Bounded()

        def ended(outcome: str) -> Hear:
            return lambda fields: orders.labels(
                fields["action"], outcome, bounded(fields.get("code") or "")
            ).inc()

        def called(fields: Fields) -> None:
            calls.labels(fields["call"], fields["outcome"]).inc()
            retries.labels(fields["call"]).inc(fields["retries"])
            seconds.labels(fields["call"]).observe(fields["seconds"])

        for outcome in ("carried_out", "failed", "fenced", "unknown"):
            self._hears[f"order.{outcome}"] = ended(outcome)
        self._hears["ec2.called"] = called

    def _hear_settlement(self) -> None:
        self._time(
            "operation.settled",
            "operation_settlement_seconds",
            "From a command's transaction to its last outcome",
            _MINUTES,
            action=_ACTIONS,
        )
        self._count("result.taken", "results", "Results of executors taken in", outcome=_RESULTS)
        for fact, name, help_text in (
            ("targets.timed_out", "targets_timed_out", "Workspaces without an outcome in time"),
            ("operation.corrected", "targets_corrected", "Late outcomes of those"),
            ("workspaces.compensated", "workspaces_compensated", "Workspaces given back"),
        ):
            self._count(fact, name, help_text, by="count")

    def _hear_archive(self) -> None:
        finished = self._gauge(
            "archive_finished_timestamp_seconds", "When the archive was last written to"
        )

        def done(_: Fields) -> None:
            finished.set(time.time())

        self._hears["archive.finished"] = done
        self._count("archive.written", "archive_records", "Records archived", by="count")
        self._count("archive.paused", "archive_pauses", "Times that the archive was held up")
        self._count("archive.late", "archive_late", "Warnings that half the retention has gone")
        self._count("operations.pruned", "operations_pruned", "Operations forgotten", by="count")

    def _count(
        self, fact: str, name: str, help_text: str, by: str = "", **label: Sequence[str]
    ) -> None:
        """Count a fact, or add up its field `by`; by a label that is a field of it.

        Values of a label that are known beforehand are there from the start, at 0: of a series that
        begins with its first fact, `increase` would miss that one.
        """
        counter = self._counter(name, help_text, *label)
        ((named, values),) = label.items() or (("", ()),)
        known = {value: counter.labels(value) for value in values}
        if named:
            # Most facts are of these: finding a child anew takes longer than counting.
            self._hears[fact] = lambda fields: (
                known.get(fields[named]) or counter.labels(fields[named])
            ).inc()
        else:
            self._hears[fact] = lambda fields: counter.inc(fields[by] if by else 1)

    def _time(
        self,
        fact: str,
        name: str,
        help_text: str,
        buckets: tuple[float, ...],
        **label: Sequence[str],
    ) -> None:
        """Observe the field `seconds` of a fact, by another field of it."""
        ((named, values),) = label.items()
        histogram = self._histogram(name, help_text, buckets, named)
        known = {value: histogram.labels(value) for value in values}
        self._hears[fact] = lambda fields: (
            known.get(fields[named]) or histogram.labels(fields[named])
        ).observe(fields["seconds"])

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"lifecycle_{name}", help_text, labels, registry=self.registry)

    def _gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(f"lifecycle_{name}", help_text, labels, registry=self.registry)

    def _histogram(
        self, name: str, help_text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        full = f"lifecycle_{name}"
        return Histogram(full, help_text, labels, buckets=buckets, registry=self.registry)


def _incrementing(counter: Counter) -> Hear:
    return lambda _: counter.inc()


def _setting(gauge: Gauge, value: float) -> Hear:
    return lambda fields: gauge.labels(fields["connection"]).set(value)
