"""contract.md, results to outcomes: whoever answers, whenever, however often, it is told once."""

import asyncio
import json
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any
from uuid import uuid4

import pytest

from consumer.message import UnavailableError
from consumer.observe import listening
from consumer.settings import Settings
from tests.broker.tools import Facts
from tests.contract.answering import (
    COUNTS,
    counts,
    orders,
    ours,
    paused,
    say,
    say_as_cloudevent,
    tables,
)
from tests.support.caller import PATIENCE, Heard, WireCaller
from tests.support.forest import Forest
from tests.support.program import Process, process, running

GARBAGE: Mapping[str, bytes] = {
    "nothing": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "not UTF-8": b'{"detail": "\xff"}',
    "NaN": b'{"generation": NaN}',
    "hostile nesting": b"[" * 101 + b"]" * 101,
    "too large": b'{"detail": "' + b"x" * 70_000 + b'"}',
}
SPOILT: Mapping[str, Mapping[str, Any]] = {
    "without the operation": {"operation_id": None},
    "an id in braces": {"workspace_id": "{00000000-0000-4000-8000-000000000000}"},
    "a generation in words": {"generation": "1"},
    "a generation below 0": {"generation": -1},
    "a generation no bigint holds": {"generation": 2**63},
    "an unknown member": {"outcome": "succeeded"},
    "NUL": {"detail": "a\x00b"},
    "half a character": {"detail": "\ud800"},
}


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_in_any_order_three_times_and_in_either_encoding_settles_once(
    caller: WireCaller, forest: Forest, facts: Facts
) -> None:
    """Ninety answers to thirty commands, shuffled: thirty outcomes, one settled event."""
    top = await forest.plant("top", *(f"top/w{i}" for i in range(29)))
    operation = await paused(caller, top)
    answers = [*(await orders(caller, operation, 30)).values()] * 3
    Random(7).shuffle(answers)
    for number, order in enumerate(answers):
        speak = say_as_cloudevent if number % 2 else say
        await speak(caller, "stopped", order)
    (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
    await facts.wait("result.taken", 90)
    await caller.all_out()
    assert ours(caller, operation) == ["workspace.pause.summary", "workspace.pause.settled"]
    assert (settled.data["target_count"], *counts(settled)) == (30, 30, 0, 0, 0)
    assert set((await forest.statuses()).values()) == {"paused"}


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_of_answers_that_contradict_each_other_the_first_counts(
    caller: WireCaller, forest: Forest, facts: Facts
) -> None:
    """What was said first stays, in the table and in the counts."""
    top = await forest.plant("top", "top/a:degraded", "top/b")
    operation = await paused(caller, top)
    stops = await orders(caller, operation, 3)
    await say(caller, "stopped", stops["top"])
    await say(caller, "stop.failed", stops["top"])
    await say(caller, "stop.failed", stops["a"], detail="first")
    await say(caller, "stop.failed", stops["a"], detail="second")
    await say(caller, "stopped", stops["a"])
    await facts.wait("result.taken", 5)
    await say(caller, "stop.failed", stops["b"], code="superseded")
    (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
    assert counts(settled) == (1, 1, 1, 0)
    assert [(one["name"], one["detail"]) for one in settled.data["failures"]] == [("a", "first")]
    assert await forest.statuses() == {"top": "paused", "a": "degraded", "b": "paused"}


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_strangers_unknown_operations_and_other_generations_change_nothing(
    caller: WireCaller, forest: Forest, facts: Facts
) -> None:
    """No table has another row or value after them, and the true answers settle."""
    top = await forest.plant("top", "top/a", "stranger")
    operation = await paused(caller, top)
    stops = await orders(caller, operation, 2)
    await caller.all_out()
    before = await tables(forest)
    for kind in ("stopped", "stop.failed"):
        for wrong in (
            {"operation_id": str(uuid4())},
            {"workspace_id": str(uuid4())},
            {"workspace_id": str(forest.ids["stranger"])},
            {"generation": stops["a"]["generation"] + 1},
            {"generation": 0},
            {"generation": 2**63 - 1},
        ):
            await say(caller, kind, {**stops["a"], **wrong})
    await facts.wait("result.taken", 12)
    assert await tables(forest) == before
    for order in stops.values():
        await say(caller, "stopped", order)
    (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
    assert counts(settled) == (2, 0, 0, 0)


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_what_is_no_result_is_parked_and_the_rest_flow_on(
    caller: WireCaller, forest: Forest, facts: Facts
) -> None:
    """Each unreadable body is in lifecycle.results.dead, as it came and with why."""
    top = await forest.plant("top")
    operation = await paused(caller, top)
    order = (await orders(caller, operation, 1))["top"]
    bodies = [
        *GARBAGE.values(),
        *(json.dumps({**order, **spoilt}).encode() for spoilt in SPOILT.values()),
    ]
    for body in bodies:
        await caller.send("workspace.stopped", body, exchange="workspace.events")
    good = json.dumps(order).encode()
    for kind in ("workspace.pause", "workspace.paused"):
        route = {"exchange": "workspace.events", "routing_key": "workspace.stopped"}
        await caller.send(kind, good, type=kind, **route)
    await facts.wait("delivery.parked", len(bodies) + 2)
    assert not [name for name in ours(caller, operation) if name.endswith("settled")]
    await say(caller, "stopped", order)
    await caller.hear("workspace.pause.settled", operation_id=operation)
    dead = await caller.channel.get_queue("lifecycle.results.dead")
    parked = [await dead.get(no_ack=True) for _ in range(len(bodies) + 2)]
    assert sorted(one.body for one in parked) == sorted([*bodies, good, good])
    assert all(one.headers["x-death-reason"] for one in parked)
    assert not facts.of("delivery.failed")


async def test_results_before_the_summary_was_heard_settle_after_it(
    caller: WireCaller, forest: Forest, facts: Facts, settings_of: Callable[..., Settings]
) -> None:
    """Who answers before the outbox has left is counted, and what is heard is in order."""
    top = await forest.plant("top", "top/a")
    async with running(settings_of(executor="none"), ["commands", "settlement"]):
        await caller.send("workspace.pause", {"workspace_id": top, "cascade": True})
        await facts.wait("operation.recorded")
        rows = await forest.connection.fetch(
            "select operation_id::text, workspace_id::text, generation from lifecycle.target"
        )
        for row in rows:
            await say(caller, "stopped", dict(row))
        await facts.wait("operation.settled")
    assert not ours(caller, rows[0]["operation_id"])
    async with running(settings_of(executor="none"), ["relay"]):
        await orders(caller, rows[0]["operation_id"], 2)
        (settled,) = await caller.hear("workspace.pause.settled")
    assert counts(settled) == (2, 0, 0, 0)
    kinds = caller.of(rows[0]["operation_id"])
    assert kinds[0] == "workspace.pause.summary"
    assert kinds[-1] == "workspace.pause.settled"


async def test_two_processes_settle_one_operation_once(
    caller: WireCaller, forest: Forest, amqp_url: str, database_url: str
) -> None:
    """Both take results of the same operation in, each several times: one settled event."""
    top = await forest.plant("top", *(f"top/w{i}" for i in range(39)))
    none = {"LIFECYCLE_EXECUTOR": "none", "LIFECYCLE_LOG_LEVEL": "debug"}
    async with (
        process(amqp_url, database_url, **none) as one,
        process(amqp_url, database_url, **none) as other,
    ):
        await asyncio.gather(one.until("program.started"), other.until("program.started"))
        operation = await paused(caller, top)
        answers = [*(await orders(caller, operation, 40)).values()] * 4
        Random(3).shuffle(answers)
        taking = asyncio.create_task(_taken(len(answers), one, other))
        await asyncio.gather(*(say(caller, "stopped", order) for order in answers))
        assert min(await taking) > 0
        (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
        await caller.all_out()
        for program in (one, other):
            program.process.send_signal(signal.SIGTERM)
            assert await program.ended() == 0
    assert counts(settled) == (40, 0, 0, 0)
    assert ours(caller, operation).count("workspace.pause.settled") == 1
    facts = [line["event"] for program in (one, other) for line in program.lines]
    assert facts.count("operation.settled") == 1


async def _taken(count: int, *programs: Process) -> list[int]:
    """Read what processes log until they took so many results; give how many each took."""
    taken = dict.fromkeys(programs, 0)
    done = asyncio.Event()

    async def read(program: Process) -> None:
        while True:
            await program.until("result.taken")
            taken[program] += 1
            if sum(taken.values()) == count:
                done.set()

    readers = [asyncio.create_task(read(program)) for program in programs]
    await asyncio.wait_for(done.wait(), PATIENCE)
    for reader in readers:
        reader.cancel()
        with suppress(asyncio.CancelledError):
            await reader
    return [*taken.values()]


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_an_event_says_which_command_and_which_result_led_to_it(
    caller: WireCaller, forest: Forest
) -> None:
    """A settled event follows the command by its correlation and is caused by the last result."""
    top = await forest.plant("top", "top/a")
    command = {"workspace_id": top, "cascade": True, "reason": "why", "requested_by": "who"}
    answer = await caller.ask("workspace.pause", command, correlation_id="all of it")
    operation = answer.data["operation_id"]
    stops = await orders(caller, operation, 2)
    await say(caller, "stopped", stops["a"])
    last = await say(caller, "stopped", stops["top"])
    (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
    assert settled.event["correlationid"] == settled.message.correlation_id == "all of it"
    assert settled.event["causationid"] == last
    assert settled.event["subject"] == str(top)
    assert settled.event["operationid"] == operation
    assert settled.event["id"] == settled.message.message_id
    assert settled.message.headers["x-operation-id"] == operation
    expected = {"reason": "why", "requested_by": "who", "cascade": True, "action": "pause"}
    assert {key: settled.data[key] for key in expected} == expected


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_an_event_is_caused_by_a_result_that_meant_something(
    caller: WireCaller, forest: Forest, facts: Facts
) -> None:
    """Duplicates and other generations taken in with the last result did not settle anything."""
    top = await forest.plant("top", "top/a", "top/b")
    operation = await paused(caller, top)
    stops = await orders(caller, operation, 3)
    async with forest.connection.transaction():
        await forest.connection.execute("select from lifecycle.operation for update")
        meant = {await say(caller, "stopped", order) for order in stops.values()}
        await say(caller, "stopped", stops["top"])
        await say(caller, "stop.failed", {**stops["top"], "generation": 0})
        await say(caller, "stopped", {"nonsense": 1})
        await facts.wait("delivery.parked")  # what came before it waits to be taken in together
    (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
    assert settled.event["causationid"] in meant


async def test_what_is_sent_again_is_the_same_message(
    caller: WireCaller, forest: Forest, settings_of: Callable[..., Settings]
) -> None:
    """Settled and corrected events that were published and not noted leave again, byte for byte."""
    top = await forest.plant("top")
    lost: list[str] = []

    def lose(fact: str, _: object) -> None:
        if fact == "outbox.published" and len(lost) % 2 == 0:
            lost.append(fact)
            raise UnavailableError("the connection was lost before anything was noted")
        if fact == "outbox.confirmed":
            lost.append(fact)

    with listening(lose):
        async with running(settings_of(executor="none", settle_timeout=0.5)):
            operation = await paused(caller, top)
            stops = await orders(caller, operation, 1)
            await caller.hear("workspace.pause.settled", 2, operation_id=operation)
            await say(caller, "stopped", stops["top"])
            await caller.hear("workspace.pause.corrected", 2, operation_id=operation)
    for kind in ("workspace.pause.settled", "workspace.pause.corrected"):
        events = [one for one in caller.heard if one.type == kind]
        assert len(events) == 2
        assert len({one.message.body for one in events}) == 1
        assert len({one.message.message_id for one in events}) == 1


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
@pytest.mark.parametrize(("count", "least"), [(100, 0), (150, 2)])
async def test_progress_is_told_of_large_operations_at_most_once_a_second(
    caller: WireCaller, forest: Forest, count: int, least: int
) -> None:
    """Its counts only grow, and what it tells last is less than the end."""
    top = await forest.plant("top", *(f"top/w{i:03}" for i in range(count - 1)))
    operation = await paused(caller, top)
    stops = [*(await orders(caller, operation, count)).values()]
    for start in range(0, count, 50):
        for number, order in enumerate(stops[start : start + 50]):
            await say(caller, "stopped" if number % 5 else "stop.failed", order)
        if start + 50 < count:
            await asyncio.sleep(1.1)  # a second has to pass, and tells nobody
    (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
    assert counts(settled) == (count * 4 // 5, count // 5, 0, 0)
    progress = [one for one in caller.heard if one.type == "workspace.pause.progress"]
    assert len(progress) >= least
    assert bool(progress) == bool(least)
    _grows(progress, count)
    if least:
        types = ours(caller, operation)
        assert types[0] == "workspace.pause.summary"
        assert types.index("workspace.pause.settled") == len(types) - 1


def _grows(progress: Sequence[Heard], count: int) -> None:
    """See that events follow each other as the contract says."""
    done = [[one.data[name] for name in COUNTS[:3]] for one in progress]
    for counted, event in zip(done, progress, strict=True):
        assert sum(counted) + event.data["open_count"] == event.data["target_count"] == count
        assert 0 < sum(counted) < count
    for one, later in pairwise(done):
        assert all(a <= b for a, b in zip(one, later, strict=True))
        assert sum(one) < sum(later)
    times = [datetime.fromisoformat(one.event["time"]) for one in progress]
    apart = [later - one for one, later in pairwise(times)]
    assert all(one >= timedelta(seconds=1) for one in apart)
    assert len({one.event["id"] for one in progress}) == len(progress)


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_an_answer_to_a_start_is_none_to_a_stop(caller: WireCaller, forest: Forest) -> None:
    """That a machine runs does not say that it was stopped, though all ids are right."""
    top = await forest.plant("top")
    operation = await paused(caller, top)
    order = (await orders(caller, operation, 1))["top"]
    await say(caller, "started", order)
    await say(caller, "start.failed", order)
    last = await say(caller, "stopped", order)
    (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
    assert settled.event["causationid"] == last


@pytest.mark.usefixtures("program")
@pytest.mark.settings(executor="none")
async def test_failures_with_much_to_say_fit_into_a_message(
    caller: WireCaller, forest: Forest
) -> None:
    """RabbitMQ 4 takes 16 MiB: details that are larger together must not hold the outbox up."""
    top = await forest.plant("top", *(f"top/w{i}" for i in range(299)))
    operation = await paused(caller, top)
    for order in (await orders(caller, operation, 300)).values():
        await say(caller, "stop.failed", order, detail="x" * 60_000)
    (settled,) = await caller.hear("workspace.pause.settled", operation_id=operation)
    assert (settled.data["failed_count"], len(settled.data["failures"])) == (300, 300)
    assert len(settled.message.body) < 16 * 2**20
