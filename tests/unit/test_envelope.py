import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import ValidationError

from schemas.commands import PauseWorkspace
from schemas.envelope import Attributes, first_error, read, write
from tests.unit.samples import WORKSPACE

MINIMAL: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "tests",
    "type": "workspace.pause",
    "data": {"workspace_id": WORKSPACE},
}
DATA = PauseWorkspace.model_validate_json(json.dumps(MINIMAL["data"]))
TEXT = some.text(some.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1)
SHORT = TEXT.filter(lambda text: len(text.encode()) <= 255)


def body(**members: Any) -> bytes:
    """Give a CloudEvent with some members set."""
    return json.dumps({**MINIMAL, **members}).encode()


def test_the_least_cloudevent_is_read() -> None:
    """Only the four required attributes and data are asked for."""
    attributes, data = read(body())
    assert attributes == Attributes(id="1", source="tests", type="workspace.pause")
    assert data == MINIMAL["data"]


@given(
    identity=SHORT,
    source=SHORT,
    kind=SHORT,
    subject=some.none() | TEXT,
    time=some.none() | some.datetimes(timezones=some.just(UTC)),
    correlation_id=some.none() | SHORT,
    causation_id=some.none() | SHORT,
    traceparent=some.none() | SHORT,
    reason=some.none() | TEXT,
)
def test_what_is_written_is_read_back(
    identity: str,
    source: str,
    kind: str,
    subject: str | None,
    time: datetime | None,
    correlation_id: str | None,
    causation_id: str | None,
    traceparent: str | None,
    reason: str | None,
) -> None:
    """Every attribute that a reader acts on survives the way, and so does the data."""
    attributes = Attributes(
        id=identity,
        source=source,
        type=kind,
        subject=subject,
        time=time,
        correlation_id=correlation_id,
        causation_id=causation_id,
        traceparent=traceparent,
    )
    data = DATA.model_copy(update={"reason": reason})
    written = write(attributes, data)
    again, members = read(written)
    assert again == attributes
    assert members == json.loads(data.model_dump_json())
    assert write(attributes, data) == written


def test_our_own_extensions_are_written() -> None:
    """The operation and the schema travel beside what is read back."""
    attributes = Attributes(id="1", source="s", type="t", operation_id="o", dataschema="urn:x")
    written = json.loads(write(attributes, DATA))
    assert written["specversion"] == "1.0"
    assert written["datacontenttype"] == "application/json"
    assert written["operationid"] == "o"
    assert written["dataschema"] == "urn:x"
    assert "traceparent" not in written, "an attribute that is not known is left out"


def test_attribute_names_are_what_cloudevents_allows() -> None:
    """Names are lower-case letters and digits, so that any SDK reads them."""
    moment = datetime(2026, 5, 28, tzinfo=UTC)
    full = Attributes(
        id="1",
        source="s",
        type="t",
        subject="w",
        time=moment,
        correlation_id="c",
        causation_id="d",
        traceparent="p",
        operation_id="o",
        dataschema="urn:x",
    )
    for name in json.loads(write(full, DATA)):
        assert name.isalnum()
        assert name == name.lower()


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type", "data"])
def test_a_required_attribute_cannot_be_missing(name: str) -> None:
    """The error names the attribute that is missing."""
    members = {key: value for key, value in MINIMAL.items() if key != name}
    with pytest.raises(ValueError, match=name):
        read(json.dumps(members).encode())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("specversion", "0.3"),
        ("specversion", 1.0),
        ("id", ""),
        ("id", 7),
        ("id", "x" * 256),
        ("id", "é" * 128),
        ("id", "a\x00b"),
        ("source", ""),
        ("type", None),
        ("time", "yesterday"),
        ("time", "2026-05-28T09:30:00"),
        ("time", "0001-01-01T00:00:00+23:59"),
        ("datacontenttype", "text/plain"),
        ("correlationid", ""),
        ("correlationid", "x" * 256),
        ("traceparent", 1),
    ],
)
def test_a_wrong_attribute_is_refused_by_name(name: str, value: object) -> None:
    """Ids must fit an AMQP short string of 255 bytes, times are RFC 3339."""
    with pytest.raises(ValueError, match=f"not a CloudEvent 1.0: {name}"):
        read(body(**{name: value}))


def test_255_bytes_fit() -> None:
    """The longest id is counted in bytes, as AMQP counts."""
    assert read(body(id="x" * 255))[0].id == "x" * 255


def test_null_attributes_are_absent_and_unknown_extensions_allowed() -> None:
    """CloudEvents' JSON format treats null as unset, and lets anybody add extensions."""
    attributes, _ = read(body(subject=None, traceparent=None, partitionkey="p", sampledrate=5))
    assert attributes.subject is None


@pytest.mark.parametrize("text", [b"[]", b"1", b'"a"', b"null"])
def test_only_an_object_is_a_cloudevent(text: bytes) -> None:
    """Other JSON is refused in words."""
    with pytest.raises(ValueError, match="JSON object"):
        read(text)


def test_the_dialect_holds_inside_the_envelope() -> None:
    """A duplicate `cascade` deep in data is refused with the whole."""
    whole = body()[:-2] + b', "cascade": false, "cascade": true}}'
    with pytest.raises(ValueError, match="twice"):
        read(whole)


def test_an_error_never_repeats_a_value() -> None:
    """What the sender wrote by mistake stays out of logs and answers."""
    with pytest.raises(ValueError, match="id") as caught:
        read(body(id={"password": "hunter2"}))
    assert "hunter2" not in str(caught.value)


def test_a_hostile_field_name_is_told_on_one_harmless_line() -> None:
    """Line breaks, escapes and NUL in a name reach neither a log nor an answer as they are."""
    with pytest.raises(ValidationError) as caught:
        PauseWorkspace.model_validate_json(
            json.dumps({"workspace_id": WORKSPACE, "a\x00\n\x1b[31m": 1})
        )
    told = first_error(caught.value)
    assert told.isprintable()
    assert "Extra inputs are not permitted" in told


def test_importing_schemas_needs_nothing_but_pydantic() -> None:
    """Another program can use the contract without our broker, database or AWS clients."""
    code = (
        "import sys; before = set(sys.modules); import schemas, schemas.document, schemas.topology;"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    ).stdout.split()
    allowed = {
        "annotated_types",
        "pydantic",
        "pydantic_core",
        "schemas",
        "typing_extensions",
        "typing_inspection",
    }
    foreign = {
        name
        for name in told
        # The second is CPython's own record of how it was built, named after the platform.
        if name not in sys.stdlib_module_names and not name.startswith("_sysconfigdata")
    }
    assert foreign <= allowed
