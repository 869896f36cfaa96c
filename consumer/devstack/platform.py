"""The platform around the program: its table, the incident's organisation, and its machines."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import boto3

from consumer.devstack.stack import Stack

AGENTS = ("Research Agent", "Writing Agent", "Review Agent", "Release Agent")
MANAGER = "Production Manager"


async def create_workspaces(url: str) -> None:
    """Create the platform's table where it is missing."""
    text = files("consumer.devstack").joinpath("platform.sql").read_text(encoding="utf-8")
    await _with(url, text)


async def found_company(url: str, instances: Sequence[str]) -> UUID:
    """Put the incident's organisation into the table: a manager, four agents below; give its id.

    All five run, each on an instance of its own; the agents are at work.
    """
    await create_workspaces(url)
    top = uuid4()
    rows: list[tuple[UUID, str, UUID | None, str, int]] = [(top, MANAGER, None, instances[0], 0)]
    below = zip(AGENTS, instances[1:], strict=True)
    rows += [(uuid4(), name, top, instance, 1) for name, instance in below]
    connection = await asyncpg.connect(url)
    try:
        await connection.executemany(
            "insert into workspaces (id, name, parent_id, instance_id, active_tasks, status, url)"
            " values ($1, $2, $3, $4, $5, 'online', 'http://' || $4)",
            rows,
        )
    finally:
        await connection.close()
    return top


async def _with(url: str, text: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(text)
    finally:
        await connection.close()


def aws_environment(stack: Stack) -> Mapping[str, str]:
    """Give boto3's settings for a stack's AWS; never the credentials of anybody's real one."""
    return {
        "AWS_ENDPOINT_URL": stack.aws_url,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",
    }


class Fleet:
    """EC2 instances on a stack's AWS, with boto3's settings from the environment."""

    def __init__(self) -> None:
        self._ec2: Any = boto3.client("ec2")

    def launch(self, count: int) -> list[str]:
        """Run instances; give their ids."""
        image = self._ec2.describe_images(MaxResults=5)["Images"][0]["ImageId"]
        launched = self._ec2.run_instances(ImageId=image, MinCount=count, MaxCount=count)
        return [one["InstanceId"] for one in launched["Instances"]]

    def states(self, instances: Sequence[str]) -> Mapping[str, str]:
        """Tell each instance's state, as EC2 names it."""
        found = self._ec2.describe_instances(InstanceIds=list(instances))["Reservations"]
        return {
            one["InstanceId"]: one["State"]["Name"]
            for reservation in found
            for one in reservation["Instances"]
        }


if __name__ == "__main__":
    asyncio.run(create_workspaces(os.environ["LIFECYCLE_DATABASE_URL"]))
