"""CloudEvents 1.0 structured JSON, and the plain form, both ways. Knows no message type."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from schemas.strict import Text, Time, parse_json, rfc3339

CLOUDEVENTS = "application/cloudevents+json"
SHORT_STRING = 255
"""The most bytes an AMQP short string holds (AMQP 0-9-1, section 4.2.5.3): ids must fit in one."""


def _short(value: str) -> str:
    if not value or len(value.encode()) > SHORT_STRING:
        raise ValueError(f"must be 1 to {SHORT_STRING} bytes of UTF-8")
    return value


_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
Short = Annotated[Text, AfterValidator(_short)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What an envelope says about its data, whichever form it came in."""

    id: str
    source: str
    type: str
    subject: str | None = None
    time: datetime | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None
    operation_id: str | None = None
    dataschema: str | None = None


class _CloudEvent(BaseModel):
    """The context attributes we read. Extensions we do not know are allowed by the standard."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)

    specversion: Annotated[str, Field(pattern=r"^1\.0$")]
    id: Short
    source: Short
    type: Short
    subject: Text | None = None
    time: Time | None = None
    datacontenttype: Annotated[str, Field(pattern=r"^application/json(;.*)?$")] | None = None
    correlationid: Short | None = None
    causationid: Short | None = None
    traceparent: Short | None = None
    data: Any = None


def first_error(error: ValidationError) -> str:
    """Say in one line what the first mistake is and where, never repeating the input's values.

    The sender's own names in it are escaped: no line break, control sequence or NUL gets through.
    """
    found = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(_printable(str(part)[:64]) for part in found["loc"])
    text = found["msg"].removeprefix("Value error, ")
    return f"{where}: {text}" if where else text


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)


def read(body: bytes) -> tuple[Attributes, Any]:
    """Read a CloudEvents 1.0 structured JSON body into its attributes and its data.

    Raises:
        ValueError: the body is no CloudEvent; the text says where, without its values.

    """
    return taken_apart(parse_json(body))


def taken_apart(parsed: Any) -> tuple[Attributes, Any]:
    """Do so with one that `parse_json` has read.

    Raises:
        ValueError: as `read`.

    """
    if not isinstance(parsed, dict):
        raise ValueError("a CloudEvent is a JSON object")
    try:
        event = _CloudEvent.model_validate(parsed)
    except ValidationError as error:
        raise ValueError(f"not a CloudEvent 1.0: {first_error(error)}") from None
    if "data" not in parsed:
        raise ValueError("not a CloudEvent 1.0 of ours: data is missing")
    return (
        Attributes(
            id=event.id,
            source=event.source,
            type=event.type,
            subject=event.subject,
            time=event.time,
            correlation_id=event.correlationid,
            causation_id=event.causationid,
            traceparent=event.traceparent,
        ),
        event.data,
    )


def write(attributes: Attributes, data: BaseModel) -> bytes:
    """Write a CloudEvents 1.0 structured JSON body. Equal arguments give equal bytes."""
    return head(attributes) + data.model_dump_json().encode() + b"}"


def head(attributes: Attributes) -> bytes:
    """Write such a body as far as its data: `{"specversion":"1.0", ... ,"data":`."""
    known = {
        "id": attributes.id,
        "source": attributes.source,
        "type": attributes.type,
        "subject": attributes.subject,
        "time": rfc3339(attributes.time) if attributes.time else None,
        "datacontenttype": "application/json",
        "dataschema": attributes.dataschema,
        "operationid": attributes.operation_id,
        "correlationid": attributes.correlation_id,
        "causationid": attributes.causation_id,
        "traceparent": attributes.traceparent,
    }
    members = {"specversion": "1.0"} | {name: value for name, value in known.items() if value}
    return _object(members)[:-1] + b',"data":'


def _object(members: dict[str, str]) -> bytes:
    return _ENCODER.encode(members).encode()
