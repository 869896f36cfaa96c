"""The harness where it could be wrong: turns, medians, ratios, aims, and what it writes."""

import json
from pathlib import Path
from uuid import uuid4
from xml.etree import ElementTree as ET

import pytest
from aio_pika import connect
from pamqp.commands import Basic

from tests.bench.load import commands
from tests.bench.markdown import blocks, kept, written
from tests.bench.measure import Report, alternate, quantile
from tests.bench.paper import number, table
from tests.bench.plot import plot
from tests.bench.roster import GUARANTEES, ROSTER
from tests.support.wire import Wire, chunks, form


async def test_each_round_is_begun_by_the_next_one() -> None:
    """Who is measured first in one round is last in the next: no contender is always warm."""
    order: list[str] = []

    async def work(name: str) -> float:
        order.append(name)
        return float(len(order))

    works = {name: (lambda name=name: work(name)) for name in "abc"}
    found = await alternate(works, 3)
    assert "".join(order) == "abcbcacab"
    assert found == {"a": [1.0, 6.0, 8.0], "b": [2.0, 4.0, 9.0], "c": [3.0, 5.0, 7.0]}


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)]
)
def test_a_quantile_is_a_sample(share: float, expected: float) -> None:
    """The smallest one that the share does not exceed: nothing in between is invented."""
    assert quantile([float(one) for one in range(100, 0, -1)], share) == expected


def made() -> Report:
    """Make a report of two works."""
    report = Report(0.5, {"cores": 2})
    report.note("10 later", "rate", 1234.5, "1/s")
    found = {"raw": [1.0, 2.0, 30.0], "ours": [4.0, 4.0, 9.0]}
    medians = report.compare("2 <first>", "seconds", "s", found, "raw")
    assert medians == {"raw": 2.0, "ours": 4.0}
    report.aim("2 <first>", "ours / raw", 2.0, "at most", 2)
    report.aim("2 <first>", "raw / ours", 0.5, "at least", 3)
    report.aim("10 later", "cores", 1.1, "at least", 1.6, not_judged="2 cores")
    return report


def test_ratios_are_of_medians_to_the_one_named() -> None:
    """One bad sample changes nothing."""
    assert [(one.contender, one.ratio) for one in made().figures[1:]] == [("raw", 1), ("ours", 2)]


def test_aims_are_judged_at_their_bounds() -> None:
    """What is exactly at the bound meets it; what cannot be judged is neither."""
    assert [one.met for one in made().aims] == [True, False, None]


def test_works_stand_in_the_order_of_their_numbers() -> None:
    """Ten comes behind two, in the table and in JSON."""
    assert made().works() == ["2 <first>", "10 later"]
    told = json.loads(json.dumps(made().as_json()))
    assert [one["work"] for one in told["figures"]] == ["2 <first>", "2 <first>", "10 later"]
    assert told["figures"][1]["samples"] == [4.0, 4.0, 9.0]


def test_the_table_tells_everything() -> None:
    """Figures, ratios, what was aimed at, and the guarantees."""
    told = table(made())
    assert "ours                          4.00 s         2.00 x" in told
    assert "aim: ours / raw: at most 2; found 2.00, met" in told
    assert "aim: raw / ours: at least 3; found 0.500, NOT met" in told
    assert "not judged: 2 cores" in told
    (ours,) = [line for line in told.splitlines() if line.startswith("ours ")]
    assert ours.split() == ["ours", *["yes"] * len(GUARANTEES)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(12345.6, "12,346"), (99.94, "99.9"), (1.234, "1.23"), (0.0421, "0.042"), (0, "0.000")],
)
def test_numbers_have_the_digits_that_tell_something(value: float, expected: str) -> None:
    """Three of them, or the whole."""
    assert number(value) == expected


def test_the_plot_has_a_bar_for_each_that_was_compared() -> None:
    """In proportion, from nothing; a figure that stands alone has none; what is said is escaped."""
    picture = ET.fromstring(plot(made()))
    bars = [one for one in picture.iter() if one.tag.endswith("rect")]
    raw, ours = (float(one.attrib["width"]) for one in bars)
    assert ours == pytest.approx(2 * raw)
    assert bars[0].attrib["fill"] != bars[1].attrib["fill"]
    assert "2 <first>: seconds, s" in "".join(picture.itertext())


@pytest.mark.parametrize("name", ["ours", "celery"])
def test_each_command_has_its_id_and_its_workspace(name: str) -> None:
    """No two are alike, and both forms hold them whole."""
    tops = [uuid4() for _ in range(2)]
    (first, one), (second, two) = commands(ROSTER[name], tops, "bench.replies")
    assert (first.encode() in one, first.encode() in two, first == second) == (True, False, False)
    assert (str(tops[0]).encode() in one, str(tops[0]).encode() in two) == (True, False)
    assert len(one) == len(two)
    assert one != two.replace(str(tops[1]).encode(), str(tops[0]).encode())
    assert b"bench.replies" in one


def test_a_form_keeps_a_percent_sign() -> None:
    """What is no mark stays what it is."""
    properties = Basic.Properties(message_id="--", app_id="%s")
    filled = form("e", "k", properties, b"100% of ++", ["--", "++"]) % (b"id", b"it")
    assert b"\x02%s" in filled
    assert b"\x02id" in filled
    assert b"100% of it" in filled


def test_chunks_hold_everything_once() -> None:
    """By the thousand, and what is left."""
    assert [len(one) for one in chunks([b"x"] * 2500)] == [1000, 1000, 500]
    assert b"".join(chunks([])) == b""


async def test_a_large_body_arrives_whole(declared_url: str) -> None:
    """It goes in as many frames as it takes, and is confirmed."""
    body = bytes(range(256)) * 2000
    wire = await Wire.open(declared_url)
    written = form("workspace.events", "workspace.stopped", Basic.Properties(), body, [])
    assert await wire.publish([written % ()] * 3) == 3
    await wire.close()
    async with await connect(declared_url) as broker:
        channel = await broker.channel()
        queue = await channel.get_queue("lifecycle.results")
        assert [(await queue.get(no_ack=True)).body for _ in range(3)] == [body] * 3


async def test_a_refusal_is_raised(declared_url: str) -> None:
    """Or a contender that the broker turned away would wait for ever."""
    wire = await Wire.open(declared_url)
    written = form("no.such.exchange", "key", Basic.Properties(), b"{}", [])
    with pytest.raises(ConnectionError, match="NOT_FOUND"):
        await wire.publish([written % ()])
    await wire.close()


def test_a_block_stands_where_one_stood_that_began_the_same() -> None:
    """Up to the next empty line, and nothing else is touched."""
    page = "# a\n\n| what | old |\n|---|---|\n| 1 | 2 |\n\nend\n"
    block = ["| what | old |", "|---|---|", "| 3 | 4 |", "| 5 | 6 |"]
    told = written(page, block)
    assert told == "# a\n\n| what | old |\n|---|---|\n| 3 | 4 |\n| 5 | 6 |\n\nend\n"
    with pytest.raises(ValueError, match="no line begins"):
        written(page, ["| else |"])


@pytest.mark.parametrize("path", blocks(kept()), ids=lambda path: path.name)
def test_the_pages_tell_what_the_kept_run_found(path: Path) -> None:
    """README and docs/bench.md have their figures from docs/bench.json and from nowhere else."""
    page = path.read_text()
    for block in blocks(kept())[path]:
        assert written(page, block) == page
