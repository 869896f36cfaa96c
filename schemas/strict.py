"""The dialect every message is read in: strict types, no unknown fields, RFC 3339, RFC 9562."""

import json
import math
import re
from codecs import BOM_UTF8
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from annotated_types import Ge, Le
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_DEEPEST = 100
"""Levels of arrays and objects. The same on every Python, and fewer than pydantic's own 200."""
_NESTED = f"the body is nested too deep: {_DEEPEST} levels at most"


class Strict(BaseModel):
    """A frozen model without coercion that refuses unknown fields and never repeats its input."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", hide_input_in_errors=True, ser_json_inf_nan="null"
    )


def _uuid(value: object) -> object:
    """Take the canonical text form alone: braces, urn: and bare hex mean a careless sender."""
    if isinstance(value, str):
        if not _UUID.fullmatch(value):
            raise ValueError("not a UUID in its canonical form (8-4-4-4-12 hexadecimal digits)")
        return UUID(value)
    return value


def _time(value: object) -> object:
    """Take RFC 3339 with an offset: a time without a zone is a guess."""
    if isinstance(value, str):
        if not _RFC3339.fullmatch(value):
            raise ValueError("not an RFC 3339 time with its offset, like 2026-05-28T09:30:00Z")
        return datetime.fromisoformat(value.upper())
    return value


def _zoned(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs an offset from UTC")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time must lie in the years 1 to 9999, also in UTC") from None


def rfc3339(value: datetime) -> str:
    """Write a time as RFC 3339 in UTC, to the microsecond."""
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def plain_text(value: str) -> str:
    """Refuse what PostgreSQL and UTF-8 cannot hold: NUL and lone surrogates.

    Raises:
        ValueError: naming what was found.

    """
    if "\x00" in value:
        raise ValueError("contains NUL (U+0000)")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("contains a lone surrogate, which is no Unicode text") from None
    return value


Id = Annotated[UUID, BeforeValidator(_uuid)]
Time = Annotated[
    datetime,
    BeforeValidator(_time),
    AfterValidator(_zoned),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
]
Text = Annotated[str, AfterValidator(plain_text)]
Counter = Annotated[int, Ge(0), Le(2**63 - 1)]
"""What a PostgreSQL bigint holds: a larger number would be refused only by the database."""


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON (RFC 8259)")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
    return bool(level)


def _inside(outer: Any) -> Iterable[Any]:
    """Give the arrays and objects right inside one."""
    values = outer.values() if isinstance(outer, dict) else outer
    return (inner for inner in values if isinstance(inner, dict | list))


def _no_duplicates(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError("a member name occurs twice")
        members[name] = value
    return members


_DECODER = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite
)
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)
"""To make either takes longer than most messages do."""


def parse_json(body: bytes) -> Any:
    """Parse RFC 8259 JSON, refusing duplicate names, NaN and infinities, and hostile nesting.

    Raises:
        ValueError: the body is not JSON in this dialect. The text never repeats the input.

    """
    if body.startswith(BOM_UTF8):
        raise ValueError("the body is not JSON: it begins with a BOM (RFC 8259, section 8.1)")
    try:
        value = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise ValueError("the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"the body is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise ValueError(_NESTED) from None
    # No deeper than it has brackets: few messages need the walk.
    many = body.count(b"{") + body.count(b"[") > _DEEPEST
    if many and isinstance(value, dict | list) and _too_deep(value):
        raise ValueError(_NESTED)
    return value


def canonical_json(value: Any) -> bytes:
    """Write a parsed value so that equal values give equal bytes, whatever their spelling was."""
    return _ENCODER.encode(value).encode()
