"""Bytes in: one command or one problem out, whatever the bytes."""

import json
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.intake import read_command, read_result
from consumer.message import Inbound, UnreadableError
from consumer.operation import Command, Problem
from schemas.envelope import CLOUDEVENTS

ID = str(uuid4())
LIMIT = 65_536


def inbound(body: bytes, **properties: Any) -> Inbound:
    """Deliver a body as a pause, in the plain form."""
    defaults = {
        "queue": "lifecycle.commands",
        "exchange": "workspace.commands",
        "routing_key": "workspace.pause",
        "message_id": "m",
        "app_id": "app",
    }
    return Inbound(body=body, **(defaults | properties))


def test_either_encoding_and_any_spelling_mean_the_same() -> None:
    """The same data is the same command: plain or CloudEvent, in any order and spacing."""
    plain = read_command(inbound(f'{{"workspace_id":"{ID}","cascade":true}}'.encode()), LIMIT)
    event = {
        "specversion": "1.0", "id": "m", "source": "app", "type": "workspace.pause",
        "data": {"cascade": True, "workspace_id": ID},
    }  # fmt: skip
    body = json.dumps(event, indent=3).encode()
    structured = read_command(
        inbound(body, content_type=CLOUDEVENTS + "; charset=utf-8", message_id="other"), LIMIT
    )
    assert isinstance(plain, Command)
    assert isinstance(structured, Command)
    assert plain.data == structured.data
    assert plain.origin.digest == structured.origin.digest
    assert (plain.origin.source, plain.origin.key) == (
        structured.origin.source,
        structured.origin.key,
    )


def test_another_action_is_another_meaning() -> None:
    """A pause and a resume of the same workspace are not one command under one id."""
    body = f'{{"workspace_id":"{ID}"}}'.encode()
    pause = read_command(inbound(body), LIMIT)
    resume = read_command(inbound(body, routing_key="workspace.resume"), LIMIT)
    assert pause.origin.digest != resume.origin.digest


@pytest.mark.parametrize("message_id", [None, "", "x" * 256, "é" * 128, "a\x00b", "\ud800"])
def test_an_id_that_cannot_be_used_is_no_id(message_id: str | None) -> None:
    """An id has to fit an AMQP short string and PostgreSQL's text."""
    body = f'{{"workspace_id":"{ID}"}}'.encode()
    read = read_command(inbound(body, message_id=message_id), LIMIT)
    assert isinstance(read, Problem)
    assert str(read.workspace_id) == ID
    assert read.origin.key.startswith("sha256:")


def test_an_oversized_body_is_not_parsed() -> None:
    """What is over the limit is refused for its size, be it JSON or not."""
    read = read_command(inbound(b"\xff" * (LIMIT + 1)), LIMIT)
    assert isinstance(read, Problem)
    assert "65537 bytes" in read.detail


def test_where_no_action_is_known_nobody_can_be_answered() -> None:
    """Neither type nor routing key says what was meant: a dead letter, not a guess."""
    with pytest.raises(UnreadableError, match="nonsense"):
        read_command(inbound(b"{}", routing_key="lifecycle.commands", type="nonsense"), LIMIT)


def test_a_foreign_type_on_our_routing_key_is_a_problem() -> None:
    """A message that says it is something else is not taken for a pause."""
    read = read_command(inbound(f'{{"workspace_id":"{ID}"}}'.encode(), type="order.paid"), LIMIT)
    assert isinstance(read, Problem)
    assert "order.paid" in read.detail


TEXTS = st.none() | st.text(max_size=300)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
BODIES = (
    st.binary(max_size=200)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(
        st.sampled_from(["workspace_id", "cascade", "dry_run", "if_match", "not_after", "x"]),
        st.just(ID) | JSON,
    ).map(lambda value: json.dumps(value).encode())
)


@given(
    body=BODIES,
    message_id=TEXTS,
    app_id=TEXTS,
    correlation_id=TEXTS,
    reply_to=TEXTS,
    content_type=st.sampled_from([None, "application/json", CLOUDEVENTS, "x"]),
    content_encoding=st.sampled_from([None, "utf-8", "gzip"]),
    headers=st.dictionaries(st.sampled_from(["traceparent", "x"]), st.none() | st.text()),
)
def test_whatever_comes_is_a_command_or_a_problem(**properties: Any) -> None:
    """Nothing else is raised, and no problem's text breaks a line or repeats a long input."""
    read = read_command(inbound(**properties), LIMIT)
    assert isinstance(read, Command | Problem)
    for text in (read.origin.key, read.origin.source, read.origin.app_id):
        assert "\x00" not in text
        assert len(text.encode()) <= 255
    if isinstance(read, Problem):
        assert "\n" not in read.detail
        assert len(read.detail) < 500


@given(body=BODIES, kind=st.sampled_from(["workspace.stopped", "workspace.pause", "x"]))
def test_whatever_comes_as_a_result_is_one_or_unreadable(body: bytes, kind: str) -> None:
    """What is no result is said to be unreadable, and nothing else is raised."""
    with pytest.raises(UnreadableError):
        read_result(inbound(body, type=kind, queue="lifecycle.results"), LIMIT)
