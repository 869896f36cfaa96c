"""Spans by OpenTelemetry's semantic conventions for messaging, sent to a collector by OTLP."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, get_current_span
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from consumer.message import Inbound, Outbound
from consumer.spans import HEADER, Span
from schemas.catalog import OPERATION_HEADER, SOURCE

_W3C = TraceContextTextMapPropagator()
_OPERATION = "workspace_lifecycle.operation.id"
_ANONYMOUS = "(anonymous)"
Attributes = dict[str, str | int | bool]


class OtelTracer:
    """Makes spans with a provider of its own. Endpoint, headers, sampler are OTEL_* variables."""

    def __init__(self) -> None:
        said = OTELResourceDetector().detect().attributes.get(SERVICE_NAME, SOURCE)
        self._provider = TracerProvider(
            resource=Resource.create({SERVICE_NAME: said}), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer(SOURCE)

    async def close(self) -> None:
        """Send what is left, off the loop; a collector that is away is not waited for long."""
        await asyncio.to_thread(self._provider.shutdown)

    @contextmanager
    def process(self, inbound: Inbound, parent: str | None) -> Iterator[Span]:
        """Trace the handling of a message."""
        place = _place(inbound.exchange, inbound.routing_key, inbound.queue)
        told = _messaging("process", "process", place, inbound) | {
            "messaging.message.body.size": len(inbound.body)
        }
        with self._span(f"process {place}", SpanKind.CONSUMER, _context(parent), told) as span:
            yield span

    @contextmanager
    def publish(self, outbound: Outbound) -> Iterator[Span]:
        """Trace a message on its way to the broker."""
        named = bool(outbound.exchange)
        place = _place(outbound.exchange, outbound.routing_key)
        told = _messaging("publish", "send", place, outbound) | {
            "messaging.message.body.size": len(outbound.body)
        }
        if not named:
            told |= {"messaging.destination.anonymous": True}
        said = outbound.headers.get(HEADER)
        context = _context(said) if isinstance(said, str) else None
        name = f"publish {place if named else _ANONYMOUS}"
        with self._span(name, SpanKind.PRODUCER, context, told) as span:
            yield span

    @contextmanager
    def call(self, name: Literal["stop", "start"], parents: Sequence[str | None]) -> Iterator[Span]:
        """Trace one call of EC2: below the first order's span, and linked to the others'."""
        contexts = [_context(parent) for parent in dict.fromkeys(parents) if parent]
        links = [Link(get_current_span(one).get_span_context()) for one in contexts[1:]]
        method = f"{name.title()}Instances"
        told: Attributes = {
            "rpc.system": "aws-api",
            "rpc.service": "EC2",
            "rpc.method": method,
            "workspace_lifecycle.order.count": len(parents),
        }
        first = contexts[0] if contexts else Context()
        with self._span(f"EC2/{method}", SpanKind.CLIENT, first, told, links) as span:
            yield span

    @contextmanager
    def _span(
        self,
        name: str,
        kind: SpanKind,
        context: Context | None,
        attributes: Attributes,
        links: Sequence[Link] = (),
    ) -> Iterator[Span]:
        with self._tracer.start_as_current_span(
            name, context=context, kind=kind, attributes=attributes, links=links
        ) as span:
            yield Span(_traceparent(span), lambda why: span.set_status(_failed(why)))


def _failed(why: str) -> Status:
    return Status(StatusCode.ERROR, why)


def _context(traceparent: str | None) -> Context:
    """Read what a message said; what cannot be read begins a trace of its own."""
    return _W3C.extract({HEADER: traceparent} if traceparent else {}, Context())


def _traceparent(span: OtelSpan) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _place(*parts: str) -> str:
    """Name a destination: what is not empty of exchange, routing key and queue, each once."""
    return ":".join(dict.fromkeys(part for part in parts if part))


def _messaging(name: str, kind: str, place: str, message: Inbound | Outbound) -> Attributes:
    operation = message.headers.get(OPERATION_HEADER)
    told: dict[str, str | None] = {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": name,
        "messaging.operation.type": kind,
        "messaging.destination.name": place,
        "messaging.rabbitmq.destination.routing_key": message.routing_key or None,
        "messaging.message.id": message.message_id,
        "messaging.message.conversation_id": message.correlation_id,
        _OPERATION: operation if isinstance(operation, str) else None,
    }
    return {key: value for key, value in told.items() if value is not None}
