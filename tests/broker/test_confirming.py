"""Confirms by delivery tag: each message of a run gets what the broker said of it."""

from typing import Any

import pytest
from aiormq.exceptions import ChannelNotFoundEntity
from hypothesis import given
from hypothesis import strategies as st

from consumer.broker.confirming import ConfirmingChannel, Receipt, Run
from consumer.broker.connection import connected
from consumer.broker.frames import Frames
from tests.broker.tools import event

_ANSWERS: tuple[Receipt, ...] = ("confirmed", "failed")


@given(st.data())
async def test_every_way_to_confirm_gives_the_same_receipts(data: Any) -> None:
    """One by one in any order, or many at once, whatever tag the run begins with."""
    count, first = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 50))
    wanted = data.draw(st.lists(st.sampled_from(_ANSWERS), min_size=count, max_size=count))
    gone = data.draw(st.sets(st.integers(0, count - 1)))
    run = Run(first, [str(number) for number in range(count)])
    for place in gone:
        assert run.returned(str(place))
    left = data.draw(st.permutations(range(count)))
    for place in left:
        alike = all(run.receipts[one] or wanted[one] == wanted[place] for one in range(place + 1))
        multiple = alike and data.draw(st.booleans())
        run.confirmed(first + place, wanted[place], multiple=multiple)
    assert run.done.done()
    told = ["returned" if n in gone and w == "confirmed" else w for n, w in enumerate(wanted)]
    assert run.receipts == told


async def test_all_up_to_a_tag_beyond_the_run_confirms_the_whole_run() -> None:
    """The broker confirms across runs as it likes."""
    run = Run(11, ["a", "b"])
    run.confirmed(99, "confirmed", multiple=True)
    assert run.receipts == ["confirmed", "confirmed"]


async def test_what_has_no_confirm_when_the_channel_goes_has_failed() -> None:
    """And what has one keeps it."""
    run = Run(1, ["a", "b"])
    run.confirmed(1, "confirmed", multiple=False)
    run.broken()
    assert run.done.done()
    assert run.receipts == ["confirmed", "failed"]


async def test_an_id_of_another_run_is_not_returned_here() -> None:
    """What is not in flight in a run is none of its business."""
    assert not Run(1, ["a"]).returned("b")


async def test_runs_are_confirmed_each_on_its_own(declared_url: str) -> None:
    """Several at once on one channel, one of them empty."""
    async with connected(declared_url, "test") as link:
        channel = await link.own(ConfirmingChannel, "a test")
        frames = Frames(channel.number, 4096)
        runs = []
        for start in range(0, 900, 300):
            ids = [str(number) for number in range(start, start + 300)]
            runs.append(await channel.write(b"".join(map(frames.write, map(event, ids))), ids))
        empty = await channel.write(b"", [])
        for run in runs:
            await run.done
            assert set(run.receipts) == {"confirmed"}
        assert empty.done.done()


async def test_a_closed_channel_tells_why_and_takes_nothing_more(declared_url: str) -> None:
    """What is written after it has failed at once."""
    async with connected(declared_url, "test") as link:
        channel = await link.own(ConfirmingChannel, "a test", vital=False)
        frames = Frames(channel.number, 4096)
        lost = await channel.write(frames.write(event("x", exchange="none")), ["x"])
        await lost.done
        assert lost.receipts == ["failed"]
        assert isinstance(channel.reason, ChannelNotFoundEntity)
        late = await channel.write(frames.write(event("y")), ["y"])
        assert late.receipts == ["failed"]


@pytest.mark.parametrize("vital", [True, False])
async def test_the_loss_of_a_vital_channel_is_the_links(declared_url: str, vital: bool) -> None:
    """Only then is the connection given up."""
    async with connected(declared_url, "test") as link:
        channel = await link.own(ConfirmingChannel, "a test", vital=vital)
        frames = Frames(channel.number, 4096)
        await (await channel.write(frames.write(event("x", exchange="none")), ["x"])).done
        assert link.lost.done() is vital
