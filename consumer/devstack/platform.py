"""The platform around the program: its table, the incident's organisation, and its machines."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import boto3

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
    rows = [(top, MANAGER, None, instances[0], 0)]
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


class Fleet:
    """EC2 instances on a stack's AWS."""

    def __init__(self, aws_url: str) -> None:
        self._ec2: Any = boto3.client(
            "ec2",
            endpoint_url=aws_url,
            region_name="us-east-1",
            aws_access_key_id="demo",
            aws_secret_access_key="demo",  # noqa: S106 (moto takes any)
        )

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
