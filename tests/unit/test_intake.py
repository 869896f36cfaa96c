"""Whatever the wire brings becomes a command, a result, a problem, or is known to be neither."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as some

from consumer.intake import read_command, read_result
from consumer.message import Inbound, UnreadableError
from consumer.operation import Command, Origin, Problem, Result
from schemas.envelope import CLOUDEVENTS
from tests.unit.samples import OPERATION, SAMPLES, WORKSPACE

MAX_BODY = 65_536
COMMANDS = ("workspace.pause", "workspace.resume")
RESULTS = ("workspace.stopped", "workspace.started", "workspace.stop.failed")
RESULT = SAMPLES["workspace.stopped"]
FAILED = SAMPLES["workspace.stop.failed"]
LONGEST_TEXT = 700
"""A field's name in a text is cut at 64 characters, of which each may be escaped as ten."""


def delivered(body: bytes | object, **properties: Any) -> Inbound:
    """Give a delivery of a pause, with an id, in the plain form."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    known = {"message_id": "m-1", "routing_key": "workspace.pause", **properties}
    return Inbound(body=raw, queue="lifecycle.commands", exchange="workspace.commands", **known)


def enveloped(data: object, **attributes: Any) -> Inbound:
    """Give a delivery of a pause as a CloudEvent; an attribute that is None is left out."""
    event = {
        "specversion": "1.0",
        "id": "m-1",
        "source": "console",
        "type": "workspace.pause",
        "data": data,
        **attributes,
    }
    present = {name: value for name, value in event.items() if value is not None}
    return delivered(present, message_id=None, content_type=CLOUDEVENTS)


def command(inbound: Inbound) -> Command:
    """Read what is a command."""
    read = read_command(inbound, MAX_BODY)
    assert isinstance(read, Command), read
    return read


def problem(inbound: Inbound, max_body: int = MAX_BODY) -> Problem:
    """Read what is a problem, and see that its text can go anywhere."""
    read = read_command(inbound, max_body)
    assert isinstance(read, Problem), read
    assert_harmless(read.detail)
    return read


def assert_harmless(text: str) -> None:
    """See that a text breaks no line, no terminal, no database and no header."""
    assert text.isprintable()
    assert 0 < len(text) <= LONGEST_TEXT
    text.encode()


PAUSE = {"workspace_id": WORKSPACE, "cascade": True, "reason": "Grüße 🌍", "max_affected": 7}


class TestBothForms:
    """Plain and CloudEvents mean the same."""

    def test_the_plain_form_takes_its_envelope_from_the_properties(self) -> None:
        """message_id is the id, app_id the source, and the routing key says which command."""
        read = command(
            delivered(
                PAUSE,
                message_id="m-7",
                app_id="console",
                correlation_id="c-7",
                reply_to="amq.gen-7",
                headers={"traceparent": "00-ab-cd-01"},
            )
        )
        assert read.data.workspace_id == UUID(WORKSPACE)
        assert read.data.cascade is True
        assert read.data.reason == "Grüße 🌍"
        assert read.origin == Origin(
            action="pause",
            source="console",
            message_id="m-7",
            key="m-7",
            digest=read.origin.digest,
            app_id="console",
            correlation_id="c-7",
            reply_to="amq.gen-7",
            traceparent="00-ab-cd-01",
        )

    def test_a_cloudevent_takes_its_envelope_from_its_attributes(self) -> None:
        """What the CloudEvent says goes before the properties that repeat it."""
        event = enveloped(
            PAUSE, id="e-7", source="//console", type="workspace.resume", correlationid="c-7"
        )
        contradicted = Inbound(
            body=event.body,
            queue=event.queue,
            exchange=event.exchange,
            routing_key="workspace.pause",
            type="workspace.pause",
            message_id="m-8",
            app_id="cli",
            content_type=CLOUDEVENTS,
        )
        origin = command(contradicted).origin
        assert (origin.action, origin.source, origin.key) == ("resume", "//console", "e-7")
        assert (origin.app_id, origin.correlation_id) == ("cli", "c-7")

    def test_the_sender_of_a_cloudevent_without_app_id_is_its_source(self) -> None:
        """Policy has a name to look up in either form."""
        assert command(enveloped(PAUSE, source="console")).origin.app_id == "console"

    @pytest.mark.parametrize("action", COMMANDS)
    def test_they_have_one_digest_and_one_key(self, action: str) -> None:
        """A command sent again in the other form is the same command."""
        plain = command(delivered(PAUSE, type=action, app_id="console"))
        event = command(enveloped(PAUSE, type=action))
        assert plain == event

    def test_spelling_is_no_meaning(self) -> None:
        """Key order, white space and escapes make no other command of it."""
        spellings = [
            json.dumps(PAUSE, ensure_ascii=False).encode(),
            json.dumps(dict(reversed(PAUSE.items())), indent=3).encode(),
            json.dumps(PAUSE, separators=(",", ":")).encode(),
        ]
        event = {"data": PAUSE, "type": "workspace.pause", "source": "x", "specversion": "1.0"}
        spelt = delivered(
            json.dumps({"id": "m-1", **event}, indent=2).encode(), content_type=CLOUDEVENTS
        )
        digests = {command(delivered(body)).origin.digest for body in spellings}
        assert digests == {command(spelt).origin.digest}

    @pytest.mark.parametrize(
        "other",
        [
            {**PAUSE, "cascade": False},
            {"workspace_id": WORKSPACE, "reason": "Grüße 🌍", "max_affected": 7},
            {**PAUSE, "reason": "grüße 🌍"},
            {**PAUSE, "dry_run": False},
        ],
    )
    def test_another_meaning_has_another_digest(self, other: dict[str, Any]) -> None:
        """What differs in any member is another command under the same id."""
        one, two = command(delivered(PAUSE)), command(delivered(other))
        assert one.origin.key == two.origin.key
        assert one.origin.digest != two.origin.digest

    def test_the_action_is_part_of_the_meaning(self) -> None:
        """A resume under a pause's id is the same id with another body."""
        pause, resume = (command(delivered(PAUSE, type=kind)) for kind in COMMANDS)
        assert pause.origin.digest != resume.origin.digest

    def test_the_type_property_goes_before_the_routing_key(self) -> None:
        """A routing key is the type only where nothing else says it."""
        named = delivered(PAUSE, type="workspace.resume", routing_key="workspace.pause")
        assert command(named).origin.action == "resume"
        assert command(delivered(PAUSE, routing_key="workspace.resume")).origin.action == "resume"

    @pytest.mark.parametrize(
        "content_type",
        [
            CLOUDEVENTS,
            "Application/CloudEvents+JSON",
            CLOUDEVENTS + "; charset=utf-8",
            f" {CLOUDEVENTS} ;x=y",
        ],
    )
    def test_a_cloudevent_is_known_by_its_content_type(self, content_type: str) -> None:
        """Media types have no case, and parameters do not change what they name."""
        event = enveloped(PAUSE)
        assert command(
            delivered(event.body, message_id=None, content_type=content_type)
        ).origin.key == ("m-1")

    @pytest.mark.parametrize("encoding", [None, "", "utf-8", "UTF-8", "identity"])
    def test_no_encoding_and_utf_8_are_one(self, encoding: str | None) -> None:
        """What clients write for "nothing done to it" is taken as that."""
        assert command(delivered(PAUSE, content_encoding=encoding)).data.cascade is True

    def test_a_traceparent_in_the_cloudevent_goes_before_the_header(self) -> None:
        """The event's own context is nearer to the sender than the transport's."""
        event = enveloped(PAUSE, traceparent="00-aa-bb-01")
        header = {"traceparent": "00-cc-dd-01"}
        both = delivered(event.body, content_type=CLOUDEVENTS, headers=header)
        alone = delivered(enveloped(PAUSE).body, content_type=CLOUDEVENTS, headers=header)
        assert command(both).origin.traceparent == "00-aa-bb-01"
        assert command(alone).origin.traceparent == "00-cc-dd-01"

    def test_an_absent_flag_stays_absent(self) -> None:
        """Absent, false and true are three values all the way down."""
        read = [
            command(delivered({"workspace_id": WORKSPACE, **flag})).data.cascade
            for flag in ({}, {"cascade": False}, {"cascade": True})
        ]
        assert read == [None, False, True]

    def test_an_undo_is_read(self) -> None:
        """A resume names the pause it puts back."""
        data = {"workspace_id": WORKSPACE, "undo": OPERATION}
        assert command(delivered(data, type="workspace.resume")).undo == UUID(OPERATION)


def nested(depth: int, bracket: bytes = b"[]") -> bytes:
    """Give a body of this many arrays in each other."""
    return bracket[:1] * depth + bracket[1:] * depth


OBJECTS = b'{"a":' * 5_000 + b"1" + b"}" * 5_000
MALFORMED: Mapping[str, bytes | object] = {
    "nothing": b"",
    "no JSON": b"pause it",
    "half JSON": b'{"workspace_id": "',
    "two values": b"{} {}",
    "not UTF-8": b'{"reason": "\xff\xfe"}',
    "an overlong encoding": b'{"reason": "\xc0\x80"}',
    "an encoded surrogate": b'{"reason": "\xed\xa0\x80"}',
    "UTF-16": json.dumps(PAUSE).encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(PAUSE).encode(),
    "a raw control character": b'{"reason": "a\nb"}',
    "null": None,
    "a number": 7,
    "a string": "pause",
    "a list": [PAUSE],
    "no members": {},
    "NaN": b'{"max_affected": NaN}',
    "infinity": b'{"max_affected": -Infinity}',
    "an overflowing float": b'{"max_affected": 1e999}',
    "a huge integer": b'{"workspace_id": "%s", "max_affected": %s}'
    % (WORKSPACE.encode(), b"9" * 5_000),
    "a huge integer in an unknown field": b'{"x": -%s}' % (b"9" * 5_000),
    "a member twice": b'{"cascade": false, "cascade": true}',
    "a member twice, deeper": b'{"reason": {"a": 1, "a": 1}}',
    "a member twice, escaped": b'{"cascade": false, "c\\u0061scade": true}',
    "deep arrays": nested(10_000),
    "deep objects": OBJECTS,
    "deep arrays, never closed": b"[" * 60_000,
    "deeper than the dialect": b'{"reason": %s}' % nested(101),
    "deeper than pydantic": b'{"reason": %s}' % nested(201),
    "NUL in a reason": {**PAUSE, "reason": "a\x00b"},
    "NUL in an etag": {**PAUSE, "if_match": "\x00"},
    "NUL in a name": {**PAUSE, "x\x00": 1},
    "a lone surrogate": {**PAUSE, "reason": "a\ud800b"},
    "a lone surrogate in a name": {**PAUSE, "\udfff": 1},
    "a lone surrogate as the workspace": {"workspace_id": "\ud800" * 36},
    "surrogates the wrong way round": {**PAUSE, "requested_by": "\udc00\ud800"},
    "no workspace": {"cascade": True},
    "a misspelt flag": {"workspace_id": WORKSPACE, "Cascade": True},
    "another misspelt flag": {"workspace_id": WORKSPACE, "casacde": True},
    "undo of a pause": {**PAUSE, "undo": OPERATION},
    "a name with a line break": {**PAUSE, "x\r\ny: z\x1b[31m": 1},
    "a very long name": {**PAUSE, "x" * 10_000: 1},
    "a very long null name": {**PAUSE, "\U000e0001" * 10_000: None},
    "one as a flag": {**PAUSE, "cascade": 1},
    "nought as a flag": {**PAUSE, "cascade": 0},
    "one point nought as a flag": {**PAUSE, "cascade": 1.0},
    "a word as a flag": {**PAUSE, "cascade": "true"},
    "an empty list as a flag": {**PAUSE, "cascade": []},
    "a number as dry_run": {**PAUSE, "dry_run": 1},
    "a number as workspace": {**PAUSE, "workspace_id": 7},
    "bare hex": {**PAUSE, "workspace_id": WORKSPACE.replace("-", "")},
    "a workspace of 10 kB": {**PAUSE, "workspace_id": "5" * 10_000},
    "a cap of nought": {**PAUSE, "max_affected": 0},
    "a negative cap": {**PAUSE, "max_affected": -1},
    "half a cap": {**PAUSE, "max_affected": 1.5},
    "a cap as a float": {**PAUSE, "max_affected": 1.0},
    "a cap as text": {**PAUSE, "max_affected": "1"},
    "true as a cap": {**PAUSE, "max_affected": True},
    "a time without a zone": {**PAUSE, "not_after": "2026-05-28T09:30:00"},
    "a number as a time": {**PAUSE, "not_after": 1_780_000_000},
    "a time off the calendar": {**PAUSE, "not_after": "9999-12-31T23:59:59-01:00"},
    "a long reason": {**PAUSE, "reason": "x" * 1001},
    "a long name of a person": {**PAUSE, "requested_by": "x" * 201},
    "a number as a reason": {**PAUSE, "reason": 7},
    **{
        f"{name} is null": {**PAUSE, name: None}
        for name in (
            "workspace_id",
            "cascade",
            "dry_run",
            "if_match",
            "max_affected",
            "not_after",
            "reason",
            "requested_by",
        )
    },
}


def cloud(data: bytes | object) -> bytes:
    """Put these bytes where a CloudEvent has its data."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    head = b'{"specversion":"1.0","id":"m-1","source":"x","type":"workspace.pause","data":'
    return head + raw + b"}"


class TestMalformed:
    """What is wrong with a command is said to its sender."""

    @pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
    def test_a_malformed_body_is_a_problem(self, body: bytes | object) -> None:
        """It is answered, under the id it came with, by a line that can be logged and sent."""
        assert problem(delivered(body)).origin.key == "m-1"

    @pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
    def test_malformed_data_of_a_cloudevent_is_a_problem(self, body: bytes | object) -> None:
        """The envelope does not make the data any better."""
        read = problem(
            delivered(cloud(body), message_id="m-1", content_type=CLOUDEVENTS), max_body=131_072
        )
        assert read.origin.key == "m-1"

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ({**PAUSE, "casacde": True}, "casacde: "),
            ({**PAUSE, "cascade": None}, "'cascade' is null"),
            ({"cascade": True}, "workspace_id: Field required"),
            ({**PAUSE, "cascade": 1}, "cascade: Input should be a valid boolean"),
            (b'{"a": 1, "a": 2}', "twice"),
            (b"\xff", "not UTF-8"),
            (b"{", "not JSON"),
            (b'{"a": NaN}', "NaN is not JSON"),
            (nested(500), "nested too deep"),
            ({**PAUSE, "reason": "\x00"}, "NUL"),
        ],
    )
    def test_the_problem_says_what_and_where(self, body: bytes | object, said: str) -> None:
        """The first mistake is named, with the member it was made in."""
        assert said in problem(delivered(body)).detail

    def test_values_are_not_repeated(self) -> None:
        """A reason may be confidential, and a detail travels further than its command."""
        secret = "hunter2"
        for data in (
            {**PAUSE, "reason": [secret]},
            {**PAUSE, "workspace_id": secret},
            {**PAUSE, "not_after": secret},
            {**PAUSE, "cascade": secret},
        ):
            assert secret not in problem(delivered(data)).detail
            assert secret not in problem(enveloped(data)).detail
        assert secret not in problem(delivered(b'{"reason": ' + secret.encode())).detail

    def test_a_refused_command_still_names_its_workspace(self) -> None:
        """Whoever watches a workspace sees what was refused for it."""
        assert problem(delivered({**PAUSE, "casacde": 1})).workspace_id == UUID(WORKSPACE)
        assert problem(delivered({**PAUSE, "workspace_id": 7})).workspace_id is None
        assert problem(delivered([])).workspace_id is None

    @pytest.mark.parametrize(
        "body",
        [b"{" * (MAX_BODY + 1), json.dumps(PAUSE).encode() + b" " * MAX_BODY, nested(MAX_BODY)],
        ids=["no JSON", "valid JSON", "deep"],
    )
    @pytest.mark.parametrize("content_type", [None, CLOUDEVENTS])
    def test_what_is_too_long_is_refused_for_its_length(
        self, body: bytes, content_type: str | None
    ) -> None:
        """It is not parsed, so nothing else can be said of it."""
        read = problem(delivered(body, content_type=content_type))
        assert read.detail.startswith(f"the body has {len(body)} bytes, more than the 65536")
        assert read.workspace_id is None

    def test_the_limit_itself_is_allowed(self) -> None:
        """64 KiB are 65,536 bytes: one more is too long."""
        body = json.dumps(PAUSE).encode().ljust(MAX_BODY)
        assert command(delivered(body)).data.cascade is True
        assert "65537 bytes" in problem(delivered(body + b" ")).detail

    def test_the_limit_counts_bytes(self) -> None:
        """A character of three bytes counts three."""
        body = json.dumps({**PAUSE, "reason": "€" * 20}, ensure_ascii=False).encode()
        assert isinstance(read_command(delivered(body), len(body)), Command)
        assert isinstance(read_command(delivered(body), len(body) - 1), Problem)

    @pytest.mark.parametrize("encoding", ["gzip", "deflate", "utf-16", "x" * 255, "\n"])
    def test_another_encoding_is_a_problem(self, encoding: str) -> None:
        """What we cannot undo we do not guess at."""
        assert "content_encoding" in problem(delivered(PAUSE, content_encoding=encoding)).detail

    @pytest.mark.parametrize("message_id", [None, ""])
    def test_a_command_without_id_is_a_problem(self, message_id: str | None) -> None:
        """Nothing that cannot be told from its own repetition is carried out."""
        assert "no id" in problem(delivered(PAUSE, message_id=message_id)).detail

    def test_a_command_without_id_is_remembered_by_its_digest(self) -> None:
        """Its redelivery gets the stored answer like any other; other bytes are another one."""
        one, again, other = (
            problem(delivered(data, message_id=None)).origin.key
            for data in (PAUSE, dict(reversed(PAUSE.items())), {**PAUSE, "cascade": False})
        )
        assert one == again
        assert one != other
        assert one.startswith("sha256:")

    @pytest.mark.parametrize(
        "message_id",
        ["x" * 10_000, "x" * 256, "é" * 128, "a\x00b", "\ud800"],
        ids=["10 kB", "256", "256 in UTF-8", "NUL", "surrogate"],
    )
    def test_an_id_that_cannot_be_kept_is_a_problem(self, message_id: str) -> None:
        """It cannot be stored or sent back, and says so rather than being called absent."""
        read = problem(delivered(PAUSE, message_id=message_id))
        assert "message_id is not usable" in read.detail
        assert read.origin.message_id is None
        assert "NUL" in problem(enveloped(PAUSE, id="a\x00b")).detail

    def test_the_longest_id_is_kept(self) -> None:
        """255 bytes are an AMQP short string."""
        assert command(delivered(PAUSE, message_id="é" * 127 + "x")).origin.key == "é" * 127 + "x"

    @pytest.mark.parametrize("value", ["x" * 256, "a\x00b", "\ud800", ""])
    def test_other_properties_that_cannot_be_kept_are_left_out(self, value: str) -> None:
        """A command is not refused for what merely accompanies it."""
        origin = command(
            delivered(
                PAUSE,
                app_id=value,
                correlation_id=value,
                reply_to=value,
                headers={"traceparent": value},
            )
        ).origin
        assert (origin.source, origin.app_id) == ("anonymous", "anonymous")
        assert origin.correlation_id is origin.reply_to is origin.traceparent is None

    @pytest.mark.parametrize("value", [7, b"00-ab", None, ["00-ab"]])
    def test_a_traceparent_that_is_no_text_is_left_out(self, value: object) -> None:
        """AMQP headers hold anything."""
        read = command(delivered(PAUSE, headers={"traceparent": value}))
        assert read.origin.traceparent is None


class TestMalformedCloudEvents:
    """What is wrong with the envelope is said to its sender too."""

    @pytest.mark.parametrize(
        ("event", "said"),
        [
            (enveloped(None), "data is missing"),
            (enveloped(None, data_base64="e30="), "data is missing"),
            (enveloped(PAUSE, specversion="0.3"), "specversion"),
            (enveloped(PAUSE, specversion="1.0\n"), "specversion"),
            (enveloped(PAUSE, specversion=1.0), "specversion"),
            (enveloped(PAUSE, specversion=None), "specversion"),
            (enveloped(PAUSE, id=None), "id: Field required"),
            (enveloped(PAUSE, id=""), "id: "),
            (enveloped(PAUSE, id=7), "id: "),
            (enveloped(PAUSE, id="x" * 10_000), "id: must be 1 to 255 bytes"),
            (enveloped(PAUSE, id="a\ud800"), "id: "),
            (enveloped(PAUSE, source=None), "source"),
            (enveloped(PAUSE, source=""), "source"),
            (enveloped(PAUSE, source="a\x00"), "source: contains NUL"),
            (enveloped(PAUSE, type=None), "type"),
            (enveloped(PAUSE, type="x" * 256), "type"),
            (enveloped(PAUSE, type="workspace.stop"), "no command of ours"),
            (enveloped(PAUSE, type="pause\n"), "no command of ours"),
            (enveloped(PAUSE, datacontenttype="text/xml"), "datacontenttype"),
            (enveloped(PAUSE, time="yesterday"), "time"),
            (enveloped(PAUSE, correlationid="x" * 256), "correlationid"),
            (delivered([], content_type=CLOUDEVENTS), "a CloudEvent is a JSON object"),
            (delivered(b"\xff", content_type=CLOUDEVENTS), "not UTF-8"),
            (delivered(PAUSE, content_type=CLOUDEVENTS), "not a CloudEvent 1.0"),
        ],
    )
    def test_it_is_a_problem(self, event: Inbound, said: str) -> None:
        """The attribute is named; the routing key tells which action to answer about."""
        read = problem(event)
        assert said in read.detail
        assert read.origin.action == "pause"

    def test_a_cloudevent_without_its_content_type_is_a_problem(self) -> None:
        """Its attributes are no fields of a command."""
        assert "workspace_id" in problem(delivered(enveloped(PAUSE).body)).detail

    def test_a_batch_is_a_problem(self) -> None:
        """One message is one command."""
        batch = delivered(
            [json.loads(enveloped(PAUSE).body)],
            content_type="application/cloudevents-batch+json",
        )
        assert "object" in problem(batch).detail

    def test_null_data_is_a_problem_of_the_data(self) -> None:
        """A null is there, and is no command."""
        read = problem(delivered(cloud(b"null"), message_id=None, content_type=CLOUDEVENTS))
        assert read.origin.key == "m-1"
        assert "object" in read.detail

    def test_extensions_nobody_knows_are_allowed(self) -> None:
        """The standard lets senders and brokers in between add attributes."""
        event = enveloped(PAUSE, sequence="7", partitionkey="x", myextension=1)
        assert command(event).data.cascade is True


class TestUnreadable:
    """Only where no event type could answer is nobody answered."""

    @pytest.mark.parametrize(
        "unknown",
        [
            {"routing_key": "lifecycle.commands"},
            {"routing_key": ""},
            {"routing_key": "workspace.stop", "type": "workspace.stopped"},
            {"routing_key": "workspace.pause.rejected"},
            {"routing_key": "Workspace.Pause", "type": "workspace.pause "},
            {"routing_key": "\ud800\n" * 100, "type": "\x00\x1b[31m\n" * 100},
        ],
    )
    @pytest.mark.parametrize("body", [json.dumps(PAUSE).encode(), b"\xff", b"x" * (MAX_BODY + 1)])
    def test_neither_type_nor_routing_key_is_a_command(
        self, unknown: dict[str, str], body: bytes
    ) -> None:
        """It is not even known whether a pause or a resume was meant."""
        with pytest.raises(UnreadableError) as refused:
            read_command(delivered(body, **unknown), MAX_BODY)
        assert_harmless(str(refused.value))

    @pytest.mark.parametrize(
        "known",
        [
            {"routing_key": "workspace.resume", "type": "workspace.stop"},
            {"routing_key": "elsewhere", "type": "workspace.resume"},
            {"routing_key": "workspace.resume", "type": ""},
        ],
    )
    def test_one_of_the_two_is_enough_to_answer(self, known: dict[str, str]) -> None:
        """The sender of garbage learns that it was garbage."""
        assert problem(delivered(b"\xff", **known)).origin.action == "resume"

    def test_a_type_that_contradicts_the_routing_key_is_a_problem(self) -> None:
        """A foreign type on our routing key is refused by name, not carried out by its route."""
        read = problem(delivered(PAUSE, type="workspace.destroy"))
        assert "'workspace.destroy' is no command of ours" in read.detail


WORDS = some.sampled_from([*COMMANDS, *RESULTS, "workspace.stop", "", "x"])
ANY_TEXT = some.text(some.characters(exclude_categories=()), max_size=300)
TEXT = some.one_of(WORDS, ANY_TEXT)
SPELT = some.one_of(
    some.sampled_from([WORKSPACE, OPERATION, "1.0", "\x00", "\ud800", "2026-05-28T09:30:00Z"]),
    ANY_TEXT,
)
NAMES = some.one_of(
    some.sampled_from(
        [
            *("workspace_id", "cascade", "dry_run", "if_match", "max_affected", "not_after"),
            *("undo", "reason", "requested_by", "operation_id", "generation", "code", "detail"),
            *("specversion", "id", "source", "type", "data", "time", "traceparent"),
        ]
    ),
    ANY_TEXT,
)
VALUES = some.recursive(
    some.one_of(some.none(), some.booleans(), some.integers(), some.floats(), SPELT),
    lambda inner: some.one_of(some.lists(inner), some.dictionaries(NAMES, inner)),
    max_leaves=8,
)
PLAIN = some.dictionaries(NAMES, VALUES).map(
    lambda data: {"workspace_id": WORKSPACE, "operation_id": OPERATION, "generation": 1, **data}
)
EVENTS = some.builds(
    lambda data, kind, changes: {
        "specversion": "1.0",
        "id": "m-1",
        "source": "x",
        "type": kind,
        "data": data,
        **changes,
    },
    PLAIN,
    WORDS,
    some.dictionaries(NAMES, VALUES, max_size=2),
)
BODIES = some.one_of(
    some.binary(max_size=200),
    some.one_of(VALUES, PLAIN, EVENTS).map(lambda value: json.dumps(value).encode()),
    EVENTS.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "ignore")),
)
DELIVERIES = some.builds(
    Inbound,
    body=BODIES,
    queue=some.just("lifecycle.commands"),
    exchange=some.just("workspace.commands"),
    routing_key=TEXT,
    message_id=some.one_of(some.none(), TEXT),
    type=some.one_of(some.none(), TEXT),
    app_id=some.one_of(some.none(), TEXT),
    correlation_id=some.one_of(some.none(), TEXT),
    reply_to=some.one_of(some.none(), TEXT),
    content_type=some.one_of(some.sampled_from([None, CLOUDEVENTS]), TEXT),
    content_encoding=some.one_of(some.none(), some.just("utf-8"), TEXT),
    headers=some.dictionaries(some.one_of(some.just("traceparent"), TEXT), VALUES, max_size=2),
)
LIMITS = some.sampled_from([1, 50, MAX_BODY])


def assert_storable(origin: Origin) -> None:
    """See that everything kept of an envelope can be written to the database and sent on."""
    texts = [origin.message_id, origin.correlation_id, origin.reply_to, origin.traceparent]
    for text in (origin.key, origin.source, origin.app_id, *texts):
        assert text is None or (0 < len(text.encode()) <= 255 and "\x00" not in text)
    assert origin.action in {"pause", "resume"}
    assert len(origin.digest) == 32


class TestAnything:
    """Hostile input is read like any other."""

    @given(DELIVERIES, LIMITS)
    @example(delivered(b"[" * 60_000), MAX_BODY)
    @example(delivered(b"9" * 5_000), MAX_BODY)
    @example(delivered(b'{"max_affected": %s}' % (b"9" * 4_300)), MAX_BODY)
    def test_a_command_is_read_or_refused(self, inbound: Inbound, max_body: int) -> None:
        """A Command, a Problem or UnreadableError, never anything else, and the same each time."""
        try:
            read = read_command(inbound, max_body)
        except UnreadableError as error:
            assert_harmless(str(error))
            assert not {inbound.type, inbound.routing_key} & set(COMMANDS)
            return
        assert isinstance(read, Command | Problem)
        assert_storable(read.origin)
        if isinstance(read, Problem):
            assert_harmless(read.detail)
        else:
            assert read.origin.message_id is not None
            assert len(inbound.body) <= max_body
        assert read_command(inbound, max_body) == read

    @given(DELIVERIES, LIMITS)
    @example(delivered(b"[" * 60_000, type="workspace.stopped"), MAX_BODY)
    @example(delivered(b"9" * 5_000, type="workspace.stopped"), MAX_BODY)
    def test_a_result_is_read_or_refused(self, inbound: Inbound, max_body: int) -> None:
        """A Result or UnreadableError, never anything else."""
        try:
            read = read_result(inbound, max_body)
        except UnreadableError as error:
            assert_harmless(str(error))
            return
        assert isinstance(read, Result)
        assert 0 <= read.generation < 2**63
        assert "\x00" not in f"{read.code}{read.detail}{read.message_id}"

    @given(PLAIN)
    def test_both_forms_of_anything_mean_the_same(self, data: dict[str, Any]) -> None:
        """Valid or not, a command's form changes neither what it means nor what is said of it."""
        assume("NaN" not in json.dumps(data) and "Infinity" not in json.dumps(data))
        event = enveloped(dict(reversed(data.items())))
        assert read_command(delivered(data, app_id="console"), MAX_BODY) == read_command(
            event, MAX_BODY
        )


class TestResults:
    """What an executor answers."""

    @pytest.mark.parametrize(
        ("kind", "data", "outcome"),
        [
            ("workspace.stopped", RESULT, "succeeded"),
            ("workspace.started", RESULT, "succeeded"),
            ("workspace.stop.failed", FAILED, "failed"),
            ("workspace.start.failed", FAILED, "failed"),
            ("workspace.stop.failed", {**FAILED, "code": "superseded"}, "superseded"),
            ("workspace.start.failed", {**FAILED, "code": "superseded"}, "superseded"),
        ],
    )
    def test_each_type_is_an_outcome(self, kind: str, data: dict[str, Any], outcome: str) -> None:
        """Both forms are read, and a fenced order is no failure."""
        plain = read_result(delivered(data, type=kind), MAX_BODY)
        event = read_result(enveloped(data, type=kind), MAX_BODY)
        assert plain == event
        assert plain == Result(
            operation_id=UUID(OPERATION),
            workspace_id=UUID(WORKSPACE),
            generation=7,
            action="resume"
            if kind.startswith("workspace.start.") or kind.endswith(".started")
            else "pause",
            outcome=outcome,  # type: ignore[arg-type]  # one of its literals
            message_id="m-1",
            code=data.get("code"),
            detail=None,
        )

    def test_a_result_needs_no_id(self) -> None:
        """Operation, workspace and generation tell one result from another."""
        read = read_result(
            delivered(RESULT, message_id=None, routing_key="workspace.stopped"), MAX_BODY
        )
        assert read.message_id == ""

    @pytest.mark.parametrize("kind", [*COMMANDS, "workspace.stop", "workspace.pause.summary", ""])
    def test_what_is_no_result_is_unreadable(self, kind: str) -> None:
        """A valid body does not make a result of another type."""
        with pytest.raises(UnreadableError, match="no result type"):
            read_result(delivered(RESULT, type=kind, routing_key="x"), MAX_BODY)

    @pytest.mark.parametrize(
        "data",
        [
            {**RESULT, "generation": -1},
            {**RESULT, "generation": 2**63},
            {**RESULT, "generation": 7.0},
            {**RESULT, "detail": "a\x00b"},
            {**RESULT, "instance_id": "\ud800"},
            {**RESULT, "code": "x"},
            {name: value for name, value in RESULT.items() if name != "operation_id"},
            None,
            [],
        ],
    )
    def test_a_malformed_result_is_unreadable(self, data: object) -> None:
        """Nobody can be answered about it: it goes to the dead letters, saying why."""
        for inbound in (
            delivered(data, type="workspace.stopped"),
            enveloped(data, type="workspace.stopped"),
        ):
            with pytest.raises(UnreadableError, match="unreadable"):
                read_result(inbound, MAX_BODY)

    @pytest.mark.parametrize("name", ["code", "retryable"])
    def test_a_failure_says_why(self, name: str) -> None:
        """A failed stop without its code or its retryable is no result."""
        data = {key: value for key, value in FAILED.items() if key != name}
        with pytest.raises(UnreadableError, match=name):
            read_result(delivered(data, type="workspace.stop.failed"), MAX_BODY)

    def test_an_oversized_result_is_unreadable(self) -> None:
        """The limit holds for everything that is read."""
        with pytest.raises(UnreadableError, match="LIFECYCLE_MAX_BODY"):
            read_result(delivered(RESULT, type="workspace.stopped"), 10)
