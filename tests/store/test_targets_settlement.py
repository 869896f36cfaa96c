"""Settlement against others at the same time, and what a failed outcome gives back."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from consumer.store.operations import next_deadline
from consumer.store.targets import expire_targets, settle_targets
from tests.store.carried import blocked, operation, pause, resume, undo
from tests.support.forest import Forest

COUNTS = """
select open_count, succeeded_count, failed_count, superseded_count, timed_out_count,
       settled_at is not null as settled
from lifecycle.operation where operation_id = $1
"""


async def test_two_transactions_with_the_last_two_results_settle_once(
    forest: Forest,
    second: "asyncpg.Connection[asyncpg.Record]",
    third: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """The later one waits, counts on from what the earlier committed, and alone reaches zero."""
    top = await forest.plant("top", "top/a")
    carried = await pause(forest.connection, top)
    transaction = forest.connection.transaction()
    await transaction.start()
    (first,) = await settle_targets(forest.connection, [carried.result(top)])
    last = [carried.result(forest.ids["a"])]
    waiting = asyncio.create_task(settle_targets(second, last))
    await blocked(third, forest.connection.get_server_pid())
    await transaction.commit()
    (later,) = await waiting
    assert (first.open_count, later.open_count) == (1, 0)


async def test_the_same_last_result_twice_at_once_settles_once(
    forest: Forest,
    second: "asyncpg.Connection[asyncpg.Record]",
    third: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """A duplicate that waited for the first finds the operation settled and has no news."""
    top = await forest.plant("top")
    carried = await pause(forest.connection, top)
    transaction = forest.connection.transaction()
    await transaction.start()
    (first,) = await settle_targets(forest.connection, [carried.result(top)])
    waiting = asyncio.create_task(settle_targets(second, [carried.result(top)]))
    await blocked(third, forest.connection.get_server_pid())
    await transaction.commit()
    assert (first.open_count, await waiting) == (0, [])


async def test_each_outcome_is_counted_under_its_own_name(forest: Forest) -> None:
    """Succeeded, failed and superseded add up to the targets; the first result of one counts."""
    top = await forest.plant("top", "top/a", "top/b", "top/c")
    carried = await pause(forest.connection, top)
    ids = forest.ids
    batch = [
        carried.result(ids["a"], "failed"),
        carried.result(ids["a"], "succeeded"),
        carried.result(ids["b"], "superseded"),
        carried.result(top),
        carried.result(ids["c"]),
    ]
    (progress,) = await settle_targets(forest.connection, batch)
    assert (progress.outcome_count, progress.open_count) == (4, 0)
    row = await forest.connection.fetchrow(COUNTS, carried.operation_id)
    assert row is not None
    assert tuple(row) == (0, 2, 1, 1, 0, True)


async def test_an_operation_has_its_counts_whole_when_it_is_settled_in_batches(
    forest: Forest,
) -> None:
    """settled_at comes with the last outcome and not before."""
    top = await forest.plant("top", "top/a", "top/b")
    carried = await pause(forest.connection, top)
    settled = []
    for one in forest.ids.values():
        await settle_targets(forest.connection, [carried.result(one)])
        row = await forest.connection.fetchrow(COUNTS, carried.operation_id)
        assert row is not None
        settled.append((row["open_count"], row["settled"]))
    assert settled == [(2, False), (1, False), (0, True)]


async def test_a_failed_start_gives_paused_back(either: Forest) -> None:
    """A workspace whose start failed is paused again, and its URL is left alone."""
    top = await either.plant("top:paused", "top/a:paused")
    await either.connection.execute("update workspaces set url = ''")
    carried = await resume(either.connection, top)
    assert set((await either.statuses()).values()) == {"provisioning"}
    both = [carried.result(one, "failed") for one in either.ids.values()]
    (progress,) = await settle_targets(either.connection, both)
    assert progress.compensated_count == 2
    assert set((await either.statuses()).values()) == {"paused"}
    assert await either.connection.fetchval("select bool_and(url = '') from workspaces")


@pytest.mark.parametrize("status", ["provisioning", "online", "offline", "degraded", "failed"])
async def test_a_failed_stop_gives_back_whatever_the_status_was(
    either: Forest, status: str
) -> None:
    """Each status a pause can meet is put back as it was, with the URL, on either column type."""
    top = await either.plant(f"top:{status}")
    carried = await pause(either.connection, top)
    await settle_targets(either.connection, [carried.result(top, "failed")])
    row = await either.connection.fetchrow("select status::text, url from workspaces")
    assert row is not None
    assert tuple(row) == (status, "http://top")


async def test_an_url_the_platform_has_set_meanwhile_is_kept(forest: Forest) -> None:
    """Compensation gives the URL back only where it is still empty."""
    top = await forest.plant("top")
    carried = await pause(forest.connection, top)
    await forest.connection.execute("update workspaces set url = 'http://new'")
    await settle_targets(forest.connection, [carried.result(top, "failed")])
    row = await forest.connection.fetchrow("select status::text, url from workspaces")
    assert row is not None
    assert tuple(row) == ("online", "http://new")


async def test_nothing_is_given_back_where_a_newer_command_stands(forest: Forest) -> None:
    """After pause, resume, pause, the first pause's failed stop must not undo the second."""
    top = await forest.plant("top")
    first = await pause(forest.connection, top)
    await resume(forest.connection, top)
    await pause(forest.connection, top)
    (progress,) = await settle_targets(forest.connection, [first.result(top, "failed")])
    assert (progress.open_count, progress.compensated_count) == (0, 0)
    assert await forest.statuses() == {"top": "paused"}


async def test_nor_where_the_newer_command_came_while_the_settlement_waited(
    forest: Forest,
    second: "asyncpg.Connection[asyncpg.Record]",
    third: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """A settlement that waits for its locks never overwrites commands that commit meanwhile."""
    top = await forest.plant("top", "top/a")
    first = await pause(forest.connection, top)
    transaction = forest.connection.transaction()
    await transaction.start()
    await settle_targets(forest.connection, [first.result(forest.ids["a"])])
    failed = [first.result(top, "failed")]

    async def settled() -> int:
        async with second.transaction():
            (progress,) = await settle_targets(second, failed)
            return progress.compensated_count

    waiting = asyncio.create_task(settled())
    await blocked(third, forest.connection.get_server_pid())
    commands = asyncio.create_task(_resume_and_pause(third, top))
    held_up = asyncio.create_task(blocked(forest.connection, second.get_server_pid()))
    done, _ = await asyncio.wait([commands, held_up], return_when=asyncio.FIRST_COMPLETED)
    held_up.cancel()
    await transaction.commit()
    compensated = await waiting
    await commands
    # The settlement goes first and the commands follow, or it sees what they did.
    assert await forest.statuses() == {"top": "paused", "a": "paused"}
    assert not (commands in done and compensated)


async def test_a_failed_target_of_an_undo_is_paused_again(forest: Forest) -> None:
    """What an undo could not start is paused; what it only set back has no outcome to come."""
    top = await forest.plant("top", "top/a:offline", "top/b:degraded")
    earlier = await pause(forest.connection, top)
    carried = await undo(forest.connection, top, earlier)
    assert (carried.recorded.count, carried.recorded.target_count) == (3, 2)
    results = [carried.result(one, "failed") for one in forest.ids.values()]
    (progress,) = await settle_targets(forest.connection, results)
    assert (progress.outcome_count, progress.open_count) == (2, 0)
    assert await forest.statuses() == {"top": "paused", "a": "offline", "b": "paused"}


async def test_the_deadline_and_the_last_result_at_once_settle_once(
    forest: Forest,
    second: "asyncpg.Connection[asyncpg.Record]",
    third: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """Whichever of the two comes first settles the operation; the other finds it done."""
    top = await forest.plant("top")
    carried = await pause(forest.connection, top, seconds=-1)
    transaction = forest.connection.transaction()
    await transaction.start()
    (first,) = await settle_targets(forest.connection, [carried.result(top)])
    waiting = asyncio.create_task(expire_targets(second))
    await blocked(third, forest.connection.get_server_pid())
    await transaction.commit()
    assert (first.open_count, await waiting) == (0, [])
    row = await forest.connection.fetchrow(COUNTS, carried.operation_id)
    assert row is not None
    assert tuple(row) == (0, 1, 0, 0, 0, True)


async def test_a_result_that_came_while_the_deadline_waited_is_not_timed_out(
    forest: Forest,
    second: "asyncpg.Connection[asyncpg.Record]",
    third: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """Of two targets one is answered just in time: it has succeeded, only the other timed out."""
    top = await forest.plant("top", "top/a")
    carried = await pause(forest.connection, top, seconds=-1)
    transaction = forest.connection.transaction()
    await transaction.start()
    await settle_targets(forest.connection, [carried.result(top)])
    waiting = asyncio.create_task(expire_targets(second))
    await blocked(third, forest.connection.get_server_pid())
    await transaction.commit()
    (expired,) = await waiting
    assert (expired.outcome_count, expired.open_count) == (1, 0)
    row = await forest.connection.fetchrow(COUNTS, carried.operation_id)
    assert row is not None
    assert tuple(row) == (0, 1, 0, 0, 1, True)


async def test_only_what_is_due_is_timed_out(forest: Forest) -> None:
    """An operation before its deadline is left, and the next deadline is its own."""
    early, late = await forest.plant("early"), await forest.plant("late")
    due = await pause(forest.connection, early, seconds=-1)
    waits = await pause(forest.connection, late, seconds=600)
    (expired,) = await expire_targets(forest.connection)
    assert expired.operation_id == due.operation_id
    row = await forest.connection.fetchrow(COUNTS, waits.operation_id)
    assert row is not None
    assert tuple(row) == (1, 0, 0, 0, 0, False)
    seconds = await next_deadline(forest.connection)
    assert seconds is not None
    assert 500 < seconds < 600.1


async def test_an_operation_without_targets_is_settled_when_it_is_recorded(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """Nothing is open, so there is no deadline to wait for."""
    identity = await operation(connection)
    row = await connection.fetchrow(COUNTS, identity)
    assert row is not None
    assert tuple(row) == (0, 0, 0, 0, 0, True)
    assert await next_deadline(connection) is None
    assert await expire_targets(connection) == []


async def test_what_settled_is_dated(forest: Forest) -> None:
    """A target's outcome has its time, so that the audit can tell how long it took."""
    top = await forest.plant("top")
    before = datetime.now(UTC)
    carried = await pause(forest.connection, top)
    await settle_targets(forest.connection, [carried.result(top, "failed")])
    row = await forest.connection.fetchrow("select settled_at, code, detail from lifecycle.target")
    assert row is not None
    assert (row["code"], row["detail"]) == ("refused", "no")
    assert abs((row["settled_at"] - before).total_seconds()) < 30


async def _resume_and_pause(connection: "asyncpg.Connection[asyncpg.Record]", top: UUID) -> None:
    await resume(connection, top)
    await pause(connection, top)
