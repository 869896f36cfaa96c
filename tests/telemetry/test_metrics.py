"""Facts as metrics: what is counted by which fact, and that labels stay few."""

from typing import Any

import pytest

from consumer.telemetry.metrics import OTHER, Bounded, Metrics
from tests.support.scraping import Scrape

RECORDED: dict[str, Any] = {
    "type": "workspace.pause.summary",
    "code": None,
    "count": 3,
    "deprecated": False,
    "app_id": "billing",
}


@pytest.fixture
def metrics() -> Metrics:
    """Give metrics that heard nothing."""
    return Metrics()


def read(metrics: Metrics) -> Scrape:
    """Read what was counted."""
    return Scrape.of(metrics.text().decode())


@pytest.mark.parametrize(
    ("kind", "code", "outcome"),
    [
        ("workspace.pause.summary", None, "carried"),
        ("workspace.resume.rejected", "descendants_exist", "rejected"),
        ("workspace.pause.previewed", None, "previewed"),
        ("workspace.pause.previewed", "descendants_exist", "previewed"),
    ],
)
def test_a_command_is_counted_by_action_outcome_and_code(
    metrics: Metrics, kind: str, code: str | None, outcome: str
) -> None:
    """The code is the contract's, and empty where there is none."""
    metrics.hear("operation.recorded", RECORDED | {"type": kind, "code": code})
    labels = {"action": kind.split(".")[1], "outcome": outcome, "code": code or ""}
    assert read(metrics).value("lifecycle_commands_total", **labels) == 1


def test_a_repeated_answer_is_no_other_operation(metrics: Metrics) -> None:
    """It is counted apart, and changes no workspace."""
    metrics.hear("answer.repeated", RECORDED)
    found = read(metrics)
    labels = {"action": "pause", "outcome": "repeated", "code": ""}
    assert found.value("lifecycle_commands_total", **labels) == 1
    assert found.value("lifecycle_affected_workspaces_count", action="pause") == 0


def test_only_what_was_carried_out_affects_workspaces(metrics: Metrics) -> None:
    """A refusal and a dry run change nothing, whatever they list."""
    for kind in ("workspace.pause.rejected", "workspace.pause.previewed"):
        metrics.hear("operation.recorded", RECORDED | {"type": kind})
    metrics.hear("operation.recorded", RECORDED)
    found = read(metrics)
    assert found.value("lifecycle_affected_workspaces_sum", action="pause") == 3
    assert found.value("lifecycle_affected_workspaces_count", action="pause") == 1
    assert found.value("lifecycle_affected_workspaces_bucket", action="pause", le="2.0") == 0
    assert found.value("lifecycle_affected_workspaces_bucket", action="pause", le="5.0") == 1


def test_implicit_cascades_are_counted_by_who_relies_on_them(metrics: Metrics) -> None:
    """That is how one sees whom to move before the default flips."""
    for app, deprecated in (("billing", True), ("billing", True), ("ops", True), ("web", False)):
        metrics.hear("operation.recorded", RECORDED | {"app_id": app, "deprecated": deprecated})
    found = read(metrics).samples["lifecycle_implicit_cascades_total"]
    assert found == [({"app_id": "billing"}, 2), ({"app_id": "ops"}, 1)]


def test_senders_cannot_make_series_without_end(metrics: Metrics) -> None:
    """A hundred names are kept, and the rest are one."""
    for number in range(250):
        fields = {"app_id": f"app-{number}", "deprecated": True}
        metrics.hear("operation.recorded", RECORDED | fields)
    found = read(metrics)
    assert len(found.samples["lifecycle_implicit_cascades_total"]) == 101
    assert found.value("lifecycle_implicit_cascades_total", app_id=OTHER) == 150
    assert found.value("lifecycle_implicit_cascades_total", app_id="app-99") == 1


def test_a_name_that_is_known_stays_known() -> None:
    """Which are kept does not depend on how often they come."""
    bounded = Bounded(2)
    assert [bounded(one) for one in ("a", "b", "c", "a", "c")] == ["a", "b", OTHER, "a", OTHER]


@pytest.mark.parametrize(
    ("fact", "fields", "name", "labels", "value"),
    [
        ("delivery.failed", {"queue": "q"}, "deliveries_failed_total", {"queue": "q"}, 1),
        ("delivery.parked", {"queue": "q"}, "deliveries_parked_total", {"queue": "q"}, 1),
        ("delivery.retried", {"queue": "q"}, "deliveries_retried_total", {"queue": "q"}, 1),
        ("transaction.retried", {}, "transaction_retries_total", {}, 1),
        ("relay.paused", {}, "relay_pauses_total", {}, 1),
        ("consumer.lost", {}, "connections_lost_total", {"part": "consumer"}, 1),
        ("order.refused", {}, "messages_refused_total", {"message": "order"}, 1),
        ("connection.blocked", {"connection": "c"}, "connection_blocked", {"connection": "c"}, 1),
        ("result.taken", {"outcome": "failed"}, "results_total", {"outcome": "failed"}, 1),
        ("targets.timed_out", {"count": 7}, "targets_timed_out_total", {}, 7),
        ("operation.corrected", {"count": 2}, "targets_corrected_total", {}, 2),
        ("workspaces.compensated", {"count": 4}, "workspaces_compensated_total", {}, 4),
        ("archive.written", {"count": 9}, "archive_records_total", {}, 9),
        ("archive.paused", {}, "archive_pauses_total", {}, 1),
        ("archive.late", {"kept": "30D"}, "archive_late_total", {}, 1),
        ("operations.pruned", {"count": 8}, "operations_pruned_total", {}, 8),
        (
            "order.failed",
            {"action": "stop", "code": "InstanceGone"},
            "executor_orders_total",
            {"action": "stop", "outcome": "failed", "code": "InstanceGone"},
            1,
        ),
        (
            "order.carried_out",
            {"action": "start", "detail": "i-1 is running"},
            "executor_orders_total",
            {"action": "start", "outcome": "carried_out", "code": ""},
            1,
        ),
    ],
)
def test_a_fact_is_counted(
    metrics: Metrics,
    fact: str,
    fields: dict[str, Any],
    name: str,
    labels: dict[str, str],
    value: float,
) -> None:
    """Once, or as often as it says, whatever else is bound around it."""
    metrics.hear(fact, fields | {"why": "for a reason", "message_id": "m-1"})
    assert read(metrics).value(f"lifecycle_{name}", **labels) == value


def test_a_connection_that_is_no_longer_blocked_is_not(metrics: Metrics) -> None:
    """The gauge goes back."""
    for fact in ("connection.blocked", "connection.unblocked"):
        metrics.hear(fact, {"connection": "c"})
    assert read(metrics).value("lifecycle_connection_blocked", connection="c") == 0


@pytest.mark.parametrize(
    ("fact", "fields", "name", "labels"),
    [
        (
            "delivery.acknowledged",
            {"queue": "q"},
            "delivery_duration_seconds",
            {"queue": "q"},
        ),
        ("outbox.published", {"count": 5}, "outbox_confirm_duration_seconds", {}),
        (
            "operation.settled",
            {"action": "pause"},
            "operation_settlement_seconds",
            {"action": "pause"},
        ),
        (
            "ec2.called",
            {"call": "look", "outcome": "ok", "retries": 0},
            "executor_call_duration_seconds",
            {"call": "look"},
        ),
    ],
)
def test_a_time_is_observed(
    metrics: Metrics, fact: str, fields: dict[str, Any], name: str, labels: dict[str, str]
) -> None:
    """As it was said, in seconds."""
    metrics.hear(fact, fields | {"seconds": 0.75})
    found = read(metrics)
    assert found.value(f"lifecycle_{name}_sum", **labels) == 0.75
    assert found.value(f"lifecycle_{name}_count", **labels) == 1


def test_an_empty_chunk_tells_nothing_of_the_broker(metrics: Metrics) -> None:
    """A fan-out without anything left to send is no confirm that came at once."""
    metrics.hear("outbox.published", {"count": 0, "seconds": 0.0})
    metrics.hear("outbox.published", {"count": 5, "seconds": 0.1})
    found = read(metrics)
    assert found.value("lifecycle_outbox_published_total") == 5
    assert found.value("lifecycle_outbox_confirm_duration_seconds_count") == 1


def test_calls_of_ec2_and_their_retries_are_counted(metrics: Metrics) -> None:
    """Those that botocore made by itself too."""
    for outcome, retries in (("ok", 2), ("ok", 0), ("throttled", 0)):
        fields = {"call": "stop", "outcome": outcome, "retries": retries, "seconds": 0.1}
        metrics.hear("ec2.called", fields)
    found = read(metrics)
    assert found.value("lifecycle_executor_calls_total", call="stop", outcome="ok") == 2
    assert found.value("lifecycle_executor_calls_total", call="stop", outcome="throttled") == 1
    assert found.value("lifecycle_executor_call_retries_total", call="stop") == 2


def test_what_is_not_counted_is_passed_over(metrics: Metrics) -> None:
    """A fact that no metric is made of changes nothing."""
    before = read(metrics).samples.keys()
    metrics.hear("delivery.taken", {"queue": "q"})
    assert read(metrics).samples.keys() == before
    assert not [name for name in before if name.endswith("_created")]


def test_two_programs_in_one_process_count_apart(metrics: Metrics) -> None:
    """Each has a registry of its own."""
    metrics.hear("relay.paused", {})
    assert read(Metrics()).value("lifecycle_relay_pauses_total") == 0


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("deliveries_parked_total", {"queue": "lifecycle.results"}),
        ("executor_calls_total", {"call": "stop", "outcome": "throttled"}),
        ("operation_settlement_seconds_count", {"action": "resume"}),
        ("results_total", {"outcome": "failed"}),
        ("messages_refused_total", {"message": "order"}),
        ("connection_blocked", {"connection": "workspace-lifecycle publisher"}),
    ],
)
def test_what_is_alerted_on_is_there_from_the_start(
    metrics: Metrics, name: str, labels: dict[str, str]
) -> None:
    """A series that begins at 1 shows no increase: the first of its kind would be missed."""
    assert read(metrics).value(f"lifecycle_{name}", **labels) == 0
