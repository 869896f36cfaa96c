"""Five hundred workspaces, bad machines, a throttling EC2 and a dying executor: all is counted."""

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.support.caller import WireCaller
from tests.support.fleet import plant, refuse
from tests.support.forest import Forest
from tests.support.front import Front
from tests.support.siege import Urls, count_up, pause_under_siege, stopped

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

SIEGES = [
    pytest.param(60, 8, [2], id="60"),
    pytest.param(500, 25, [3, 9], id="500", marks=[pytest.mark.faults, pytest.mark.timeout(900)]),
]


@pytest.mark.parametrize(("count", "bad", "kills"), SIEGES)
async def test_a_fleet_is_stopped_and_counted_whatever_goes_wrong(
    urls: Urls, caller: WireCaller, forest: Forest, aws: "EC2Client", front: Front,
    count: int, bad: int, kills: list[int],
) -> None:  # fmt: skip
    """One in twenty is bad, one call in ten is throttled, looks lie, the executor is killed."""
    fleet = await plant(forest.connection, aws, count, bad)
    refuse(front, fleet)
    front.throttled, front.lag, front.delay = 0.1, 1, 0.1
    caller.patience = 300
    settled = await pause_under_siege(urls, caller, front, fleet, kills)
    await count_up(forest.connection, fleet, settled)
    stopped(aws, fleet)
    assert caller.of(settled.data["operation_id"]).count("workspace.pause.settled") == 1
    assert len(front.asked) < 2 * count
    calls = Counter(front.asked)
    print(f"\n{count} workspaces, {bad} bad machines, {len(kills)} kills: {dict(calls)};")
    print(f"one call an instance would have been {count} stops, and as many looks at least")
