"""A fleet is paused while everything around its executor goes wrong; then it is counted."""

from collections import Counter
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from tests.support.caller import Heard, WireCaller
from tests.support.fleet import MISSING, REFUSALS, Fleet, states
from tests.support.front import Front, until
from tests.support.program import Process, process

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client


@dataclass(frozen=True)
class Urls:
    """Where broker and database are."""

    amqp: str
    database: str


async def pause_under_siege(
    urls: Urls, caller: WireCaller, front: Front, fleet: Fleet, kills: list[int]
) -> Heard:
    """Pause all of a fleet; kill its executor when EC2 got each of so many calls. Give the end."""
    async with process(
        urls.amqp, urls.database, roles="commands,relay,settlement", LIFECYCLE_EXECUTOR="none"
    ) as program:
        await program.until("program.started")
        summary = await caller.pause(fleet.top, cascade=True)
        assert summary.data["paused_count"] == len(fleet.machines)
        for calls in kills:
            await _killed(urls, front, calls)
        async with _executor(urls):
            (settled,) = await caller.hear(
                "workspace.pause.settled", operation_id=summary.data["operation_id"]
            )
        await caller.all_out()
    return settled


async def _killed(urls: Urls, front: Front, calls: int) -> None:
    """Run an executor until EC2 got a number of calls that change something."""
    async with _executor(urls):
        await until(lambda: sum(one == "StopInstances" for one in front.asked) >= calls)


def _executor(urls: Urls) -> AbstractAsyncContextManager[Process]:
    settings = {"LIFECYCLE_EXECUTOR": "ec2", "LIFECYCLE_LOG_LEVEL": "error"}
    return process(urls.amqp, urls.database, roles="executor", **settings)


async def count_up(
    connection: "asyncpg.Connection[asyncpg.Record]", fleet: Fleet, settled: Heard
) -> None:
    """Hold what was told against what has to be, workspace for workspace."""
    told, bad = settled.data, len(fleet.bad)
    assert told["target_count"] == len(fleet.machines)
    assert (told["succeeded_count"], told["failed_count"]) == (len(fleet.machines) - bad, bad)
    assert (told["superseded_count"], told["timed_out_count"]) == (0, 0)
    assert Counter(one["code"] for one in told["failures"]) == fleet.codes()
    failed = {fleet.machines[UUID(one["workspace_id"])] for one in told["failures"]}
    assert failed == set(fleet.bad)
    rows = await connection.fetch("select id, status::text from workspaces")
    assert {row["id"]: row["status"] for row in rows} == fleet.statuses()


def stopped(aws: "EC2Client", fleet: Fleet) -> None:
    """See that every machine that could be stopped is, and none is gone that was there."""
    assert states(aws, fleet.good) == {"stopped": len(fleet.good)}
    refused = [
        machine for machine, kind in fleet.bad.items() if kind in REFUSALS.keys() - MISSING.keys()
    ]
    assert states(aws, refused) == {"running": len(refused)}
