"""What nobody sends who means well: bodies, properties and headers, drawn by Hypothesis."""

import json
import struct
from collections.abc import Sequence
from uuid import UUID

from hypothesis import strategies as st

from schemas.catalog import COMMANDS, DEAD_LETTER, EVENTS
from schemas.topology import WORK_QUEUES
from tests.support.byhand import Raw, long, short

Drawn = st.SearchStrategy[bytes]

WORKSPACE = UUID("9a591777-7480-40d4-85d2-2bf7f3a1a5b5")
"""A workspace that may be paused by whatever is drawn."""
OPERATION = b"11111111-2222-4333-8444-555555555555"
"""Stands for an operation that there is; put in its place by who sends."""
_NOBODY = b"00000000-0000-4000-8000-000000000000"
_BIG = 16 * 1024 * 1024
_COMMANDS = (b"workspace.pause", b"workspace.resume")
_ORDERS = (b"workspace.stop", b"workspace.start")
_RESULTS = (
    *(b"workspace.stopped", b"workspace.started"),
    *(b"workspace.stop.failed", b"workspace.start.failed"),
)


def _quoted(text: str | bytes) -> bytes:
    return json.dumps(text.decode() if isinstance(text, bytes) else text).encode()


NASTY: Sequence[bytes] = (
    b"null", b"true", b"false", b"0", b"-1", b"1.0", b"-0.0", b"1e400", b"-1e400", b"1e-400",
    b"9" * 400, b"9" * 5000, b"-" + b"9" * 30, b"9223372036854775808", b"18446744073709551616",
    b"NaN", b"Infinity", b"-Infinity", b"01", b"+1", b".5", b"0x10", b"1_000",
    b'""', b'" "', b'"\\u0000"', b'"a\\u0000b"', b'"\x00"', b'"\\ud800"', b'"\\udfff\\ud800"',
    b'"\\ud83d\\ude00"', b'"\xed\xa0\x80"', b'"\xff"', b'"\\x41"', b'"\n"', b'"\\n\\r\\u001b[31m"',
    b'"\\u2028\\u0085"', b'"%s%d{}"', b"\"'; drop table workspaces; --\"", b'"$(reboot)"',
    b'"' + b"x" * 10_240 + b'"', b'"' + "\u20ac".encode() * 500 + b'"',
    b"[" * 99 + b"]" * 99, b"[" * 101 + b"]" * 101, b"[" * 30_000, b'{"a":' * 30_000,
    b"{}", b"[]", b'{"a":1,"a":2}', b'{"":{"":{}}}', b"[{}]", b'{"__proto__":1}',
    b'"9a591777748040d485d22bf7f3a1a5b5"', b'"{9a591777-7480-40d4-85d2-2bf7f3a1a5b5}"',
    b'"2026-05-28T09:30:00Z"', b'"2026-05-28T09:30:00"', b'"9999-12-31T23:59:59-23:59"',
    b'"0001-01-01T00:00:00+23:59"', b'"2026-02-30T00:00:00Z"', b'"2026-05-28T24:00:00Z"',
    b'"2016-12-31T23:59:60Z"', b'"2999-01-01T00:00:00.123456789Z"', b'"1969-12-31T23:59:59Z"',
    b"undefined", b"'x'", b"//", b"\xef\xbb\xbf1", b"",
)  # fmt: skip
"""JSON values, or what looks like one, that have broken some reader somewhere."""

_PLAUSIBLE: dict[str, Sequence[bytes]] = {
    "workspace_id": (_quoted(str(WORKSPACE)), _quoted(_NOBODY)),
    "operation_id": (_quoted(OPERATION), _quoted(_NOBODY)),
    "undo": (_quoted(OPERATION), _quoted(_NOBODY)),
    "cascade": (b"true", b"false"),
    "dry_run": (b"true", b"false"),
    "if_match": (b'"0"', b'"*"'),
    "max_affected": (b"1", b"1000000"),
    "not_after": (b'"2999-01-01T00:00:00Z"', b'"2020-01-01T00:00:00Z"'),
    "reason": (b'"because"', b'"\\u001b[2J"'),
    "requested_by": (b'"somebody"',),
    "name": (b'"top"', b'"\\u0000"'),
    "instance_id": (b'"i-top"', b'"i-victim"', b"null"),
    "runtime": (b"null", b'"external"'),
    "previous_status": (b'"online"', b'"no such status"'),
    "generation": (b"1", b"2", b"9223372036854775807"),
    "deadline": (b'"2999-01-01T00:00:00Z"', b'"2020-01-01T00:00:00Z"'),
    "code": (b'"superseded"', b'"anything"'),
    "detail": (b'"done"', b'"' + b"d" * 30_000 + b'"', b"null"),
    "retryable": (b"true", b"false"),
}
_DATA: dict[bytes, Sequence[str]] = {
    **dict.fromkeys(_COMMANDS, ("workspace_id", "cascade", "dry_run", "if_match", "max_affected",
                                "not_after", "reason", "requested_by", "undo")),
    **dict.fromkeys(_ORDERS, ("operation_id", "workspace_id", "name", "instance_id", "runtime",
                              "previous_status", "generation", "deadline")),
    **dict.fromkeys(_RESULTS, ("operation_id", "workspace_id", "generation", "instance_id",
                               "detail", "code", "retryable")),
}  # fmt: skip
_ATTRIBUTES: dict[str, Sequence[bytes]] = {
    "specversion": (b'"1.0"', b'"0.3"'),
    "id": (b'"e1"', b'"' + b"i" * 10_240 + b'"'),
    "source": (b'"/hostile"',),
    "subject": (b'"s"',),
    "time": (b'"2026-05-28T09:30:00Z"',),
    "datacontenttype": (b'"application/json"', b'"text/xml"'),
    "correlationid": (b'"c"', b'"' + b"c" * 255 + b'"', b'"' + b"c" * 10_240 + b'"'),
    "causationid": (b'"k"',),
    "traceparent": (b'"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"',),
    "data_base64": (b'"e30="',),
    "x y": (b"1",),
}
_VALUES = st.sampled_from(NASTY)


@st.composite
def _object(draw: st.DrawFn, known: dict[str, Sequence[bytes]]) -> bytes:
    """Write an object: most members as they should be, some nasty, missing, unknown or twice."""
    members = [(name, draw(st.sampled_from(values))) for name, values in known.items()]
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(members)))
        what = draw(st.sampled_from(("nasty", "gone", "twice", "unknown")))
        if what == "unknown" or at == len(members):
            members.append((draw(st.sampled_from(("cascad", "", "\x00", "\x1b[31m"))), b"1"))
        elif what == "nasty":
            members[at] = (members[at][0], draw(_VALUES))
        elif what == "gone":
            del members[at]
        else:
            members.append(members[at])
    return b"{%b}" % b",".join(_quoted(name) + b":" + value for name, value in members)


@st.composite
def _data(draw: st.DrawFn, kind: bytes) -> bytes:
    names = _DATA.get(kind, ("workspace_id",))
    required = {"workspace_id", *names} if kind not in _COMMANDS else {"workspace_id"}
    wanted = [one for one in names if one in required or draw(st.integers(0, 5)) == 0]
    if kind in {b"workspace.stopped", b"workspace.started"}:
        wanted = [one for one in wanted if one not in {"code", "retryable"}]
    return draw(_object({name: _PLAUSIBLE[name] for name in wanted}))


@st.composite
def _event(draw: st.DrawFn, kind: bytes) -> bytes:
    members = {
        name: values
        for name, values in _ATTRIBUTES.items()
        if name in {"specversion", "id", "source"} or draw(st.integers(0, 4)) == 0
    }
    members |= {"type": (_quoted(kind),), "data": (draw(_data(kind)),)}
    return draw(_object(members))


def _bodies(kind: bytes) -> Drawn:
    big = st.just(b'{"workspace_id":"' + b"x" * _BIG)
    return st.one_of(_data(kind), _event(kind), _data(kind), _event(kind), _noise(), _VALUES) | (
        st.integers(0, 40).flatmap(lambda one: big if one == 0 else st.binary(max_size=64))
    )


def _noise() -> Drawn:
    return st.sampled_from((b"\x1f\x8b\x08\x00", b"\x00" * 70_000, b"{" * 65_536, b" " * 65_537))


_TEXTS = st.one_of(
    st.sampled_from((
        b"", b"a", b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\n{}", b"\x1b[31m\x85", b"x" * 255,
        "\u20ac".encode() * 85, "\u2028\u202e".encode(), b"%s", b"amq.rabbitmq.reply-to",
    )),
    st.binary(max_size=12),
)  # fmt: skip
_CONTENT_TYPES = st.sampled_from((
    b"application/json", b"application/cloudevents+json", b"APPLICATION/CloudEvents+JSON ; x=1",
    b"application/cloudevents-batch+json", b"text/plain", b"application/json; charset=utf-16",
))  # fmt: skip
_ENCODINGS = st.sampled_from((b"utf-8", b"gzip", b"identity", b"", b"utf-16", b"\xff"))
_REPLIES = st.sampled_from((
    b"amq.gen-nobody", b"lifecycle.commands", b"lifecycle.audit", b"amq.rabbitmq.reply-to",
    b"amq.rabbitmq.reply-to.g1h2AA5yZXBseUAxMTMxMTMxAAAAAA==", b"amq.gen-*", b"*", b"a b",
))  # fmt: skip
_TIMES = st.sampled_from((0, 1, 1_790_000_000, 253_402_300_799, 253_402_300_800, 2**63, 2**64 - 1))
_KINDS = st.sampled_from((*_COMMANDS, *_ORDERS, *_RESULTS, b"nonsense", b"workspace.pause.summary"))
_EXPIRY = st.sampled_from((b"0", b"1", b"600000", b"-1", b"soon"))


_EVERY_TYPE = (
    b"V", b"t\x01", b"b\xff", b"B\xff", b"s\xff\xff", b"u\xff\xff", b"I\x80\x00\x00\x00",
    b"i\xff\xff\xff\xff", b"l" + bytes(8), b"f\x7f\xc0\x00\x00", b"d\x7f\xf0" + bytes(6),
    b"d" + struct.pack(">d", 1e300),
    b"D\xff\x00\x00\x00\x01", b"D\x02\x80\x00\x00\x00", b"T" + bytes(8),
    b"S" + long(b"\xff\xfe"), b"x" + long(b"\xff"), b"A" + long(b""), b"F" + long(b""),
)  # fmt: skip
"""A field of each type there is (AMQP 0-9-1, and RabbitMQ's own), as far out as it goes."""


_PLAIN = st.one_of(
    st.sampled_from((*_EVERY_TYPE, b"t\x07")),
    st.integers(-(2**63), 2**63 - 1).map(lambda one: b"l" + struct.pack(">q", one)),
    st.sampled_from((0, 2**33, 2**62, 2**64 - 1)).map(lambda one: b"T" + struct.pack(">Q", one)),
    _TEXTS.map(lambda text: b"S" + long(text)),
    _TEXTS.map(lambda text: b"x" + long(text)),
    st.sampled_from((10_240, 65_535, 130_500)).map(lambda size: b"S" + long(b"h" * size)),
)


def _around(inner: Drawn) -> Drawn:
    """Put arrays and tables around fields."""
    arrays = st.lists(inner, max_size=3).map(lambda fields: b"A" + long(b"".join(fields)))
    tables = st.lists(st.tuples(_TEXTS, inner), max_size=3).map(lambda named: b"F" + table(named))
    return st.one_of(inner, arrays, tables)


def table(named: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Write a table."""
    return long(b"".join(short(name) + field for name, field in named))


_FIELDS = _around(_around(_PLAIN))

_NAMES = st.sampled_from((
    b"x-delivery-count", b"x-death", b"x-stream-offset", b"x-acquired-count", b"x-death-reason",
    b"x-original-exchange", b"x-original-routing-key", b"x-original-queue", b"x-parked-at",
    b"x-original-user-id", b"x-operation-id", b"x-first-death-queue", b"traceparent", b"BCC", b"",
    b"x-match", b"x-delay", b"X-Molecule-Implicit-Cascade",
)) | _TEXTS  # fmt: skip
_DEATH = b"A" + long(
    b"F"
    + table([
        (b"count", b"l" + struct.pack(">q", 2**62)),
        (b"queue", b"S" + long(b"lifecycle.commands")),
        (b"exchange", b"S" + long(b"amq.direct")),
        (b"reason", b"S" + long(b"rejected")),
        (b"routing-keys", b"l" + struct.pack(">q", 1)),
    ])
)  # fmt: skip
_FORGED = st.sampled_from((
    (b"x-delivery-count", b"l" + struct.pack(">q", 2**62)),
    (b"x-delivery-count", b"l" + struct.pack(">q", -(2**62))),
    (b"x-delivery-count", b"S" + long(b"many")),
    (b"x-death", _DEATH),
    (b"x-death", b"S" + long(b"often")),
    (b"x-stream-offset", b"l" + struct.pack(">q", 0)),
    (b"x-stream-offset", b"l" + struct.pack(">q", -7)),
    (b"x-stream-offset", b"S" + long(b"first")),
    (b"CC", b"A" + long(b"S" + long(b"workspace.stop"))),
    (b"CC", b"A" + long(b"S" + long(b"\xff\xfe"))),
))  # fmt: skip


@st.composite
def _properties(draw: st.DrawFn, kind: bytes, *, expiring: bool = True) -> bytes:
    """Write flags and values; the first bit stands for the content type."""

    def maybe(value: Drawn, one_in: int = 3) -> bytes | None:
        return draw(value) if draw(st.integers(1, one_in)) == 1 else None

    shorts = {
        name: (None if text is None else short(text))
        for name, text in {
            "content_type": maybe(_CONTENT_TYPES | _TEXTS, 2),
            "content_encoding": maybe(_ENCODINGS, 5),
            "correlation_id": maybe(_TEXTS),
            "reply_to": maybe(_REPLIES | _TEXTS),
            "expiration": maybe(_EXPIRY, 12) if expiring else None,
            "message_id": maybe(st.sampled_from((b"m1", b"m2")) | _TEXTS, 1),
            "type": maybe(st.just(kind) | _KINDS | _TEXTS, 2),
            "user_id": maybe(st.sampled_from((b"guest", b"somebody")), 12),
            "app_id": maybe(_TEXTS, 2),
            "cluster_id": maybe(_TEXTS, 9),
        }.items()
    }
    pairs = st.lists(st.tuples(_NAMES, _FIELDS) | _FORGED, max_size=4)
    seconds = _TIMES.map(lambda one: struct.pack(">Q", one))
    values = [
        shorts["content_type"], shorts["content_encoding"], maybe(pairs.map(table), 2),
        maybe(st.sampled_from((b"\x01", b"\x02", b"\xff")), 2), maybe(st.just(b"\xff"), 5),
        shorts["correlation_id"], shorts["reply_to"], shorts["expiration"], shorts["message_id"],
        maybe(seconds), shorts["type"], shorts["user_id"], shorts["app_id"], shorts["cluster_id"],
    ]  # fmt: skip
    flags = sum(1 << (15 - at) for at, value in enumerate(values) if value is not None)
    return struct.pack(">H", flags) + b"".join(value for value in values if value is not None)


@st.composite
def _messages(draw: st.DrawFn) -> Raw:
    kind = draw(_KINDS)
    exchange = COMMANDS if kind in {*_COMMANDS, *_ORDERS} else EVENTS
    key = kind
    if draw(st.integers(0, 3)) == 0 or kind == b"nonsense":
        exchange = draw(st.sampled_from(("", "", DEAD_LETTER)))
        key = draw(st.sampled_from(WORK_QUEUES)).encode()
    expiring = exchange != DEAD_LETTER  # there it would be gone for good
    properties = draw(_properties(kind, expiring=expiring))
    return Raw(exchange, key, properties, draw(_bodies(kind)))


STORMS: st.SearchStrategy[list[Raw]] = st.lists(_messages(), min_size=1, max_size=12)
"""Some messages of which none has to be as it should be."""


def _flags(*bits: int) -> bytes:
    """Announce properties by their places: 15 is the content type, 13 the headers, 7 the id."""
    return struct.pack(">H", sum(1 << bit for bit in bits))


def _worst_properties() -> Sequence[bytes]:
    every = _flags(13) + long(short(b"a") + b"A" + long(b"".join(_EVERY_TYPE)))
    made_up = _flags(13, 8) + table([(b"x-death", b"S" + long(b"often"))]) + short(b"1")
    return (
        _flags(),
        _flags(15, 10, 9, 7) + short(b"\xff") + short(b"\xfe") + short(b"\x00") * 2,
        _flags(6) + struct.pack(">Q", 2**64 - 1),
        _flags(2) + short(b"cluster"),
        _flags(8) + short(b"0"),
        _flags(13) + table([(b"x-death", _DEATH)]),
        _flags(13) + table([(b"\xff", b"V")]),
        _flags(13) + table([(b"x-stream-offset", b"l" + struct.pack(">q", 2**60))] * 2),
        _flags(13) + table([(b"h", b"S" + long(b"h" * 131_000))]),
        every,
        made_up,
    )


def _members(names: Sequence[str], **changes: bytes) -> bytes:
    values = {name: _PLAUSIBLE[name][0] for name in names} | changes
    return b"{%b}" % b",".join(_quoted(name) + b":" + value for name, value in values.items())


def _worst_texts() -> list[Raw]:
    """Put what no database, log or short string can hold where a text belongs."""
    messages = []
    for kind, names in (
        (b"workspace.pause", ("workspace_id", "reason")),
        (b"workspace.stop", _DATA[b"workspace.stop"]),
        (b"workspace.stop.failed", _DATA[b"workspace.stop.failed"]),
    ):
        exchange = EVENTS if kind.endswith(b"failed") else COMMANDS
        texts = {"reason", "name", "instance_id", "runtime", "detail", "code"} & set(names)
        for nasty in (b'"\\u0000"', b'"\\ud800"', b'"\\n\\u001b[31m"', b'"' + b"x" * 10_240 + b'"'):
            for text in sorted(texts):
                properties = _flags(7) + short(kind + text.encode() + nasty[:6])
                messages.append(Raw(exchange, kind, properties, _members(names, **{text: nasty})))
            for attribute in ("id", "source", "correlationid", "traceparent", "subject"):
                event = {
                    "specversion": b'"1.0"', "id": b'"1"', "source": b'"s"', "type": _quoted(kind),
                    "data": _members(names), attribute: nasty,
                }  # fmt: skip
                body = b"{%b}" % b",".join(_quoted(n) + b":" + v for n, v in event.items())
                properties = _flags(15) + short(b"application/cloudevents+json")
                messages.append(Raw(exchange, kind, properties, body))
    return messages


def _worst() -> list[Raw]:
    """Give what has to come in any case, to each queue."""
    bodies = (b"\x00" * _BIG, b"[" * 60_000)
    return [
        Raw("", queue.encode(), properties, body)
        for queue in WORK_QUEUES
        for properties, body in [
            *((properties, b"{}") for properties in _worst_properties()),
            *((_flags(), body) for body in bodies),
        ]
    ] + _worst_texts()


WORST = _worst()
