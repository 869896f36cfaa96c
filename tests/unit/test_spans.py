"""Spans are made by whoever traces; where nobody does, nothing changes hands."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import pytest

from consumer.message import Inbound, Outbound
from consumer.spans import Span, calling, processing, publishing, tracing


class Noting:
    """A tracer that notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, object]] = []
        self.failed: list[str] = []

    @contextmanager
    def process(self, inbound: Inbound, parent: str | None) -> Iterator[Span]:
        """Note the parent of a message's handling."""
        assert inbound.queue == "q"
        self.asked.append(("process", parent))
        yield Span("ours")

    @contextmanager
    def publish(self, outbound: Outbound) -> Iterator[Span]:
        """Note what is published."""
        self.asked.append(("publish", outbound.message_id))
        yield Span(f"of {outbound.message_id}", self.failed.append)

    @contextmanager
    def call(self, name: Literal["stop", "start"], parents: Sequence[str | None]) -> Iterator[Span]:
        """Note for whom EC2 is asked."""
        self.asked.append((name, [*parents]))
        yield Span("ours")


def inbound(**headers: str) -> Inbound:
    """Give a delivery."""
    return Inbound(body=b"", queue="q", exchange="e", routing_key="k", headers=headers)


def outbound(identity: str, **headers: str) -> Outbound:
    """Give a message."""
    return Outbound(
        exchange="e", routing_key="k", body=b"", message_id=identity, type=None, headers=headers
    )


@pytest.fixture
def noting() -> Iterator[Noting]:
    """Trace with a tracer that notes."""
    tracer = Noting()
    with tracing(tracer):
        yield tracer


def test_where_nobody_traces_everything_is_as_it_came() -> None:
    """The body's traceparent is handed on, whatever the header says; messages are the same."""
    with processing(inbound(traceparent="header"), "body") as span:
        assert span.traceparent == "body"
    batch = [outbound("m-1", traceparent="kept")]
    with publishing(batch) as (messages, spans):
        assert messages is batch
        assert spans == ()
    with calling("stop", ["body"]) as span:
        span.fail("which nobody hears")


def test_a_header_goes_before_the_body(noting: Noting) -> None:
    """It is the parent of what is done, and what follows carries our own span."""
    for headers in ({"traceparent": "header"}, {}):
        with processing(inbound(**headers), "body") as span:
            assert span.traceparent == "ours"
    assert noting.asked == [("process", "header"), ("process", "body")]


def test_each_message_carries_its_own_span(noting: Noting) -> None:
    """Beside its other headers; the messages that were given stay as they are."""
    batch = [outbound("m-1", traceparent="theirs"), outbound("m-2", other="kept")]
    with publishing(batch) as (messages, spans):
        spans[1].fail("returned")
    assert [one.headers for one in messages] == [
        {"traceparent": "of m-1"},
        {"traceparent": "of m-2", "other": "kept"},
    ]
    assert batch[0].headers == {"traceparent": "theirs"}
    assert noting.failed == ["returned"]


def test_a_tracer_traces_for_its_block_alone(noting: Noting) -> None:
    """Also where that fails; another one may be within it."""
    other = Noting()
    with pytest.raises(ValueError, match="no"), tracing(other):
        raise ValueError("no")
    with calling("start", ["a", None]):
        pass
    assert (noting.asked, other.asked) == ([("start", ["a", None])], [])
