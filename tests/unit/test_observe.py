"""A fact is said once, with what is bound around it, to whoever listens."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from consumer.observe import _bound, bound, listening, say

Facts = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def heard() -> Iterator[Facts]:
    """Listen to everything that is said."""
    facts: Facts = []
    with listening(lambda fact, fields: facts.append((fact, dict(fields)))):
        yield facts


class Untouchable(Mapping[str, Any]):
    """Fields that nobody may even look at."""

    def __getitem__(self, name: str) -> Any:
        raise AssertionError("the fields were looked at")

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the fields were looked at")

    def __len__(self) -> int:
        raise AssertionError("the fields were looked at")


def test_a_fact_is_heard_with_its_fields(heard: Facts) -> None:
    """A listener gets the name and the fields, in the order in which facts are said."""
    say("operation.recorded", count=3)
    say("outbox.taken")
    assert heard == [("operation.recorded", {"count": 3}), ("outbox.taken", {})]


def test_what_is_bound_is_in_every_fact_inside(heard: Facts) -> None:
    """Nested blocks add to the outer ones, and take nothing with them when they end."""
    with bound(queue="q", message_id="m-1"):
        say("outer")
        with bound(operation_id="o-1", message_id="m-2"):
            say("inner", count=1)
        say("outer")
    say("outside")
    outer = ("outer", {"queue": "q", "message_id": "m-1"})
    inner = {"queue": "q", "message_id": "m-2", "operation_id": "o-1", "count": 1}
    assert heard == [outer, ("inner", inner), outer, ("outside", {})]


def test_the_nearest_word_counts(heard: Facts) -> None:
    """A field of the fact itself goes before what is bound around it."""
    with bound(count=1):
        say("fact", count=2)
    assert heard == [("fact", {"count": 2})]


def test_an_exception_unbinds(heard: Facts) -> None:
    """A block that fails leaves nothing bound."""
    with pytest.raises(ValueError, match="no"), bound(queue="q"):
        raise ValueError("no")
    say("after")
    assert heard == [("after", {})]


async def test_tasks_do_not_bind_for_each_other(heard: Facts) -> None:
    """Two messages in hand at once each keep their own fields, however their steps mix."""
    both = asyncio.Barrier(2)

    async def hand(name: str) -> None:
        with bound(message_id=name):
            await both.wait()
            say("begun")
            await both.wait()
            with bound(step=name):
                await both.wait()
                say("done")

    with bound(queue="q"):
        await asyncio.gather(hand("m-1"), hand("m-2"))
        say("after")
    told = [(fact, fields.get("message_id"), fields.get("step")) for fact, fields in heard]
    assert sorted(told[:2]) == [("begun", "m-1", None), ("begun", "m-2", None)]
    assert sorted(told[2:4]) == [("done", "m-1", "m-1"), ("done", "m-2", "m-2")]
    assert told[4] == ("after", None, None)
    assert all(fields["queue"] == "q" for _, fields in heard)


async def test_a_task_keeps_what_was_bound_where_it_began(heard: Facts) -> None:
    """What a block starts belongs to that block, even after it has ended."""
    go = asyncio.Event()

    async def later() -> None:
        await go.wait()
        say("later")

    with bound(message_id="m-1"):
        task = asyncio.create_task(later())
    go.set()
    await task
    assert heard == [("later", {"message_id": "m-1"})]


def test_every_listener_hears(heard: Facts) -> None:
    """Log, metric and span are told the same, and each until its own end."""
    other: Facts = []
    with listening(lambda fact, fields: other.append((fact, dict(fields)))):
        say("both")
    say("one")
    assert heard == [("both", {}), ("one", {})]
    assert other == [("both", {})]


def test_a_listener_that_stops_listening_hears_nothing() -> None:
    """It is removed at the end of its block, also where that fails, and no other with it."""
    facts: list[str] = []

    def listener(fact: str, _: Mapping[str, Any]) -> None:
        facts.append(fact)

    with listening(listener):
        with pytest.raises(ValueError, match="no"), listening(listener):
            raise ValueError("no")
        say("heard once")
    say("not heard")
    assert facts == ["heard once"]


def test_what_a_listener_raises_reaches_who_spoke() -> None:
    """That is how tests/faults cut a stage at a named point."""

    def crash(fact: str, _: Mapping[str, Any]) -> None:
        raise RuntimeError(fact)

    with listening(crash), pytest.raises(RuntimeError, match=r"outbox\.taken"):
        say("outbox.taken")


def test_without_a_listener_nothing_is_put_together() -> None:
    """A fact that nobody hears costs a look at an empty list."""
    token = _bound.set(Untouchable())
    try:
        say("unheard", count=1)
        with (
            listening(lambda *_: None),
            pytest.raises(AssertionError, match="looked at"),
        ):
            say("heard", count=1)
    finally:
        _bound.reset(token)
