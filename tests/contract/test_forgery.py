"""Forged orders and results: what nobody decided is not carried out, and settles nothing."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from consumer.settings import Settings
from tests.broker.tools import Facts
from tests.contract.answering import orders, paused, say, send_order
from tests.executor.conftest import launch, state
from tests.support.caller import WireCaller
from tests.support.forest import Forest
from tests.support.front import Front
from tests.support.program import running

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client


@pytest.mark.parametrize(
    "changes",
    [
        {"generation": 2**62},
        {"operation_id": str(uuid4())},
        {"instance_id": "victim"},
        {"deadline": "2999-01-01T00:00:00Z"},
        {"runtime": "external"},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_a_forged_order_is_not_carried_out(
    settings_of: Callable[..., Settings],
    caller: WireCaller,
    forest: Forest,
    front: Front,
    aws: "EC2Client",
    facts: Facts,
    changes: dict[str, Any],
) -> None:
    """Without any policy file: the executor acts on what the database decided, to the letter."""
    victim, machine = launch(aws), launch(aws)
    top = await forest.plant("top")
    await forest.connection.execute("update workspaces set instance_id = $1", machine)
    async with running(settings_of(executor="ec2"), ("commands", "relay")):
        operation = await paused(caller, top)
        (stop,) = await caller.hear("workspace.stop", operation_id=operation)
    await (await caller.channel.get_queue("lifecycle.executor")).purge()
    invented = {key: victim if value == "victim" else value for key, value in changes.items()}
    async with running(settings_of(executor="ec2"), ("executor",)):
        await send_order(caller, {**stop.data, **invented})
        letter = await caller.take("lifecycle.executor.dead")
    assert "the database knows no such order" in str(letter.headers["x-death-reason"])
    assert (front.asked, state(aws, victim), state(aws, machine)) == ([], "running", "running")
    (told,) = facts.of("order.refused")
    assert told["rule"] == "fence"
    assert "workspace.stopped" not in {one.type for one in caller.heard}


@pytest.mark.settings(max_body=1000)
@pytest.mark.usefixtures("program")
async def test_what_is_over_the_limit_is_parked_unread(caller: WireCaller) -> None:
    """Results and orders have the limit that commands have, whatever the broker lets through."""
    big = b"[" * 1_000_000
    for kind, exchange, queue in (
        ("workspace.stopped", "workspace.events", "lifecycle.results"),
        ("workspace.stop", "workspace.commands", "lifecycle.executor"),
    ):
        await caller.send(kind, big, exchange=exchange)
        letter = await caller.take(f"{queue}.dead")
        assert "more than" in str(letter.headers["x-death-reason"])
        assert letter.body == big


FORGED: dict[str, tuple[str, dict[str, Any]]] = {
    "another operation": ("stopped", {"operation_id": str(uuid4())}),
    "another workspace": ("stopped", {"workspace_id": str(uuid4())}),
    "a huge generation": ("stopped", {"generation": 2**62}),
    "an older generation": ("stopped", {"generation": 0}),
    "a failure of another operation": ("stop.failed", {"operation_id": str(uuid4())}),
    "a failure of another generation": ("stop.failed", {"generation": 2**62}),
    "the other action": ("started", {}),
    "a failure of the other action": ("start.failed", {}),
}


@pytest.mark.settings(executor="none")
@pytest.mark.usefixtures("program")
@pytest.mark.parametrize(("kind", "changes"), FORGED.values(), ids=FORGED)
async def test_a_forged_result_changes_nothing(
    caller: WireCaller, forest: Forest, kind: str, changes: dict[str, Any]
) -> None:
    """With one wrong part it is nobody's; the genuine result settles as if nothing had been."""
    operation = await paused(caller, await forest.plant("top"))
    order = (await orders(caller, operation, 1))["top"]
    before = await everything(forest, operation)
    await say(caller, kind, {**order, **changes})
    other = await paused(caller, await forest.plant("other"))
    await say(caller, "stopped", (await orders(caller, other, 1))["other"])
    await caller.hear("workspace.pause.settled", operation_id=other)  # it came behind the forged
    assert await everything(forest, operation) == before
    await say(caller, "stopped", order)
    (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
    assert settled.data["succeeded_count"] == 1


async def everything(forest: Forest, operation: str) -> list[tuple[object, ...]]:
    """Give all that the database holds of an operation and its workspaces."""
    rows = await forest.connection.fetch(
        "select w.*, t.*, o.* from lifecycle.operation o"
        " join lifecycle.target t using (operation_id) join workspaces w on w.id = t.workspace_id"
        " where o.operation_id::text = $1",
        operation,
    )
    return [tuple(row.values()) for row in rows]
