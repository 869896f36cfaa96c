import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import ValidationError

from schemas.strict import Counter, Id, Strict, Text, Time, canonical_json, parse_json, rfc3339
from tests.unit.samples import WORKSPACE


class Record(Strict):
    """One member of each kind."""

    id: Id | None = None
    at: Time | None = None
    text: Text | None = None
    count: Counter | None = None
    flag: bool | None = None


def read(**members: Any) -> Record:
    """Read JSON with these members."""
    return Record.model_validate_json(json.dumps(members))


@pytest.mark.parametrize(
    "text",
    [
        WORKSPACE.replace("-", ""),
        "{" + WORKSPACE + "}",
        "urn:uuid:" + WORKSPACE,
        WORKSPACE + "\n",
        " " + WORKSPACE,
        WORKSPACE[:-1],
        WORKSPACE[:-1] + "g",
        "",
    ],
)
def test_only_the_canonical_uuid_is_taken(text: str) -> None:
    """Bare hex, braces, urn: and white space are a careless sender's."""
    with pytest.raises(ValidationError, match="canonical form"):
        read(id=text)


def test_a_uuid_in_capitals_is_the_same_uuid() -> None:
    """RFC 9562 takes either case on input, and lower case is written."""
    assert read(id=WORKSPACE.upper()).id == UUID(WORKSPACE)
    assert json.loads(read(id=WORKSPACE.upper()).model_dump_json())["id"] == WORKSPACE


@pytest.mark.parametrize(
    "text",
    ["2026-05-28T09:30:00Z", "2026-05-28t11:30:00+02:00", "2026-05-28 09:30:00.000000000z"],
)
def test_rfc_3339_is_taken_with_any_offset(text: str) -> None:
    """The same moment in any spelling is one value, held in UTC."""
    moment = read(at=text).at
    assert moment == datetime(2026, 5, 28, 9, 30, tzinfo=UTC)
    assert moment.tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    [
        "2026-05-28T09:30:00",
        "2026-05-28",
        "20260528T093000Z",
        "2026-W22-4T09:30:00Z",
        "2026-05-28T09:30Z",
        "2026-05-28T09:30:00,5Z",
        "2026-02-30T09:30:00Z",
        "2026-05-28T24:00:01Z",
        "2026-05-28T09:30:00+99:00",
        "0000-05-28T09:30:00Z",
        "٢٠٢٦-05-28T09:30:00Z",
        1_780_000_000,
        1.5,
        True,
    ],
)
def test_other_times_are_refused(value: object) -> None:
    """No offset, another profile of ISO 8601 or a number of seconds would be a guess."""
    with pytest.raises(ValidationError):
        read(at=value)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-01:00"])
def test_a_time_that_utc_cannot_hold_is_a_mistake_and_no_crash(text: str) -> None:
    """The edge of the calendar is refused like any other value, not raised through the reader."""
    with pytest.raises(ValidationError, match="years 1 to 9999"):
        read(at=text)


def test_a_time_without_zone_is_refused_from_python_too() -> None:
    """Our own code cannot write a time without an offset either."""
    with pytest.raises(ValidationError, match="offset"):
        Record(at=datetime(2026, 5, 28))  # noqa: DTZ001 (it is the mistake under test)


@given(
    some.datetimes(
        min_value=datetime(1, 1, 3),  # noqa: DTZ001 (hypothesis wants it so)
        max_value=datetime(9999, 12, 29),  # noqa: DTZ001 (same)
        timezones=some.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m))),
    )
)
def test_every_time_survives_writing_and_reading(moment: datetime) -> None:
    """No microsecond is lost on the way."""
    assert read(at=rfc3339(moment)).at == moment


@pytest.mark.parametrize("value", ["true", "false", 1, 0, "yes", []])
def test_booleans_only(value: object) -> None:
    """What merely looks true is not true."""
    with pytest.raises(ValidationError):
        read(flag=value)


@pytest.mark.parametrize("value", [-1, 2**63, 10**30, "7", 7.0, True])
def test_a_counter_is_what_the_database_holds(value: object) -> None:
    """A number that only PostgreSQL would refuse is refused where it is read."""
    with pytest.raises(ValidationError):
        read(count=value)
    assert read(count=2**63 - 1).count == 2**63 - 1


def test_nul_is_refused() -> None:
    """PostgreSQL cannot hold U+0000, and would refuse it for ever."""
    with pytest.raises(ValidationError, match="NUL"):
        read(text="a\x00b")


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\ude00\ud83d"])
def test_lone_surrogates_are_refused(text: str) -> None:
    """Half a character is no text, whichever way it arrives."""
    with pytest.raises(ValidationError):
        read(text=text)
    with pytest.raises(ValidationError):
        Record(text=text)


def test_a_surrogate_pair_is_text() -> None:
    """An escaped emoji is the emoji."""
    assert Record.model_validate_json(rb'{"text": "\ud83d\ude00"}').text == "\U0001f600"


def test_unknown_fields_are_refused_and_values_never_repeated() -> None:
    """A mistake is told without the sender's value: it may be a secret."""
    with pytest.raises(ValidationError) as caught:
        read(password="hunter2")
    assert "hunter2" not in str(caught.value)


def test_a_model_cannot_be_changed() -> None:
    """What was read stays as it was read."""
    record = read(count=1)
    with pytest.raises(ValidationError):
        record.count = 2  # type: ignore[misc]  # the mistake under test


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"a": NaN}', "NaN"),
        (b'{"a": Infinity}', "Infinity"),
        (b"[-Infinity]", "-Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b"[-1e999]", "too large"),
        (b'{"a": 1, "a": 1}', "twice"),
        (b'[{"b": {"a": 1, "\\u0061": 2}}]', "twice"),
        (b"\xff\xfe", "UTF-8"),
        ("{}".encode("utf-16"), "UTF-8"),
        (b"\xed\xa0\x80", "UTF-8"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": 1,}', "not JSON"),
        (b'"a\x00b"', "not JSON"),
        (b"[" + b"9" * 5000 + b"]", "limit"),
    ],
)
def test_what_is_not_our_json_is_refused(body: bytes, why: str) -> None:
    """The dialect is RFC 8259 and nothing that Python takes beside it."""
    with pytest.raises(ValueError, match=why):
        parse_json(body)


@pytest.mark.parametrize("depth", [101, 200, 990, 30_000])
@pytest.mark.parametrize(("opens", "closes"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_deep_nesting_is_refused(depth: int, opens: bytes, closes: bytes) -> None:
    """Depth is refused at one limit of ours, wherever Python's own happens to lie."""
    with pytest.raises(ValueError, match="nested too deep"):
        parse_json(opens * depth + b"1" + closes * depth)


def test_the_deepest_that_is_taken_can_be_written_again() -> None:
    """What was parsed never fails later for its depth."""
    body = b"[" * 100 + b"1" + b"]" * 100
    assert canonical_json(parse_json(body)) == body


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
    max_leaves=10,
)


@given(JSON)
def test_canonical_json_does_not_depend_on_the_spelling(value: Any) -> None:
    """Order, white space and escapes do not make another command of it."""
    plain = json.dumps(value, ensure_ascii=True, indent=1).encode()
    assert canonical_json(parse_json(plain)) == canonical_json(value)
    assert parse_json(canonical_json(value)) == value


@given(some.binary(max_size=64))
def test_no_bytes_raise_anything_but_value_error(body: bytes) -> None:
    """Whatever arrives, the answer is a value or a ValueError."""
    with suppress(ValueError):
        canonical_json(parse_json(body))
