"""A record becomes one line of JSON and comes back byte for byte."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.audit.lines import decode, encode
from consumer.record import Record

TIMES = st.datetimes(timezones=st.just(UTC))
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text(), TIMES,
    st.binary().map(bytearray), st.decimals(allow_nan=False, places=2), st.floats(allow_nan=False),
)  # fmt: skip
TABLES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
PROPERTIES = st.fixed_dictionaries(
    {}, optional={"message_id": st.text(), "timestamp": TIMES, "priority": st.integers(0, 255)}
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
BODIES = st.binary() | JSON.map(lambda value: json.dumps(value).encode())
RECORDS = st.builds(
    Record,
    offset=st.integers(0, 2**63 - 1),
    exchange=st.text(),
    routing_key=st.text(),
    body=BODIES,
    properties=PROPERTIES,
    headers=st.dictionaries(st.text(), TABLES, max_size=4),
    readable=st.booleans(),
)


def line_of(body: bytes, **headers: Any) -> dict[str, Any]:
    """Encode a body; read the line with nothing but a JSON reader."""
    line = encode(Record(offset=1, exchange="e", routing_key="k", body=body, headers=headers))
    found: dict[str, Any] = json.loads(line)
    return found


@given(RECORDS)
def test_any_record_comes_back_as_it_was(record: Record) -> None:
    """One line each, whatever bytes and tables it holds."""
    line = encode(record)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == record
    assert encode(decode(line)) == line


@pytest.mark.parametrize("body", [b'{"a":1,"b":["\xc3\xa4",null]}', b"1.5", b'"x"', b"[]"])
def test_json_stands_in_the_line_as_json(body: bytes) -> None:
    """So that jq and DuckDB look into it, and it is not there twice."""
    line = line_of(body)
    assert line["body"] == json.loads(body)
    assert "body_base64" not in line


@pytest.mark.parametrize(
    "body",
    [b'{"a": 1}', b'{"a":1,"a":2}', b"1e3", b'"\\u00e4"', b" 1"],
    ids=["spaces", "a key twice", "a float's other form", "escaped", "a blank"],
)
def test_json_of_another_spelling_keeps_its_bytes_beside_it(body: bytes) -> None:
    """The body as received is what an auditor gets back."""
    line = line_of(body)
    assert line["body"] == json.loads(body)
    assert decode(json.dumps(line).encode()).body == body


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\x00", b"{", b"NaN", b"1e999", b'"\\ud800"', b"[" * 100_000],
    ids=["empty", "binary", "cut", "NaN", "beyond a double", "lone surrogate", "deep"],
)
def test_what_no_reader_takes_for_json_stands_in_base64(body: bytes) -> None:
    """A line of ours never breaks the reader of the file."""
    line = line_of(body)
    assert "body" not in line
    assert decode(json.dumps(line).encode()).body == body


def test_headers_keep_their_types() -> None:
    """What JSON has no word for is tagged, also where the sender's own keys look like tags."""
    headers = {
        "bytes": bytearray(b"\x00"),
        "time": datetime(2026, 5, 28, tzinfo=UTC),
        "decimal": Decimal("1.50"),
        "table": {"$bytes": "not ours"},
        "list": [1, {"deep": bytearray(b"x")}],
    }
    record = Record(offset=1, exchange="e", routing_key="k", body=b"1", headers=headers)
    assert decode(encode(record)).headers == headers
    assert json.loads(encode(record))["headers"]["time"] == {"$time": "2026-05-28T00:00:00+00:00"}


@pytest.mark.parametrize("line", [b"{}", b"[]", b"1", b"nonsense", b'{"offset": 1}'])
def test_what_is_no_line_is_named_so(line: bytes) -> None:
    """A damaged object does not come back as something else."""
    with pytest.raises(ValueError, match=r"."):
        decode(line)
