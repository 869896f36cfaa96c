"""A record as one line of JSON and back, byte for byte. Pure.

`body` is the message's body where it is JSON, so that jq, DuckDB and Athena can look into it. Where
writing that JSON again would not give the very same bytes, or it is none, `body_base64` has them.
A header's value that JSON has no word for is tagged: `{"$bytes": base64}`, `{"$time": RFC 3339}`,
`{"$decimal": text}`, `{"$float": text}`; `{"$table": {...}}` stands around a table with such a key.
"""

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import UnionType
from typing import Any

from consumer.record import Record

_TAGS: Mapping[str, Callable[[Any], Any]] = {
    "$bytes": lambda text: bytearray(base64.b64decode(text)),
    "$time": datetime.fromisoformat,
    "$decimal": Decimal,
    "$float": float,
    "$table": lambda table: {key: _untagged(value) for key, value in table.items()},
}
_WRITTEN: Sequence[tuple[type | UnionType, str, Callable[[Any], str]]] = (
    (bytes | bytearray, "$bytes", lambda value: base64.b64encode(value).decode()),
    (datetime, "$time", datetime.isoformat),
    (Decimal, "$decimal", str),
    (float, "$float", str),
)


def encode(record: Record) -> bytes:
    """Write a record as one line, with its line break. Equal records give equal bytes."""
    line: dict[str, Any] = {
        "offset": record.offset,
        "exchange": record.exchange,
        "routing_key": record.routing_key,
        "properties": {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in record.properties.items()
        },
        "headers": _tagged(record.headers),
    }
    if not record.readable:
        line["readable"] = False
    written = _dumps(line)[:-1]
    again = _written_again(record.body)
    if again is not None:
        written += b',"body":' + again
    if again != record.body:
        written += b',"body_base64":"' + base64.b64encode(record.body) + b'"'
    return written + b"}\n"


def decode(line: bytes) -> Record:
    """Read a line.

    Raises:
        ValueError: it is no record.

    """
    try:
        found = json.loads(line)
        return Record(
            offset=found["offset"],
            exchange=found["exchange"],
            routing_key=found["routing_key"],
            properties=_properties(found["properties"]),
            headers=_untagged(found["headers"]),
            readable=found.get("readable", True),
            body=_body(found),
        )
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"no record of the trail: {type(error).__name__}") from None


def _properties(found: Mapping[str, Any]) -> Mapping[str, Any]:
    if "timestamp" in found:
        return {**found, "timestamp": datetime.fromisoformat(found["timestamp"])}
    return found


def _body(found: Mapping[str, Any]) -> bytes:
    if "body_base64" in found:
        return base64.b64decode(found["body_base64"])
    return _dumps(found["body"])


def _written_again(body: bytes) -> bytes | None:
    """Give a body as JSON that every reader of JSON understands; None where it is none."""
    try:
        return _dumps(_DECODER.decode(body.decode()))
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is beyond a double")
    return number


def _dumps(value: Any) -> bytes:
    """Write JSON in the one way there is here. A lone surrogate raises ValueError."""
    return _ENCODER.encode(value).encode()


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def _tagged(value: Any) -> Any:
    """Give a header's value as JSON has it."""
    if isinstance(value, Mapping):
        table = {str(key): _tagged(one) for key, one in value.items()}
        return {"$table": table} if _TAGS.keys() & table.keys() else table
    if isinstance(value, list | tuple):
        return [_tagged(one) for one in value]
    if isinstance(value, float) and math.isfinite(value):
        return value
    for kind, tag, write in _WRITTEN:
        if isinstance(value, kind):
            return {tag: write(value)}
    return value


def _untagged(value: Any) -> Any:
    if isinstance(value, list):
        return [_untagged(one) for one in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and (tag := next(iter(value))) in _TAGS:
        return _TAGS[tag](value[tag])
    return {key: _untagged(one) for key, one in value.items()}
