"""What EC2's error codes mean to people, and whether asking again may help. Knows no boto3."""

from collections.abc import Mapping

from consumer.executor.port import Failed

_MEANINGS: Mapping[str, str] = {
    "AuthFailure": "AWS does not know these credentials",
    "IncorrectInstanceState": "the instance is in a state in which this cannot be done",
    "InsufficientInstanceCapacity": "EC2 has no room for this kind of instance now",
    "InvalidInstanceID.Malformed": "the instance id is not one",
    "InvalidInstanceID.NotFound": "EC2 knows no such instance",
    "OperationNotPermitted": "stop protection is on for the instance",
    "RequestExpired": "the credentials have expired, or the clock here is wrong",
    "UnauthorizedOperation": "the credentials do not allow this",
    "UnsupportedOperation": "this kind of instance cannot be stopped (instance store)",
}
_RETRYABLE = frozenset({"IncorrectInstanceState", "InsufficientInstanceCapacity", "RequestExpired"})
THROTTLES = frozenset({"EC2ThrottledException", "RequestLimitExceeded", "Throttling"}) | {
    "RequestThrottled",
    "ThrottledException",
    "ThrottlingException",
    "TooManyRequestsException",
    "429",
}
"""EC2 took no notice of the call. (EC2 API Reference, error codes and request throttling.)"""
_SERVER_SIDE = frozenset({"InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable"})
PASSING = frozenset({"IncorrectInstanceState", "InvalidInstanceID.NotFound"})
"""May be so only until EC2's view of a machine has caught up with what was done to it."""


def is_server_side(code: str) -> bool:
    """Tell whether EC2 itself failed. A code of digits is an HTTP status without a body."""
    return code in _SERVER_SIDE or code.startswith(("Server.", "5"))


def refused(code: str, instance_id: str) -> Failed:
    """Tell what a refusal means."""
    return Failed(code, f"{_MEANINGS.get(code, 'EC2 refused')}: {instance_id}", code in _RETRYABLE)


def gone(instance_id: str, state: str) -> Failed:
    """Tell that a machine is terminated or about to be."""
    return Failed("InstanceGone", f"{instance_id} is {state}; none is made anew", retryable=False)


def fell_back(instance_id: str, state: str, reason: str | None) -> Failed:
    """Tell that a start was accepted and begun, and the machine went down again by itself."""
    return Failed(
        reason or "FellBack", f"{instance_id} began to start and is {state} again", retryable=True
    )
