"""The one table of message types: topology, routing, JSON Schema and AsyncAPI all read it."""

from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import TypeAdapter

from schemas.commands import PauseWorkspace, ResumeWorkspace, StartWorkspace, StopWorkspace
from schemas.events import Action, Corrected, Previewed, Progress, Rejected, Settled, Summary
from schemas.results import Started, StartFailed, StopFailed, Stopped

COMMANDS = "workspace.commands"
EVENTS = "workspace.events"
SOURCE = "workspace-lifecycle"

COMMANDS_QUEUE = "lifecycle.commands"
EXECUTOR_QUEUE = "lifecycle.executor"
RESULTS_QUEUE = "lifecycle.results"
AUDIT_STREAM = "lifecycle.audit"
TRIGGERS_QUEUE = "lifecycle.triggers"
DEAD_LETTER = "lifecycle.dead-letter"
IMPLICIT_CASCADE_HEADER = "X-Molecule-Implicit-Cascade"
OPERATION_HEADER = "x-operation-id"

Role = Literal["command", "executor-command", "result", "event"]


@dataclass(frozen=True, slots=True)
class MessageType:
    """One message type: what it is called, where it travels and what its `data` looks like."""

    name: str
    model: Any
    exchange: str
    role: Role
    queue: str | None
    summary: str

    @property
    def dataschema(self) -> str:
        """The CloudEvents `dataschema`, which is the `$id` of the generated JSON Schema."""
        return f"urn:workspace-lifecycle:schema:{self.name}:1"

    @property
    def adapter(self) -> TypeAdapter[Any]:
        """A validator and serialiser of `data`."""
        return _ADAPTERS[self.name]


def _command(name: str, model: Any, summary: str) -> MessageType:
    return MessageType(name, model, COMMANDS, "command", COMMANDS_QUEUE, summary)


def _order(name: str, model: Any, summary: str) -> MessageType:
    return MessageType(name, model, COMMANDS, "executor-command", EXECUTOR_QUEUE, summary)


def _result(name: str, model: Any, summary: str) -> MessageType:
    return MessageType(name, model, EVENTS, "result", RESULTS_QUEUE, summary)


def _event(name: str, model: Any, summary: str) -> MessageType:
    return MessageType(name, model, EVENTS, "event", None, summary)


CATALOG: tuple[MessageType, ...] = (
    _command("workspace.pause", PauseWorkspace, "Pause a workspace"),
    _command("workspace.resume", ResumeWorkspace, "Resume a workspace"),
    _order("workspace.stop", StopWorkspace, "Stop one workspace's machine"),
    _order("workspace.start", StartWorkspace, "Start one workspace's machine"),
    _result("workspace.stopped", Stopped, "The machine is stopped"),
    _result("workspace.started", Started, "The machine runs"),
    _result("workspace.stop.failed", StopFailed, "The machine was not stopped"),
    _result("workspace.start.failed", StartFailed, "The machine was not started"),
    _event("workspace.pause.rejected", Rejected, "The pause was refused; nothing changed"),
    _event("workspace.resume.rejected", Rejected, "The resume was refused; nothing changed"),
    _event("workspace.pause.summary", Summary, "The pause was carried into the database"),
    _event("workspace.resume.summary", Summary, "The resume was carried into the database"),
    _event("workspace.pause.previewed", Previewed, "What the pause would have done"),
    _event("workspace.resume.previewed", Previewed, "What the resume would have done"),
    _event("workspace.pause.settled", Settled, "Every stop has an outcome"),
    _event("workspace.resume.settled", Settled, "Every start has an outcome"),
    _event("workspace.pause.progress", Progress, "How far a large pause has come"),
    _event("workspace.resume.progress", Progress, "How far a large resume has come"),
    _event("workspace.pause.corrected", Corrected, "Stops that had timed out have an outcome"),
    _event("workspace.resume.corrected", Corrected, "Starts that had timed out have an outcome"),
)

BY_NAME: dict[str, MessageType] = {entry.name: entry for entry in CATALOG}
_ADAPTERS: dict[str, TypeAdapter[Any]] = {entry.name: TypeAdapter(entry.model) for entry in CATALOG}


def routed_to(queue: str) -> tuple[MessageType, ...]:
    """Name the message types that a queue takes in."""
    return tuple(entry for entry in CATALOG if entry.queue == queue)


def action_of(name: str | None) -> Action | None:
    """Tell which action a type is about: `workspace.pause.summary` is about `pause`."""
    word = (name or "").split(".")[1:2]
    return cast("Action", word[0]) if word in (["pause"], ["resume"]) else None
