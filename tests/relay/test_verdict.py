"""What may be forgotten: all up to the first message that is not confirmed, and no more."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from consumer.operation import Target
from consumer.relay.verdict import judge
from consumer.store.outbox import Taken

_OPERATION = UUID(int=1)
_AT = datetime(2026, 5, 28, tzinfo=UTC)
_ROWS = st.lists(st.sampled_from(["event", "reply", "fanout"]), min_size=1, max_size=5)
_RECEIPTS = st.sampled_from(["confirmed", "confirmed", "returned", "failed"])


def target(number: int) -> Target:
    """Make a target."""
    return Target(
        _OPERATION, UUID(int=number), "w", None, None, "online", 1, _AT + timedelta(hours=1)
    )


def taken(seq: int, kind: str, of: Target | None = None, attempts: int = 0) -> Taken:
    """Make a row."""
    return Taken._make(
        (
            seq,
            kind,
            kind,
            _OPERATION,
            None,
            None,
            attempts,
            b"",
            None,
            False,
            _AT,
            None,
            "m",
            "m",
            of,
        )
    )


def rows(kinds: Sequence[str], size: int) -> list[Taken]:
    """Make the rows of a chunk, fan-outs having `size` targets each."""
    found = []
    for seq, kind in enumerate(kinds):
        targets = [target(n) for n in range(size)] if kind == "fanout" else [None]
        found += [taken(seq, kind, one) for one in targets]
    return found


@given(_ROWS, st.integers(1, 3), st.booleans(), st.data())
def test_nothing_unconfirmed_is_forgotten(
    kinds: list[str], size: int, full: bool, data: st.DataObject
) -> None:
    """Whatever the broker says: events and commands only once they and all before are confirmed."""
    chunk = rows(kinds, size)
    receipts = {place: data.draw(_RECEIPTS) for place in range(len(chunk))}
    verdict = judge(chunk, receipts, full=full)
    stopped = next(
        (
            place
            for place, one in enumerate(chunk)
            if one.kind != "reply" and receipts[place] != "confirmed"
        ),
        len(chunk),
    )
    whole = {one.seq for one in chunk} - {one.seq for one in chunk[stopped:]}
    if stopped == len(chunk) and full and chunk[-1].kind == "fanout":
        whole -= {chunk[-1].seq}
        assert verdict.partly == (chunk[-1].seq, UUID(int=size - 1))
    again = {
        one.seq
        for place, one in enumerate(chunk[:stopped])
        if one.kind == "reply" and receipts[place] == "failed"
    }
    assert set(verdict.done) == whole - again
    assert (verdict.broken is None) == (stopped == len(chunk))


def test_a_fan_out_that_broke_goes_on_behind_the_last_confirmed() -> None:
    """The progress is that of the message before the one that failed."""
    chunk = rows(["fanout"], 3)
    verdict = judge(chunk, {0: "confirmed", 1: "confirmed", 2: "failed"}, full=False)
    assert verdict.partly == (0, UUID(int=1))
    assert (verdict.done, verdict.failed) == ([], [0])


def test_a_reply_that_fails_is_tried_three_times() -> None:
    """Then it is dropped, as one that nobody has a queue for is at once."""
    assert judge([taken(1, "reply")], {0: "failed"}, full=False).failed == [1]
    assert judge([taken(1, "reply", None, 2)], {0: "failed"}, full=False).done == [1]
    assert judge([taken(1, "reply")], {0: "returned"}, full=False).done == [1]


def test_a_row_that_had_nothing_to_send_is_done() -> None:
    """A fan-out of which every command is confirmed is taken once more, without a target."""
    assert judge([taken(1, "fanout")], {}, full=True).done == [1]


def test_a_reply_that_fails_beside_an_event_is_kept_however_often() -> None:
    """Then it is the broker that takes nothing, for as long as that lasts."""
    chunk = [taken(1, "reply", None, 2), taken(2, "event")]
    verdict = judge(chunk, {0: "failed", 1: "failed"}, full=False)
    assert (verdict.done, verdict.failed) == ([], [2])
    assert judge(chunk, {0: "failed", 1: "confirmed"}, full=False).done == [1, 2]
