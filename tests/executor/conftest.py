"""boto3's settings for moto, machines on it, and facts."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from consumer.devstack.platform import aws_environment
from consumer.devstack.stack import Stack
from consumer.executor import ec2
from consumer.observe import listening
from tests.executor.front import Front, front_before

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

Facts = list[tuple[str, Mapping[str, Any]]]


_NOT_OURS = (
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)


@pytest.fixture(scope="session")
def own_client(stack: Stack) -> "EC2Client":
    """Make a client of the tests' own, whatever the environment says."""
    return boto3.Session("demo", "demo", region_name="us-east-1").client(
        "ec2", endpoint_url=stack.aws_url
    )


@pytest.fixture
def aws(stack: Stack, own_client: "EC2Client", monkeypatch: pytest.MonkeyPatch) -> "EC2Client":
    """Point boto3 at moto, and nowhere else; give the tests' own client."""
    for name, value in aws_environment(stack).items():
        monkeypatch.setenv(name, value)
    for name in _NOT_OURS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return own_client


@pytest.fixture
def front(aws: "EC2Client", stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    """Put a front before moto."""
    assert aws.meta.endpoint_url == stack.aws_url
    with front_before(stack.aws_url) as before:
        monkeypatch.setenv("AWS_ENDPOINT_URL", before.url)
        yield before


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
    """Hear what is said."""
    heard: Facts = []
    with listening(lambda fact, fields: heard.append((fact, fields))):
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
