"""Worker: reads, fences, has carried out, publishes confirmed; what it does not promise to do."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid5

import pytest

from consumer.executor.port import Done, Failed, Standing, Unasked, Unknown
from consumer.executor.worker import Worker
from consumer.message import UnavailableError, UnreadableError
from consumer.policy import Policy
from consumer.rules import Rules
from tests.executor.conftest import Facts
from tests.executor.desk import ANYBODY, OPERATION, TRACE, WORKSPACE, Desk, Receipt, command


@pytest.mark.parametrize(
    ("kind", "action", "answered"),
    [
        ("workspace.stop", "stop", "workspace.stopped"),
        ("workspace.start", "start", "workspace.started"),
    ],
)
async def test_a_command_becomes_an_order_and_its_result(
    kind: str, action: str, answered: str
) -> None:
    """What the command says reaches the executor, and success is answered in its own type."""
    desk = Desk(Done("i-1 is so"))
    message, event = await desk.answer(command(kind))
    (order,) = desk.executor.orders
    assert (order.action, order.operation_id, order.workspace_id) == (action, OPERATION, WORKSPACE)
    assert (order.name, order.instance_id, order.runtime, order.generation) == ("w", "i-1", None, 7)
    assert order.deadline > datetime.now(UTC)
    assert desk.fenced == [(WORKSPACE, 7)]
    assert (message.exchange, message.routing_key) == ("workspace.events", answered)
    assert event["data"] == {
        "operation_id": str(OPERATION),
        "workspace_id": str(WORKSPACE),
        "generation": 7,
        "instance_id": "i-1",
        "detail": "i-1 is so",
    }


async def test_the_result_is_a_cloudevent_and_the_properties_repeat_it() -> None:
    """The envelope says what caused it, what it belongs to, and whose word it is."""
    message, event = await Desk().answer(command())
    identity = str(uuid5(OPERATION, f"{WORKSPACE}:workspace.stopped"))
    assert event["id"] == message.message_id == identity
    assert event["type"] == message.type == "workspace.stopped"
    assert event["source"] == message.app_id == "workspace-lifecycle-executor"
    assert event["subject"] == str(WORKSPACE)
    assert event["operationid"] == message.headers["x-operation-id"] == str(OPERATION)
    assert event["correlationid"] == message.correlation_id == "corr"
    assert event["causationid"] == "the-command"
    assert event["traceparent"] == TRACE
    assert event["dataschema"] == "urn:workspace-lifecycle:schema:workspace.stopped:1"
    assert datetime.fromisoformat(event["time"]) == message.timestamp
    assert message.mandatory


@pytest.mark.parametrize("action", ["stop", "start"])
async def test_a_failure_is_answered_with_its_code(action: str, facts: Facts) -> None:
    """What the executor says of a failure is passed on."""
    desk = Desk(Failed("Capacity", "no room", retryable=True))
    message, event = await desk.answer(command(f"workspace.{action}"))
    assert message.type == f"workspace.{action}.failed"
    assert (event["data"]["code"], event["data"]["detail"]) == ("Capacity", "no room")
    assert event["data"]["retryable"] is True
    assert [fact for fact, _ in facts] == ["order.failed"]


async def test_a_second_delivery_answers_with_the_same_id() -> None:
    """A result published twice can be recognised as one."""
    desk = Desk()
    await desk.worker.handle(command())
    await desk.worker.handle(command())
    first, second = desk.published
    assert first.message_id == second.message_id


@pytest.mark.parametrize("action", ["stop", "start"])
async def test_an_older_generation_is_superseded_and_not_carried_out(
    action: str, facts: Facts
) -> None:
    """A late stop cannot undo a resume, and its operation learns why."""
    desk = Desk(standing="overtaken")
    message, event = await desk.answer(command(f"workspace.{action}"))
    assert message.type == f"workspace.{action}.failed"
    assert (event["data"]["code"], event["data"]["retryable"]) == ("superseded", False)
    assert desk.executor.orders == []
    assert [fact for fact, _ in facts] == ["order.fenced"]


async def test_after_its_deadline_nothing_is_carried_out() -> None:
    """Nobody wants yesterday's stop; sending the command again may help."""
    desk = Desk()
    _, event = await desk.answer(command(seconds=-1))
    assert (event["data"]["code"], event["data"]["retryable"]) == ("expired", True)
    assert desk.executor.orders == []


async def test_a_superseded_command_past_its_deadline_is_superseded() -> None:
    """That a newer command exists is the stronger reason: it must not be sent again."""
    _, event = await Desk(standing="overtaken").answer(command(seconds=-1))
    assert event["data"]["code"] == "superseded"


async def test_an_unknown_outcome_is_not_answered(facts: Facts) -> None:
    """Nothing is claimed where nothing is known; the command is over all the same."""
    desk = Desk(Unknown("not seen"))
    await desk.worker.handle(command())
    assert desk.published == []
    assert [(fact, fields["detail"]) for fact, fields in facts] == [("order.unknown", "not seen")]


@pytest.mark.parametrize("receipt", ["returned", "failed"])
async def test_an_unconfirmed_result_keeps_the_command(receipt: Receipt, facts: Facts) -> None:
    """Where the broker did not confirm, the command is not acknowledged and nothing is claimed."""
    desk = Desk(receipt=receipt)
    with pytest.raises(UnavailableError, match=rf"workspace\.stopped was {receipt}"):
        await desk.worker.handle(command())
    assert facts == []


async def test_facts_name_the_operation_and_the_workspace(facts: Facts) -> None:
    """Every fact of an order can be found by either id."""
    await Desk().worker.handle(command())
    ((fact, fields),) = facts
    assert fact == "order.carried_out"
    assert fields["operation_id"] == str(OPERATION)
    assert fields["workspace_id"] == str(WORKSPACE)


async def test_a_fence_that_cannot_be_asked_stops_everything() -> None:
    """Without the database's word nothing is carried out: the command comes again."""
    desk = Desk()

    async def away(*_: object) -> Standing:
        raise UnavailableError("no database")

    with pytest.raises(UnavailableError):
        await Worker(desk.executor, away, desk._publish, ANYBODY).handle(command())
    assert desk.executor.orders == []
    assert desk.published == []


async def test_past_its_deadline_a_redelivered_command_claims_nothing() -> None:
    """An earlier delivery may have been carried out: where the outcome is unknown, say so."""
    desk = Desk(Unasked("expired", "too late", retryable=True))
    await desk.worker.handle(replace(command(seconds=-1), deliveries=1))
    assert desk.published == []


async def test_past_its_deadline_a_redelivered_command_tells_what_can_be_seen() -> None:
    """What an earlier delivery brought about is told, however late it is."""
    desk = Desk(Done("i-1 is stopped"))
    message, _ = await desk.answer(replace(command(seconds=-1), deliveries=1))
    assert message.type == "workspace.stopped"


@pytest.mark.parametrize(("deliveries", "tries", "published"), [(0, 0, 1), (1, 0, 0), (0, 1, 0)])
async def test_that_nobody_was_asked_is_a_failure_of_a_first_try_alone(
    deliveries: int, tries: int, published: int, facts: Facts
) -> None:
    """What this try did not ask, an earlier one may have asked: then nothing is claimed."""
    desk = Desk(Unasked("ec2_unreachable", "EC2 was not reached", retryable=True))
    await desk.worker.handle(replace(command(), deliveries=deliveries, tries=tries))
    assert len(desk.published) == published
    assert [fact for fact, _ in facts] == ["order.failed" if published else "order.unknown"]


async def test_a_command_over_the_limit_is_not_parsed() -> None:
    """A body that no command of ours has is parked unread."""
    desk = Desk()
    with pytest.raises(UnreadableError, match="65536 bytes"):
        await desk.worker.handle(replace(command(), body=b" " * 65_537))


async def test_an_order_that_was_not_decided_so_is_parked_and_answered_by_nobody(
    facts: Facts,
) -> None:
    """What the database does not know is not carried out, whatever it says of itself."""
    desk = Desk(standing="unknown")
    with pytest.raises(UnreadableError, match="rule 'fence': the database knows no such order"):
        await desk.worker.handle(command())
    assert (desk.executor.orders, desk.published) == ([], [])
    assert [(fact, fields["rule"]) for fact, fields in facts] == [("order.refused", "fence")]


@pytest.mark.parametrize(
    ("user", "refused"),
    [
        ("lifecycle", False),
        ("relay-1", False),
        ("executor-1", True),
        ("billing", True),
        (None, True),
    ],
)
async def test_with_a_policy_file_the_program_alone_sends_orders(
    user: str | None, refused: bool, facts: Facts
) -> None:
    """Anybody else's order is parked before it is read, and the database is not asked."""
    rules = Rules(program=("relay-*",), executors=("executor-*",))
    desk = Desk(policy=Policy(rules=rules, own_user="lifecycle"))
    handling = desk.worker.handle(replace(command(), user_id=user))
    if not refused:
        await handling
        assert len(desk.executor.orders) == 1
        return
    with pytest.raises(UnreadableError, match="rule 'program' of the policy file does not let"):
        await handling
    assert (desk.fenced, desk.executor.orders, desk.published) == ([], [], [])
    assert [(fact, fields["user_id"]) for fact, fields in facts] == [("order.refused", user)]
