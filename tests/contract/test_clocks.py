"""One clock, the database's, judges deadlines: those of the processes may be minutes off."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from consumer.settings import Settings
from tests.contract.answering import corrected, counts, paused
from tests.support.caller import WireCaller
from tests.support.clocks import skew
from tests.support.forest import Forest
from tests.support.program import running

OFF = pytest.mark.parametrize("minutes", [-10, 10], ids=["behind", "ahead"])


@OFF
async def test_what_is_in_time_is_carried_out(
    database_url: str, caller: WireCaller, forest: Forest, settings_of: Callable[..., Settings],
    minutes: int,
) -> None:  # fmt: skip
    """An executor whose own clock is past every deadline, or far before it, still does its work."""
    await skew(database_url, timedelta(minutes=minutes))
    top = await forest.plant("top", "top/a", "top/b")
    async with running(settings_of(settle_timeout=60)):
        operation = await paused(caller, top)
        (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
    assert counts(settled) == (3, 0, 0, 0)


@OFF
async def test_what_came_too_late_is_not(
    database_url: str, caller: WireCaller, forest: Forest, settings_of: Callable[..., Settings],
    minutes: int,
) -> None:  # fmt: skip
    """An order past its deadline is refused, though the executor's clock has it still to come."""
    await skew(database_url, timedelta(minutes=minutes))
    top = await forest.plant("top")
    settings = settings_of(settle_timeout=0.5)
    async with running(settings, ["commands", "relay", "settlement"]):
        operation = await paused(caller, top)
        (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
        assert counts(settled) == (0, 0, 0, 1)
        async with running(settings, ["executor"]):
            (event,) = await corrected(caller, operation, 1)
    (correction,) = event.data["corrections"]
    assert (correction["outcome"], correction["code"]) == ("failed", "expired")
    assert await forest.statuses() == {"top": "online"}


@OFF
async def test_not_after_is_judged_by_the_database(
    database_url: str, caller: WireCaller, forest: Forest, settings_of: Callable[..., Settings],
    minutes: int,
) -> None:  # fmt: skip
    """A command is expired, or is not, whatever time the process has that reads it."""
    await skew(database_url, timedelta(minutes=minutes))
    top = await forest.plant("top")
    theirs = datetime.now(UTC) + timedelta(minutes=minutes)
    async with running(settings_of()):
        late = await caller.pause(top, not_after=(theirs - timedelta(minutes=1)).isoformat())
        in_time = await caller.pause(top, not_after=(theirs + timedelta(minutes=1)).isoformat())
    assert late.data["code"] == "expired"
    assert in_time.type == "workspace.pause.summary"
