"""A fleet with machines that go wrong, paused while EC2 throttles and the executor is killed."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import cycle
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import asyncpg

from tests.support.front import Front

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

REFUSALS: Mapping[str, tuple[int, str]] = {
    "IncorrectInstanceState": (
        400, "The instance '{id}' is not in a state from which it can be stopped.",
    ),
    "InvalidInstanceID.Malformed": (400, 'Invalid id: "{id}" (expecting "i-...")'),
    "OperationNotPermitted": (
        400, "The instance '{id}' may not be stopped. Modify its 'disableApiStop' attribute.",
    ),
    "UnauthorizedOperation": (
        403, "You are not authorized to perform this operation. Encoded authorization: 8x2Kd",
    ),
    "UnsupportedOperation": (
        400, "The instance '{id}' does not have an 'ebs' root device type and cannot be stopped.",
    ),
}  # fmt: skip
"""What EC2 says of a call for the sake of one machine in it. (EC2 API Reference, error codes.)"""
MISSING = {
    "InvalidInstanceID.NotFound": "i-0000{number:013x}",
    "InvalidInstanceID.Malformed": "no-machine-{number}",
}
KINDS = (*REFUSALS, "InvalidInstanceID.NotFound", "InstanceGone")


@dataclass
class Fleet:
    """A tree of workspaces, each on a machine of its own.

    Attributes:
        bad: instance id -> the code with which its stop has to fail.
        stopped: instance ids that were stopped before.

    """

    top: UUID
    machines: dict[UUID, str]
    bad: dict[str, str] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)

    @property
    def good(self) -> list[str]:
        """The machines that can be stopped."""
        return [one for one in self.machines.values() if one not in self.bad]

    def statuses(self) -> dict[UUID, str]:
        """Give the status that each workspace has to have in the end."""
        return {
            workspace: "online" if machine in self.bad else "paused"
            for workspace, machine in self.machines.items()
        }

    def codes(self) -> Counter[str]:
        """Count how many stops have to fail with each code."""
        return Counter(self.bad.values())


async def plant(
    connection: "asyncpg.Connection[asyncpg.Record]", aws: "EC2Client", count: int, bad: int
) -> Fleet:
    """Launch machines, make some of them bad in every way there is, and plant their workspaces."""
    machines = launch(aws, count)
    kinds = dict(zip(machines[5 :: (count - 5) // bad][:bad], cycle(KINDS), strict=False))
    gone = [machine for machine, kind in kinds.items() if kind == "InstanceGone"]
    aws.terminate_instances(InstanceIds=gone)
    aws.stop_instances(InstanceIds=machines[1:4])
    ids = [uuid4() for _ in machines]
    fleet = Fleet(ids[0], dict(zip(ids, _named(machines, kinds), strict=True)))
    fleet.bad = {name: kinds[was] for name, was in _renamed(machines, kinds) if was in kinds}
    fleet.stopped = set(machines[1:4])
    rows = [
        (one, f"w{place:04}", ids[(place - 1) // 8] if place else None, fleet.machines[one])
        for place, one in enumerate(ids)
    ]
    await connection.executemany(
        "insert into workspaces (id, name, parent_id, status, instance_id)"
        " values ($1, $2, $3, 'online', $4)",
        rows,
    )
    return fleet


def launch(aws: "EC2Client", count: int) -> list[str]:
    """Launch machines, a hundred a call."""
    return [
        one["InstanceId"]
        for size in [100] * (count // 100) + [count % 100] * bool(count % 100)
        for one in aws.run_instances(ImageId=_image(aws), MinCount=size, MaxCount=size)["Instances"]
    ]


def refuse(front: Front, fleet: Fleet) -> None:
    """Have EC2 refuse what moto would carry out."""
    for machine, kind in fleet.bad.items():
        if kind in REFUSALS:
            status, message = REFUSALS[kind]
            front.bad[machine] = status, kind, message.format(id=machine)


def states(aws: "EC2Client", machines: Sequence[str]) -> Counter[str]:
    """Count the machines in each state, as EC2 itself has it."""
    pages = aws.get_paginator("describe_instances").paginate(
        Filters=[{"Name": "instance-id", "Values": list(machines)}]
    )
    return Counter(
        instance["State"]["Name"]
        for page in pages
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    )


def _named(machines: Sequence[str], kinds: Mapping[str, str]) -> list[str]:
    return [name for name, _ in _renamed(machines, kinds)]


def _renamed(machines: Sequence[str], kinds: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Give each machine the id its workspace has for it: some name none."""
    for number, machine in enumerate(machines):
        yield MISSING.get(kinds.get(machine, ""), machine).format(number=number), machine


@cache
def _image(aws: "EC2Client") -> str:
    return aws.describe_images(MaxResults=5)["Images"][0]["ImageId"]
