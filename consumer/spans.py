"""What is traced, for whoever traces: telemetry installs a tracer. Free where none is.

A `traceparent` (W3C Trace Context) is handed on as it came where nobody traces, and is that of our
own span where somebody does.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from typing import Literal, NamedTuple, Protocol

from consumer.message import Inbound, Outbound

HEADER = "traceparent"


def _ignored(_: str) -> None:
    """Take no note of what failed."""


class Span(NamedTuple):
    """Something that takes time.

    Attributes:
        traceparent: what follows from it is to carry.
        fail: notes that it failed without raising, and why.

    """

    traceparent: str | None
    fail: Callable[[str], None] = _ignored


class Tracer(Protocol):
    """Makes spans."""

    def process(self, inbound: Inbound, parent: str | None) -> AbstractContextManager[Span]:
        """Trace the handling of a message; `parent` is what it said of its trace."""

    def publish(self, outbound: Outbound) -> AbstractContextManager[Span]:
        """Trace a message on its way to the broker; its header or else the block is its parent."""

    def call(
        self, name: Literal["stop", "start"], parents: Sequence[str | None]
    ) -> AbstractContextManager[Span]:
        """Trace one call of EC2 that is made for several orders."""


Traced = tuple[Sequence[Outbound], Sequence[Span]]
_tracers: list[Tracer] = []


@contextmanager
def tracing(tracer: Tracer) -> Iterator[None]:
    """Have a tracer trace for the time of a block."""
    _tracers.append(tracer)
    try:
        yield
    finally:
        _tracers.remove(tracer)


def processing(inbound: Inbound, traceparent: str | None) -> AbstractContextManager[Span]:
    """Handle a message inside; `traceparent` is what its body said.

    A header goes before it: it tells of the message's last way, the body of where it was made.
    (CloudEvents, Distributed Tracing extension.)
    """
    if not _tracers:
        return nullcontext(Span(traceparent))
    header = inbound.headers.get(HEADER)
    return _tracers[-1].process(inbound, header if isinstance(header, str) else traceparent)


def publishing(batch: Sequence[Outbound]) -> AbstractContextManager[Traced]:
    """Publish a batch inside: as it is, or each message with a span of its own that it carries."""
    return _publishing(batch) if _tracers else nullcontext((batch, ()))


@contextmanager
def _publishing(batch: Sequence[Outbound]) -> Iterator[Traced]:
    with ExitStack() as open_spans:
        spans = [open_spans.enter_context(_tracers[-1].publish(one)) for one in batch]
        yield [_carrying(one, span) for one, span in zip(batch, spans, strict=True)], spans


def calling(
    name: Literal["stop", "start"], parents: Sequence[str | None]
) -> AbstractContextManager[Span]:
    """Ask EC2 inside, on behalf of orders with these traces."""
    return _tracers[-1].call(name, parents) if _tracers else nullcontext(Span(None))


def _carrying(message: Outbound, span: Span) -> Outbound:
    return replace(message, headers={**message.headers, HEADER: span.traceparent})
