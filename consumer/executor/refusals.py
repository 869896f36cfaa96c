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
    "RequestLimitExceeded": "EC2 throttled the call, and every retry of it",
    "UnauthorizedOperation": "the credentials do not allow this",
    "UnsupportedOperation": "this kind of instance cannot be stopped (instance store)",
}
_RETRYABLE = frozenset(
    {
        "IncorrectInstanceState",
        "InsufficientInstanceCapacity",
        "InternalError",
        "InternalFailure",
        "RequestExpired",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "Unavailable",
    }
)


def refused(code: str, instance_id: str) -> Failed:
    """Tell what a refusal means. A code of digits is an HTTP status without a body."""
    retryable = code in _RETRYABLE or code.startswith(("Server.", "5"))
    return Failed(code, f"{_MEANINGS.get(code, 'EC2 refused')}: {instance_id}", retryable)


def gone(instance_id: str, state: str) -> Failed:
    """Tell that a machine is terminated or about to be."""
    return Failed("InstanceGone", f"{instance_id} is {state}; none is made anew", retryable=False)
