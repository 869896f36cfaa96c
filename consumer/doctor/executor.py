"""The executor: whether EC2 lets these credentials do what it has to."""

from collections.abc import AsyncIterator
from typing import Literal

from consumer.doctor.finding import Finding
from consumer.executor.ec2 import Ec2, Ec2Error, UnsetError
from consumer.settings import Settings

_TRIES: tuple[tuple[Literal["look", "stop", "start"], str], ...] = (
    ("look", "ec2:DescribeInstances"),
    ("stop", "ec2:StopInstances"),
    ("start", "ec2:StartInstances"),
)


async def look(settings: Settings, instance: str | None) -> AsyncIterator[Finding]:
    """Try each permission by a dry run, stops and starts on `instance`."""
    if settings.executor != "ec2":
        yield Finding("executor", "ok", f"LIFECYCLE_EXECUTOR is {settings.executor}: no AWS needed")
        return
    ec2 = Ec2()
    try:
        for what, action in _TRIES:
            if what != "look" and instance is None:
                told = f"{action} not tried: no workspace has an instance"
                yield Finding("executor", "note", told)
            else:
                yield await _permission(ec2, what, action, instance or "")
    except UnsetError as error:  # the other calls would not be made either
        mend = "set AWS_REGION, and give credentials: AWS_PROFILE, a role, or keys"
        yield Finding("executor", "wrong", f"EC2 cannot be asked: {error}", mend)


async def _permission(
    ec2: Ec2, what: Literal["look", "stop", "start"], action: str, instance: str
) -> Finding:
    """Try one.

    Raises:
        UnsetError: there is nothing to try it with.

    """
    on = "" if what == "look" else f" on {instance}"
    try:
        allowed = await ec2.may(what, instance)
    except UnsetError:
        raise
    except Ec2Error as error:
        told = f"{action}{on} could not be tried: {error}"
        return Finding("executor", "wrong", told, "see AWS_REGION, AWS_PROFILE and the network")
    if allowed:
        return Finding("executor", "ok", f"{action}{on} is allowed (dry run)")
    told = f"{action}{on} is not allowed to these credentials"
    return Finding("executor", "wrong", told, f"allow {action} in their IAM policy")
