"""contract.md, "What it does to `workspaces`": these columns, this status type, nothing else."""

from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from consumer.settings import Settings
from tests.support.caller import WireCaller
from tests.support.forest import Forest
from tests.support.program import running


@pytest.fixture(params=["database_url", "text_database_url"], ids=["enum", "text"])
def either_url(request: pytest.FixtureRequest) -> str:
    """Lease a database with either kind of status column."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
async def either(either_url: str, settings_of: Callable[..., Settings]) -> AsyncIterator[Forest]:
    """Run the program on a table with either kind of status column."""
    connection = await asyncpg.connect(either_url)
    async with running(settings_of(database_url=either_url)):
        yield Forest(connection)
    await connection.close()


async def row(forest: Forest, name: str) -> dict[str, object]:
    """Read one workspace whole."""
    found = await forest.connection.fetchrow("select * from workspaces where name = $1", name)
    assert found is not None
    return dict(found)


async def test_pause_sets_status_url_and_updated_at_alone(
    caller: WireCaller, either: Forest
) -> None:
    """Pause sets status='paused', url='', updated_at=now(), and nothing else, on either type."""
    top = await either.plant("top", "top/a")
    before = await row(either, "a")
    assert (await caller.pause(top, cascade=True)).data["status"] == 200
    after = await row(either, "a")
    changed = {key for key in after if after[key] != before[key]}
    assert changed == {"status", "url", "updated_at"}
    assert (after["status"], after["url"]) == ("paused", "")


async def test_resume_sets_status_and_updated_at_alone(caller: WireCaller, either: Forest) -> None:
    """Resume sets status='provisioning', updated_at=now(), and nothing else, on either type."""
    top = await either.plant("top:paused")
    before = await row(either, "top")
    assert (await caller.resume(top)).data["status"] == 200
    after = await row(either, "top")
    assert {key for key in after if after[key] != before[key]} == {"status", "updated_at"}
    assert after["status"] == "provisioning"


async def test_undo_writes_either_status_type(caller: WireCaller, either: Forest) -> None:
    """Undo sets an earlier status back on either type."""
    top = await either.plant("top:offline")
    paused = await caller.pause(top)
    await caller.hear("workspace.pause.settled")
    assert (await caller.resume(top, undo=paused.data["operation_id"])).data["status"] == 200
    after = await row(either, "top")
    assert (after["status"], after["url"]) == ("offline", "http://top")
