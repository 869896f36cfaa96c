"""FleetExecutor against moto over HTTP: what it asks, and what it makes of the answers."""

from typing import TYPE_CHECKING

import pytest

from consumer.executor.port import Done, Failed
from tests.executor.conftest import launch, state
from tests.executor.fences import fleet
from tests.executor.orders import order
from tests.support.front import Front

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client


async def test_the_machine_is_stopped_and_started(aws: "EC2Client", instance_id: str) -> None:
    """Done means that EC2 says so."""
    executor = fleet()
    assert await executor.carry_out(order("stop", instance_id)) == Done(f"{instance_id} is stopped")
    assert state(aws, instance_id) == "stopped"
    assert await executor.carry_out(order("start", instance_id)) == Done(
        f"{instance_id} is running"
    )
    assert state(aws, instance_id) == "running"


async def test_what_is_so_already_is_said_to_be(front: Front, instance_id: str) -> None:
    """EC2's answer to the call tells it: what it describes may lag behind an earlier command."""
    result = await fleet().carry_out(order("start", instance_id))
    assert result == Done(f"{instance_id} was running already")
    assert front.asked == ["DescribeInstances", "StartInstances"]


@pytest.mark.parametrize("given", [None, ""])
async def test_nobody_is_asked_about_a_workspace_without_a_machine(
    front: Front, given: str | None
) -> None:
    """Without an instance, or with somebody else's, EC2 is not called."""
    executor = fleet()
    assert await executor.carry_out(order(instance_id=given)) == Done(
        "the workspace has no instance"
    )
    external = await executor.carry_out(order(instance_id="i-1", runtime="external"))
    assert isinstance(external, Done)
    assert "external" in external.detail
    assert front.asked == []


@pytest.mark.parametrize("action", ["stop", "start"])
async def test_a_terminated_machine_fails_for_good(
    aws: "EC2Client", front: Front, instance_id: str, action: str
) -> None:
    """What is gone is reported, and no other machine is made in its place."""
    aws.terminate_instances(InstanceIds=[instance_id])
    result = await fleet().carry_out(order("stop" if action == "stop" else "start", instance_id))
    assert isinstance(result, Failed)
    assert (result.code, result.retryable) == ("InstanceGone", False)
    assert set(front.asked) == {"DescribeInstances"}


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("instance", "code"),
    [
        ("i-0123456789abcdef0", "InvalidInstanceID.NotFound"),
        ("nonsense", "InvalidInstanceID"),
    ],
)
async def test_an_unknown_machine_fails_for_good(instance: str, code: str) -> None:
    """EC2's own code is passed on, with the instance in the text."""
    result = await fleet().carry_out(order("stop", instance))
    assert isinstance(result, Failed)
    assert result.code.startswith(code)
    assert instance in result.detail
    assert not result.retryable


async def test_stop_protection_is_a_permanent_failure(aws: "EC2Client", front: Front) -> None:
    """A protected machine goes on running and is not tried again."""
    instance_id = launch(aws, DisableApiStop=True)
    protection = aws.describe_instance_attribute(InstanceId=instance_id, Attribute="disableApiStop")
    assert protection["DisableApiStop"]["Value"]
    result = await fleet().carry_out(order("stop", instance_id))
    assert result == Failed(
        "OperationNotPermitted", f"stop protection is on for the instance: {instance_id}", False
    )
    assert state(aws, instance_id) == "running"
    assert front.asked.count("StopInstances") == 1


@pytest.mark.usefixtures("once")
@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (400, "UnauthorizedOperation", False),
        (400, "UnsupportedOperation", False),
        (400, "IncorrectInstanceState", True),
        (500, "InsufficientInstanceCapacity", True),
        (400, "SomethingNew", False),
    ],
)
async def test_a_refusal_carries_the_code_and_says_whether_to_ask_again(
    front: Front, instance_id: str, status: int, code: str, retryable: bool
) -> None:
    """Every refusal of EC2 has its code, a text for people, and whether it may pass."""
    front.refusals["StopInstances"] = (status, code)
    result = await fleet().carry_out(order("stop", instance_id))
    assert isinstance(result, Failed)
    assert (result.code, result.retryable) == (code, retryable)
    assert instance_id in result.detail
    assert code not in result.detail
