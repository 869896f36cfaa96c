"""JSON Schema files and an AsyncAPI 3.1 document, generated from the catalog and the topology."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.catalog import (
    CATALOG,
    IMPLICIT_CASCADE_HEADER,
    OPERATION_HEADER,
    SOURCE,
    MessageType,
)
from schemas.envelope import CLOUDEVENTS, SHORT_STRING
from schemas.topology import QUEUES, Queue

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REPLIES = "replies"
_ANSWERS = ("rejected", "summary", "previewed")
_STRING = {"type": "string"}
_SHORT = {"type": "string", "minLength": 1, "maxLength": SHORT_STRING}
_ENVELOPE = "cloudevent.schema.json"


def documents() -> Mapping[str, str]:
    """Give the text of every generated file by its name. The same code gives the same bytes."""
    files = {f"{kind.name}.schema.json": _schema(kind) for kind in CATALOG}
    files |= {_ENVELOPE: _envelope(), "asyncapi.json": _asyncapi()}
    return {
        name: json.dumps(files[name], indent=2, ensure_ascii=False, sort_keys=True) + "\n"
        for name in sorted(files)
    }


def write(folder: Path) -> list[Path]:
    """Write every file into a folder, which is made where it is missing; give their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in documents().items():
        (folder / name).write_bytes(text.encode())
        written.append(folder / name)
    return written


def stale(folder: Path) -> list[str]:
    """Name the files in a folder that are missing, differ, or should not be there."""
    wanted = documents()
    there = {path.name for path in folder.glob("*.json")}
    differing = [
        name
        for name, text in wanted.items()
        if name not in there or (folder / name).read_bytes() != text.encode()
    ]
    return sorted({*differing, *(there - set(wanted))})


def _schema(kind: MessageType) -> dict[str, Any]:
    """Describe the `data` of one message type."""
    generated = kind.adapter.json_schema(mode="validation" if _inbound(kind) else "serialization")
    # OpenAPI's word, which JSON Schema does not know and AsyncAPI has with another meaning.
    generated.pop("discriminator", None)
    named = {"$schema": _DIALECT, "$id": kind.dataschema, "title": kind.name}
    return {"description": f"{kind.summary}.", **generated, **named}


def _inbound(kind: MessageType) -> bool:
    return kind.role in {"command", "result"}


def _asyncapi() -> dict[str, Any]:
    return {
        "asyncapi": "3.1.0",
        "id": "urn:workspace-lifecycle",
        "info": {
            "title": "workspace-lifecycle",
            "version": "1",
            "description": "Pauses and resumes trees of running workspaces by message.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CLOUDEVENTS,
        "servers": {
            "rabbitmq": {
                "host": "rabbitmq.example.com:5672",
                "protocol": "amqp",
                "protocolVersion": "0.9.1",
            }
        },
        "channels": {kind.name: _channel(kind) for kind in CATALOG}
        | {queue.name: _queue(queue) for queue in QUEUES}
        | {_REPLIES: _reply_channel()},
        "operations": {f"{_verb(kind)}.{kind.name}": _operation(kind) for kind in CATALOG},
        "components": {"messages": {kind.name: _message(kind) for kind in CATALOG}},
    }


def _verb(kind: MessageType) -> str:
    return "receive" if _inbound(kind) else "send"


def _channel(kind: MessageType) -> dict[str, Any]:
    """Describe the routing key of one message type on its exchange."""
    return {
        "address": kind.name,
        "title": kind.summary,
        "messages": {kind.name: {"$ref": f"#/components/messages/{kind.name}"}},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {
                    "name": kind.exchange,
                    "type": "topic",
                    "durable": True,
                    "autoDelete": False,
                },
                "bindingVersion": "0.3.0",
            }
        },
    }


def _queue(queue: Queue) -> dict[str, Any]:
    """Describe one queue the program declares. Its arguments have no field of their own."""
    taken = {kind.name for kind in CATALOG} & {key for _, key in queue.bindings}
    return {
        "address": queue.name,
        "title": f"Bound to {', '.join(sorted({exchange for exchange, _ in queue.bindings}))}",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in sorted(taken)},
        "bindings": {
            "amqp": {
                "is": "queue",
                "queue": {
                    "name": queue.name,
                    "durable": True,
                    "exclusive": False,
                    "autoDelete": False,
                },
                "bindingVersion": "0.3.0",
            }
        },
        "x-arguments": dict(sorted(queue.arguments.items())),
    }


def _reply_channel() -> dict[str, Any]:
    answers = [kind.name for kind in CATALOG if kind.name.endswith(_ANSWERS)]
    return {
        "address": None,
        "title": "The caller's own reply queue, by the default exchange",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in answers},
    }


def _operation(kind: MessageType) -> dict[str, Any]:
    channel = f"#/channels/{kind.name}"
    operation: dict[str, Any] = {
        "action": _verb(kind),
        "channel": {"$ref": channel},
        "summary": kind.summary,
        "messages": [{"$ref": f"{channel}/messages/{kind.name}"}],
        "bindings": {
            "amqp": {"deliveryMode": 2, "mandatory": not _inbound(kind), "bindingVersion": "0.3.0"}
        },
    }
    if kind.role == "command":
        operation["reply"] = {
            "address": {"location": "$message.header#/replyTo"},
            "channel": {"$ref": f"#/channels/{_REPLIES}"},
            "messages": [
                {"$ref": f"#/channels/{_REPLIES}/messages/{kind.name}.{answer}"}
                for answer in _ANSWERS
            ],
        }
    return operation


def _message(kind: MessageType) -> dict[str, Any]:
    message: dict[str, Any] = {
        "name": kind.name,
        "title": kind.summary,
        "contentType": CLOUDEVENTS,
        "headers": _headers(kind),
        "payload": _event(kind),
        "bindings": {"amqp": {"messageType": kind.name, "bindingVersion": "0.3.0"}},
    }
    if kind.role != "result":
        message["correlationId"] = {"location": "$message.payload#/correlationid"}
    return message


def _headers(kind: MessageType) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    if kind.role == "command":
        properties["replyTo"] = {**_STRING, "description": "direct reply-to, or an allowed queue"}
    else:
        properties[OPERATION_HEADER] = {**_STRING, "format": "uuid"}
    if kind.name.endswith(("summary", "previewed")):
        properties[IMPLICIT_CASCADE_HEADER] = {"const": "deprecated"}
    return {"type": "object", "properties": properties}


def _event(kind: MessageType) -> dict[str, Any]:
    """Describe the whole body of one message type: the envelope, narrowed, and its data."""
    narrowed = {
        "type": {"const": kind.name},
        "dataschema": {"const": kind.dataschema},
        "data": {"$ref": f"{kind.name}.schema.json"},
    }
    if not _inbound(kind):
        narrowed["source"] = {"const": SOURCE}
    return {"type": "object", "allOf": [{"$ref": _ENVELOPE}], "properties": narrowed}


def _envelope() -> dict[str, Any]:
    """Describe CloudEvents 1.0 structured JSON as it is read and written here."""
    return {
        "$schema": _DIALECT,
        "$id": "urn:workspace-lifecycle:schema:cloudevent:1",
        "title": "cloudevent",
        "description": "CloudEvents 1.0 in structured JSON. Extensions not named here are allowed.",
        "type": "object",
        "required": ["specversion", "id", "source", "type", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {
                **_SHORT,
                "description": "with source: the same message, however often it comes",
            },
            "source": _SHORT,
            "type": _SHORT,
            "subject": {**_STRING, "description": "the workspace id"},
            "time": {**_STRING, "format": "date-time"},
            "datacontenttype": {**_STRING, "pattern": "^application/json(;.*)?$"},
            "dataschema": {**_STRING, "description": "the $id of the schema of data"},
            "operationid": {**_STRING, "format": "uuid"},
            "correlationid": {**_SHORT, "description": "the command's"},
            "causationid": {**_SHORT, "description": "the id of the message that caused this one"},
            "traceparent": {**_SHORT, "description": "W3C Trace Context"},
            "data": {"description": "see dataschema"},
        },
    }
