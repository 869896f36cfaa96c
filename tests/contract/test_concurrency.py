"""Invariants 1 to 4: many commands at once, on one tree and on many, from several sides."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from consumer.observe import listening
from consumer.settings import Settings
from tests.broker.gate import gate_before
from tests.support.caller import WireCaller
from tests.support.forest import Forest
from tests.support.program import running


@pytest.mark.usefixtures("program")
async def test_disjoint_trees_do_not_wait_for_each_other(
    caller: WireCaller, forest: Forest
) -> None:
    """While one tree is held by somebody, commands on others, siblings too, are answered."""
    await forest.plant("top", "top/held", "top/free", "elsewhere")
    async with forest.connection.transaction():
        await forest.connection.execute(
            "update workspaces set tier = 1 where id = $1", forest.ids["held"]
        )
        await caller.send("workspace.pause", {"workspace_id": forest.ids["held"]})
        await forest.waited_for()
        for name in ("free", "elsewhere"):
            assert (await caller.pause(forest.ids[name])).data["status"] == 200
    await caller.hear("workspace.pause.summary", workspace_id=forest.ids["held"])


@pytest.mark.usefixtures("program")
async def test_commands_on_one_workspace_take_effect_in_the_order_they_came(
    caller: WireCaller, forest: Forest
) -> None:
    """Thirty commands sent back to back are carried out one after the other, in their order."""
    top = await forest.plant("top", "top/a")
    for i in range(30):
        kind = "workspace.resume" if i % 2 else "workspace.pause"
        await caller.send(kind, {"workspace_id": top, "cascade": True}, message_id=str(i))
    await caller.hear("workspace.resume.summary", 15)
    await caller.hear("workspace.pause.summary", 15)
    summaries = [one for one in caller.heard if one.type.endswith("summary")]
    assert [one.event["causationid"] for one in summaries] == [str(i) for i in range(30)]
    changed = [one.data.get("paused_count", one.data.get("resumed_count")) for one in summaries]
    assert changed == [2] * 30
    await caller.hear("workspace.start", 30)
    await caller.hear("workspace.stop", 30)
    orders = [
        (one.data["generation"], one.type)
        for one in caller.heard
        if one.type in {"workspace.stop", "workspace.start"}
        and one.data["workspace_id"] == str(top)
    ]
    assert orders == sorted(orders)


async def test_hammering_one_tree_from_many_sides_deadlocks_nowhere(
    caller: WireCaller, forest: Forest, settings_of: Callable[..., Settings]
) -> None:
    """Two programs, many commands on overlapping trees: one outcome each, in one serial order."""
    branches = [f"b{i}" for i in range(4)]
    leaves = [f"b{i}/l{i}{j}" for i in range(4) for j in range(3)]
    await forest.plant("top", *(f"top/{one}" for one in branches), *leaves)
    facts: list[tuple[str, Any]] = []
    names = ["top", *branches, "l00", "l11", "l22"]
    with listening(lambda fact, fields: facts.append((fact, fields.get("why")))):
        async with running(settings_of(executor="none")), running(settings_of(executor="none")):
            for i in range(120):
                action = ("pause", "resume")[i % 3 % 2]
                command = {"workspace_id": forest.ids[names[i % len(names)]], "cascade": True}
                await caller.send(f"workspace.{action}", command, message_id=str(i))
            outcomes = {"workspace.pause", "workspace.resume"}
            await caller.heard_of({str(i) for i in range(120)})
    assert not [fact for fact in facts if "Deadlock" in str(fact[1])]
    assert not [fact for fact in facts if "Serialization" in str(fact[1])]
    assert not [fact for fact, _ in facts if fact in {"delivery.failed", "delivery.parked"}]
    events = [one for one in caller.heard if one.type.rpartition(".")[0] in outcomes]
    events = [one for one in events if not one.type.endswith("settled")]
    assert len({one.event["causationid"] for one in events}) == len(events) == 120
    assert await forest.statuses() == await _serial(forest)


async def _serial(forest: Forest) -> dict[str, str]:
    """Replay what was recorded, operation by operation in the order of their generations."""
    rows = await forest.connection.fetch(
        "select t.name, o.action, t.previous_status from lifecycle.target t"
        " join lifecycle.operation o using (operation_id) order by t.generation"
    )
    state = dict.fromkeys(forest.ids, "online")
    for row in rows:
        assert state[row["name"]] == row["previous_status"]
        state[row["name"]] = "paused" if row["action"] == "pause" else "provisioning"
    return state


@pytest.mark.usefixtures("program")
async def test_the_same_id_many_times_at_once_is_one_operation(
    caller: WireCaller, forest: Forest
) -> None:
    """Ten deliveries of one command have one effect and get the same answer."""
    top = await forest.plant("top")
    identity = str(uuid4())
    answers = await asyncio.gather(
        *(
            caller.ask("workspace.pause", {"workspace_id": top}, message_id=identity)
            for _ in range(10)
        )
    )
    assert len({answer.message.body for answer in answers}) == 1
    assert await forest.connection.fetchval("select count(*) from lifecycle.operation") == 1


async def test_a_delivery_lost_before_its_ack_has_no_second_effect(
    caller: WireCaller, forest: Forest, amqp_url: str, settings_of: Callable[..., Settings]
) -> None:
    """The broker delivers again what was committed and not acknowledged: nothing changes."""
    top = await forest.plant("top")
    recorded: list[str] = []
    again = asyncio.Event()
    async with gate_before(amqp_url) as gate:

        def notice(fact: str, fields: Any) -> None:
            if fact == "operation.recorded":
                recorded.append(fields["operation_id"])
                gate.cut()
            elif fact == "answer.repeated":
                again.set()

        with listening(notice):
            async with running(settings_of(amqp_url=gate.url)):
                await caller.send("workspace.pause", {"workspace_id": top})
                await asyncio.wait_for(again.wait(), 60)
                await caller.hear("workspace.pause.settled")
    assert len(recorded) == 1
    assert len(await caller.hear("workspace.pause.summary")) == 1
    assert await forest.connection.fetchval("select count(*) from lifecycle.operation") == 1


@pytest.mark.parametrize("count", [3, 3000])
async def test_a_command_takes_a_constant_number_of_statements(
    caller: WireCaller,
    forest: Forest,
    settings_of: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
    count: int,
) -> None:
    """A pause of 3,000 takes those of one of 3, and those that find it too large for company."""
    top = await forest.plant("top", *(f"top/w{i}" for i in range(count - 1)))
    seen: list[str] = []
    original = asyncpg.Connection.__init__

    def logged(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.add_query_logger(lambda record: seen.append(record.query))

    monkeypatch.setattr(asyncpg.Connection, "__init__", logged)
    async with running(settings_of(executor="none")):
        seen.clear()
        await caller.pause(top, cascade=True)
    mine = [one for one in seen if "outbox order by" not in one and "relay" not in one]
    commands = [one for one in mine if "lifecycle.inbox" in one or "pause" in one]
    assert len(commands) <= 6, commands
    written = [one for one in seen if "insert into" in one]
    assert len(written) <= 5


@pytest.mark.usefixtures("program")
async def test_a_row_that_the_platform_holds_keeps_nobody_else_waiting(
    caller: WireCaller, forest: Forest
) -> None:
    """Commands that came together with one that waits are answered before it."""
    held = await forest.plant("held")
    others = [await forest.plant(f"w{number}") for number in range(20)]
    async with forest.connection.transaction():
        await forest.connection.execute("update workspaces set url = 'x' where id = $1", held)
        for one in (held, *others):
            await caller.send("workspace.pause", {"workspace_id": one})
        told = await caller.hear("workspace.pause.summary", len(others))
        assert {one.data["workspace_id"] for one in told} == {str(one) for one in others}
    last = (await caller.hear("workspace.pause.summary", len(others) + 1))[-1]
    assert last.data["workspace_id"] == str(held)


async def test_it_comes_back_after_every_connection_was_cut(
    caller: WireCaller, forest: Forest, amqp_url: str, settings_of: Callable[..., Settings]
) -> None:
    """Without a restart the program consumes, carries out and answers again."""
    top = await forest.plant("top")
    async with gate_before(amqp_url) as gate, running(settings_of(amqp_url=gate.url)):
        assert (await caller.pause(top)).data["status"] == 200
        await caller.hear("workspace.pause.settled")
        gate.cut()
        assert (await caller.resume(top)).data["status"] == 200
        await caller.hear("workspace.resume.settled")


async def test_it_comes_back_after_the_database_ended_every_session(
    caller: WireCaller, forest: Forest, settings_of: Any
) -> None:
    """Backends that were terminated are replaced; a command in hand waits and is carried out."""
    top = await forest.plant("top")
    async with running(settings_of()):
        assert (await caller.pause(top)).data["status"] == 200
        await caller.hear("workspace.pause.settled")
        await forest.connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        assert (await caller.resume(top)).data["status"] == 200
        await caller.hear("workspace.resume.settled")
