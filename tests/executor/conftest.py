"""boto3's settings for moto, machines on it, and facts."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from consumer.executor import ec2
from consumer.observe import listening

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

Facts = list[tuple[str, Mapping[str, Any]]]


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let botocore try once: eight tries take half a minute."""
    monkeypatch.setattr(ec2, "_ADAPTIVE", {"mode": "adaptive", "max_attempts": 0})


@pytest.fixture
def instance_id(aws: "EC2Client") -> str:
    """Launch one instance."""
    return launch(aws)


@pytest.fixture
def facts() -> Iterator[Facts]:
    """Hear what is said, but for the steps of an order's way."""
    heard: Facts = []

    def hear(fact: str, fields: Mapping[str, Any]) -> None:
        if fact not in {"order.admitted", "order.ended"}:
            heard.append((fact, fields))

    with listening(hear):
        yield heard


def launch(client: "EC2Client", **settings: Any) -> str:
    """Run one instance; give its id."""
    launched = client.run_instances(ImageId=_image(client), MinCount=1, MaxCount=1, **settings)
    return launched["Instances"][0]["InstanceId"]


@cache
def _image(client: "EC2Client") -> str:
    return client.describe_images(MaxResults=5)["Images"][0]["ImageId"]


def state(client: "EC2Client", instance_id: str) -> str:
    """Tell what EC2 says of an instance."""
    found = client.describe_instances(InstanceIds=[instance_id])
    return str(found["Reservations"][0]["Instances"][0]["State"]["Name"])
