"""A collector of traces: OTLP over HTTP, as OpenTelemetry's own."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


@dataclass(frozen=True)
class Collected:
    """One span as it was received; ids in hex, `parent` empty where there is none."""

    name: str
    kind: int
    trace: str
    id: str
    parent: str
    links: tuple[str, ...]
    failed: bool
    service: str
    attributes: dict[str, object]


@dataclass
class Collector:
    """What was received so far."""

    url: str = ""
    spans: list[Collected] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def receive(self, request: web.Request) -> web.Response:
        """Take one export in."""
        body = await request.read()
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        asked = ExportTraceServiceRequest.FromString(body)
        async with self._news:
            for group in asked.resource_spans:
                service = next(
                    one.value.string_value
                    for one in group.resource.attributes
                    if one.key == "service.name"
                )
                for scope in group.scope_spans:
                    self.spans += [_collected(one, service) for one in scope.spans]
            self._news.notify_all()
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    async def until(self, so: Callable[[list[Collected]], bool]) -> list[Collected]:
        """Wait for enough spans."""
        async with self._news, asyncio.timeout(20):
            await self._news.wait_for(lambda: so(self.spans))
        return self.spans

    def named(self, name: str) -> list[Collected]:
        """Give the spans of a name."""
        return [one for one in self.spans if one.name == name]


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """Run a collector for the time of a block."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.receive)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield collector
    finally:
        await runner.cleanup()


def _collected(span: Span, service: str) -> Collected:
    attributes = {
        one.key: getattr(one.value, one.value.WhichOneof("value") or "") for one in span.attributes
    }
    return Collected(
        name=span.name,
        kind=span.kind,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        links=tuple(one.span_id.hex() for one in span.links),
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        service=service,
        attributes=attributes,
    )
