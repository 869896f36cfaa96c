"""The triggers file: which events of other services ask for a pause or a resume, and of what."""

import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from annotated_types import Gt, MaxLen, MinLen
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from consumer.toml_file import read_file
from schemas.envelope import Short
from schemas.strict import Text
from schemas.topology import EXCHANGES

_PATH = re.compile(r"\$(\.[A-Za-z_][A-Za-z0-9_-]*)+")
_PATHS = "dotted names from $, as in $.data.workspace_id"


def _path(value: str) -> str:
    """Take the one form that there is: no indices, wildcards or filters, so that one value is."""
    if not _PATH.fullmatch(value):
        raise ValueError(f"is no path of the kind that is understood here: {_PATHS}")
    return value


def _reason(value: str) -> str:
    """Take what begins with $ as a path, which it then has to be."""
    return _path(value) if value.startswith("$") else value


def _foreign(value: str) -> str:
    """Refuse our own exchanges: what the program says must never make it act again."""
    if value in EXCHANGES:
        raise ValueError("is an exchange of this program: its own messages can be no trigger")
    return value


JsonPath = Annotated[str, AfterValidator(_path)]


class Trigger(BaseModel):
    """One rule: events of an exchange, by routing key, that ask for a command.

    Attributes:
        name: tells rules apart. It is part of each command's id: keep it.
        exchange: where the event is published first, declared by whoever does that.
        routing_key: as in a binding to a topic exchange, with `*` and `#`.
        workspace: where in the event's JSON the workspace's id stands.
        cascade: whether what is below it is included.
        max_affected: most workspaces that one command may change.
        reason: a text, or where in the event it stands.
        when: values that have to stand at places in the event; else nothing is done.
        app_id: as whom the command is sent; `trigger:` and the name where it is not given.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    name: Annotated[Short, MaxLen(60)]
    exchange: Annotated[Short, AfterValidator(_foreign)]
    routing_key: Short
    action: Literal["pause", "resume"]
    workspace: JsonPath
    cascade: bool = False
    max_affected: Annotated[int, Gt(0)] | None = None
    reason: Annotated[Text, MaxLen(1000), AfterValidator(_reason)] | None = None
    when: dict[JsonPath, str | int | float | bool] = Field(default_factory=dict)
    app_id: Short | None = None

    @property
    def sender(self) -> str:
        """As whom its commands are sent."""
        return self.app_id or f"trigger:{self.name}"

    def takes(self, exchange: str, routing_key: str) -> bool:
        """Tell whether an event that was published so is one of this rule's."""
        return exchange == self.exchange and routes(self.routing_key, routing_key)

    def holds(self, document: Any) -> bool:
        """Tell whether everything in `when` stands in an event."""
        return all(_equal(value_at(document, path), value) for path, value in self.when.items())

    def __str__(self) -> str:
        """Say the rule in a line."""
        members = (
            f"{self.action} {self.workspace}",
            "with cascade" if self.cascade else "",
            f"at most {self.max_affected}" if self.max_affected else "",
            *(f"when {path} is {value!r}" for path, value in self.when.items()),
        )
        what = ", ".join(filter(None, members))
        return f"{self.name}: {self.routing_key} on {self.exchange} -> {what}, as {self.sender}"


class Triggers(BaseModel):
    """The whole file. Each rule speaks for itself: one event may be of several."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    trigger: Annotated[tuple[Trigger, ...], MinLen(1)]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        counted = Counter(trigger.name for trigger in self.trigger)
        twice = [name for name, count in counted.items() if count > 1]
        if twice:
            raise ValueError(f"two triggers have the name {twice[0]!r}")
        return self

    @property
    def bindings(self) -> tuple[tuple[str, str], ...]:
        """What the queue has to be bound to, as (exchange, key)."""
        return tuple(dict.fromkeys((one.exchange, one.routing_key) for one in self.trigger))

    @property
    def exchanges(self) -> tuple[str, ...]:
        """The exchanges that are named."""
        return tuple(dict.fromkeys(one.exchange for one in self.trigger))


def read_triggers(path: Path) -> Triggers:
    """Read a triggers file.

    Raises:
        ValueError: it cannot be read, is no TOML, or says something that is not known here.

    """
    return read_file(path, Triggers)


def value_at(document: Any, path: str) -> Any:
    """Give what stands at a path; None where nothing does."""
    value = document
    for name in path.split(".")[1:]:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def routes(pattern: str, routing_key: str) -> bool:
    """Tell whether a topic exchange would route a key by a pattern: `*` a word, `#` any number."""
    return _routes(_words(pattern), _words(routing_key))


def _words(key: str) -> list[str]:
    return key.split(".") if key else []


def _routes(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    head, *rest = pattern
    if head == "#":
        return any(_routes(rest, words[skipped:]) for skipped in range(len(words) + 1))
    return bool(words) and head in {"*", words[0]} and _routes(rest, words[1:])


def _equal(found: Any, value: str | float | bool) -> bool:
    """Compare as JSON does: true is not 1."""
    return isinstance(found, bool) == isinstance(value, bool) and bool(found == value)
