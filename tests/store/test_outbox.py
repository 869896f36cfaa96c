"""The outbox: everything leaves, in the order in which it was decided, and by one at a time."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from consumer.store.outbox import (
    Flying,
    Outgoing,
    confirm_outbox,
    leave_relay,
    take_outbox,
    take_replies,
    try_relay,
)
from consumer.store.statements import load
from tests.store.carried import operation, pause
from tests.support.backlog import fill
from tests.support.forest import Forest
from tests.support.one import outgoing, put_outbox

PLENTY = 1_000_000


def event(kind: str, body: bytes | None = b"body") -> Outgoing:
    """Make an event."""
    return outgoing("event", kind, body=body)


def fanout() -> Outgoing:
    """Make a fan-out."""
    return outgoing("fanout", "workspace.stop")


async def paused(forest: Forest, count: int) -> tuple[UUID, Sequence[UUID]]:
    """Pause a tree of `count`; give the operation and the workspaces in the order they leave."""
    top = await forest.plant("top", *(f"top/w{i}" for i in range(count - 1)))
    carried = await pause(forest.connection, top)
    return carried.operation_id, sorted(forest.ids.values())


async def test_messages_leave_in_the_order_in_which_they_were_put(forest: Forest) -> None:
    """What was decided first is taken first, within an operation and across operations."""
    first, later = await operation(forest.connection), await operation(forest.connection)
    await put_outbox(forest.connection, later, [event("b"), event("a")])
    await put_outbox(forest.connection, first, [event("c")])
    taken = await take_outbox(forest.connection, 10, PLENTY)
    assert [one.type for one in taken] == ["b", "a", "c"]
    assert [one.operation_id for one in taken] == [later, later, first]


async def test_without_a_body_a_message_is_its_operations_answer(forest: Forest) -> None:
    """The summary and the reply carry the stored answer; a body of its own goes before it."""
    answered = await operation(forest.connection, answer=b"the answer")
    reply = outgoing("reply", "s", reply_to="amq.gen-x", correlation_id="c")
    await put_outbox(forest.connection, answered, [event("s", None), reply, event("settled")])
    taken = await take_outbox(forest.connection, 10, PLENTY)
    assert [one.body for one in taken] == [b"the answer", b"the answer", b"body"]
    assert (taken[1].reply_to, taken[1].correlation_id) == ("amq.gen-x", "c")


async def test_a_fan_out_is_a_message_for_each_commanded_target(forest: Forest) -> None:
    """Each target leaves once, by workspace id; one an undo only set back does not leave."""
    operation_id, workspaces = await paused(forest, 4)
    await forest.connection.execute(
        "update lifecycle.target set commanded = false where workspace_id = $1", workspaces[1]
    )
    await put_outbox(forest.connection, operation_id, [event("s"), fanout(), event("after")])
    taken = await take_outbox(forest.connection, 10, PLENTY)
    targets = [one.target.workspace_id if one.target else None for one in taken]
    assert targets == [None, workspaces[0], workspaces[2], workspaces[3], None]
    target = taken[1].target
    assert target is not None
    assert (target.previous_status, target.operation_id) == ("online", operation_id)
    assert target.instance_id == f"i-{target.name}"


async def test_a_fan_out_goes_on_where_it_was_confirmed(forest: Forest) -> None:
    """Chunk by chunk every target is taken exactly once, then one row says that none is left."""
    operation_id, workspaces = await paused(forest, 7)
    await put_outbox(forest.connection, operation_id, [fanout(), event("after")])
    seen = []
    for _ in range(2):
        chunk = await take_outbox(forest.connection, 3, PLENTY)
        found = [one.target.workspace_id for one in chunk if one.target]
        assert len(found) == 3
        seen += found
        await confirm_outbox(forest.connection, [], (chunk[0].seq, found[-1]), [])
    rest = await take_outbox(forest.connection, 3, PLENTY)
    assert [one.type for one in rest] == ["workspace.stop", "after"]
    assert rest[0].target is not None
    seen.append(rest[0].target.workspace_id)
    assert seen == workspaces
    await confirm_outbox(forest.connection, [], (rest[0].seq, seen[-1]), [])
    empty, after = await take_outbox(forest.connection, 3, PLENTY)
    assert (empty.kind, empty.target, after.type) == ("fanout", None, "after")


@pytest.mark.parametrize("most", [1, 2, 3, 4, 5, 9])
async def test_what_is_under_way_is_not_taken_again(forest: Forest, most: int) -> None:
    """Chunk after chunk while nothing is confirmed: all of it, once, in its order."""
    operation_id, workspaces = await paused(forest, 7)
    await put_outbox(forest.connection, operation_id, [event("s"), fanout(), event("after")])
    seen: list[UUID | str] = []
    seqs: set[int] = set()
    flying = Flying()
    while chunk := await take_outbox(forest.connection, most, PLENTY, flying):
        seen += [one.target.workspace_id if one.target else one.type for one in chunk]
        last, seqs = chunk[-1], seqs | {one.seq for one in chunk}
        flying = Flying(seqs)
        if last.target is not None and len(chunk) == most:
            flying = Flying(seqs - {last.seq}, last.seq, last.target.workspace_id)
    told = [one for one in seen if one != "workspace.stop"]
    assert told == ["s", *workspaces, "after"]


async def test_what_becomes_visible_late_is_taken_before_what_is_not_under_way(
    forest: Forest,
) -> None:
    """A row is numbered before its transaction commits: a later number may be seen before it."""
    one = await operation(forest.connection)
    await put_outbox(forest.connection, one, [event("late"), event("early"), event("next")])
    late, early, following = await take_outbox(forest.connection, 10, PLENTY)
    taken = await take_outbox(forest.connection, 10, PLENTY, Flying({early.seq}))
    assert [other.seq for other in taken] == [late.seq, following.seq]


async def test_a_fan_out_without_targets_is_one_row_to_be_forgotten(forest: Forest) -> None:
    """An empty fan-out neither blocks what comes behind it nor stays for ever."""
    nobody = await operation(forest.connection)
    await put_outbox(forest.connection, nobody, [fanout(), event("after")])
    empty, after = await take_outbox(forest.connection, 10, PLENTY)
    assert (empty.kind, empty.target, empty.body) == ("fanout", None, None)
    await confirm_outbox(forest.connection, [empty.seq, after.seq], None, [])
    assert await take_outbox(forest.connection, 10, PLENTY) == []


async def test_bodies_are_cut_at_the_byte_limit_but_never_to_nothing(forest: Forest) -> None:
    """A chunk holds about so many bytes; one body over the limit still leaves, alone."""
    one = await operation(forest.connection, answer=b"x" * 60)
    small = [event(kind, b"y" * 60) for kind in "abc"]
    await put_outbox(forest.connection, one, [event("big", b"z" * 500), *small])
    (big,) = await take_outbox(forest.connection, 10, 130)
    assert big.type == "big"
    await confirm_outbox(forest.connection, [big.seq], None, [])
    assert [m.type for m in await take_outbox(forest.connection, 10, 130)] == ["a", "b"]
    assert [m.type for m in await take_outbox(forest.connection, 1, 130)] == ["a"]


async def test_the_byte_limit_never_lets_a_later_message_overtake(forest: Forest) -> None:
    """What stands behind a body that was cut off waits with it, be it a fan-out or an answer."""
    operation_id, _ = await paused(forest, 3)
    messages = [event("a"), event("big", b"z" * 500), fanout(), event("b")]
    await put_outbox(forest.connection, operation_id, messages)
    assert [one.type for one in await take_outbox(forest.connection, 10, 100)] == ["a"]


async def test_a_failed_attempt_is_counted_and_the_message_stays(forest: Forest) -> None:
    """What the broker did not confirm is taken again and tells how often it failed."""
    one = await operation(forest.connection)
    await put_outbox(forest.connection, one, [event("a"), event("b")])
    a, b = await take_outbox(forest.connection, 10, PLENTY)
    await confirm_outbox(forest.connection, [a.seq], None, [b.seq])
    await confirm_outbox(forest.connection, [], None, [b.seq])
    (left,) = await take_outbox(forest.connection, 10, PLENTY)
    assert (left.seq, left.attempts) == (b.seq, 2)


async def test_a_fan_out_that_fails_midway_keeps_what_was_confirmed(forest: Forest) -> None:
    """Progress and the failed attempt are both noted: no confirmed command is sent again."""
    operation_id, workspaces = await paused(forest, 3)
    await put_outbox(forest.connection, operation_id, [fanout()])
    first, *_ = await take_outbox(forest.connection, 10, PLENTY)
    await confirm_outbox(forest.connection, [], (first.seq, workspaces[0]), [first.seq])
    left = await take_outbox(forest.connection, 10, PLENTY)
    assert [one.target.workspace_id for one in left if one.target] == workspaces[1:]
    assert {one.attempts for one in left} == {1}


async def test_the_newest_replies_are_taken_without_what_is_under_way(forest: Forest) -> None:
    """At most so many, oldest first, with about so many bytes, and only behind a row."""
    one = await operation(forest.connection, answer=b"the answer")
    replies = [outgoing("reply", name, reply_to="amq.gen-x") for name in "abcde"]
    await put_outbox(forest.connection, one, [*replies, event("f"), fanout()])

    async def taken(*asked: Any) -> list[str]:
        return [each.type for each in await take_replies(forest.connection, *asked)]

    first = (await take_replies(forest.connection, 1, PLENTY, ()))[0]
    assert (first.type, first.body, first.reply_to) == ("e", b"the answer", "amq.gen-x")
    assert await taken(3, PLENTY, ()) == ["c", "d", "e"]
    assert await taken(3, PLENTY, {first.seq}) == ["b", "c", "d"]
    assert await taken(3, 20, ()) == ["d", "e"]
    assert await taken(3, 1, ()) == ["e"]
    assert await taken(9, PLENTY, (), first.seq - 2) == ["d", "e"]


async def test_a_row_is_numbered_when_its_transaction_is(
    connection: "asyncpg.Connection[asyncpg.Record]",
    second: "asyncpg.Connection[asyncpg.Record]",
    third: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """Whoever has a number for a row is seen to be under way, also before the row is there."""
    one = await operation(connection)
    await put_outbox(connection, one, [event("first")])  # every 32nd number gives one by itself
    await connection.execute(
        "create function stop() returns trigger language plpgsql as"
        " 'begin perform pg_advisory_xact_lock_shared(1); return new; end'"
    )
    await connection.execute(
        "create trigger stop before insert on lifecycle.outbox for each row execute function stop()"
    )
    await connection.execute("select pg_advisory_lock(1)")
    putting = asyncio.create_task(put_outbox(second, one, [event("a")]))
    await Forest(third).waited_for()
    numbered = "select backend_xid is not null from pg_stat_activity where pid = $1"
    assert await third.fetchval(numbered, second.get_server_pid())
    await connection.execute("select pg_advisory_unlock(1)")
    await putting


async def test_one_relay_at_a_time(
    connection: "asyncpg.Connection[asyncpg.Record]",
    second: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """A second process is told no until the first has left, or its connection has ended."""
    assert await try_relay(connection)
    assert not await try_relay(second)
    await leave_relay(connection)
    assert await try_relay(second)
    assert not await try_relay(connection)


async def test_taking_reads_the_primary_keys_of_big_tables(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """A chunk costs what it holds, not what waits behind it: no big table is read through."""
    fan = await operation(connection)
    await connection.execute(
        "insert into lifecycle.outbox (operation_id, kind, type) values ($1, 'fanout', 's')", fan
    )
    await connection.execute(
        "insert into lifecycle.target (operation_id, workspace_id, generation, depth, name,"
        " previous_status, commanded) select $1, gen_random_uuid(), 1, 1, 'w', 'online', true"
        " from generate_series(1, 50000)",
        fan,
    )
    other = await operation(connection)
    await connection.execute(
        "insert into lifecycle.outbox (operation_id, kind, type, body)"
        " select $1, 'event', 't', 'x' from generate_series(1, 50000)",
        other,
    )
    await connection.execute("analyze lifecycle.outbox, lifecycle.target, lifecycle.operation")
    await connection.execute(
        "prepare take (integer, bigint, bigint[], bigint, uuid, bigint) as "
        + load("outbox")["take_outbox"]
    )
    rows = await connection.fetch(
        "explain analyze execute take (100, 8000000, '{}', null, null, 0)"
    )
    plan = "\n".join(row[0] for row in rows)
    assert "outbox_pkey" in plan
    assert "target_pkey" in plan
    assert "Seq Scan on outbox" not in plan
    assert "Seq Scan on target" not in plan


async def test_replies_are_found_without_reading_what_they_pass_by(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """They have an index of their own."""
    await fill(connection, 50_000)
    await connection.execute(
        "prepare ahead (integer, bigint, bigint[], bigint) as " + load("outbox")["take_replies"]
    )
    explain = "explain (analyze, format json) execute ahead (100, 8000000, '{}', 0)"
    (plan,) = json.loads(await connection.fetchval(explain))
    (read,) = [node for node in _nodes(plan["Plan"]) if node.get("Relation Name") == "outbox"]
    assert read["Index Name"] == "outbox_reply"
    assert _rows_read(read) == 100


async def test_a_late_chunk_of_a_fan_out_reads_no_earlier_target(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """What is confirmed is passed over by the index, so a fan-out's cost grows with its size."""
    fan = await operation(connection)
    await connection.execute(
        "insert into lifecycle.target (operation_id, workspace_id, generation, depth, name,"
        " previous_status, commanded)"
        " select $1, lpad(to_hex(i), 32, '0')::uuid, 1, 1, 'w', 'online', true"
        " from generate_series(0, 49999) i",
        fan,
    )
    await connection.execute(
        "insert into lifecycle.outbox (operation_id, kind, type, progress)"
        " values ($1, 'fanout', 's', lpad(to_hex(49899), 32, '0')::uuid)",
        fan,
    )
    await connection.execute("analyze lifecycle.outbox, lifecycle.target, lifecycle.operation")
    await connection.execute(
        "prepare take (integer, bigint, bigint[], bigint, uuid, bigint) as "
        + load("outbox")["take_outbox"]
    )
    for mode in ("force_custom_plan", "force_generic_plan"):
        await connection.execute(f"set plan_cache_mode = {mode}")
        explain = "explain (analyze, format json) execute take (1000, 8000000, '{}', null, null, 0)"
        (plan,) = json.loads(await connection.fetchval(explain))
        read = [_rows_read(node) for node in _nodes(plan["Plan"]) if node.get("Alias") == "t"]
        assert max(read) <= 101, mode


async def test_the_first_of_all_workspace_ids_is_not_passed_over(forest: Forest) -> None:
    """A fan-out begins with its very first target, be its id all zeros."""
    first = await forest.plant("top")
    await forest.connection.execute("update workspaces set id = $1", UUID(int=0))
    assert first != UUID(int=0)
    carried = await pause(forest.connection, UUID(int=0))
    await put_outbox(forest.connection, carried.operation_id, [fanout()])
    (one,) = await take_outbox(forest.connection, 10, PLENTY)
    assert one.target is not None
    assert one.target.workspace_id == UUID(int=0)
    await confirm_outbox(forest.connection, [], (one.seq, UUID(int=0)), [])
    (empty,) = await take_outbox(forest.connection, 10, PLENTY)
    assert empty.target is None


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


def _rows_read(node: Mapping[str, Any]) -> float:
    return float(node["Actual Rows"]) + float(node.get("Rows Removed by Filter", 0))
