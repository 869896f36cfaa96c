"""docs/reference, written from the code: `make reference`. A test compares."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from inspect import cleandoc
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import click

from consumer.cli.lazy import INTERRUPTED
from consumer.cli.main import cli
from consumer.cli.outcome import EXIT_CODES, FAILED, NO_ANSWER
from schemas.catalog import BY_NAME, CATALOG, SOURCE, MessageType, Role
from schemas.envelope import Attributes, write
from schemas.problems import Code
from tests.unit.samples import OPERATION, SAMPLES, WORKSPACE

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
_MADE = "<!-- Made from the code by `make reference`: change that, not this. -->"
_STOP_ID = "0b7a9a52-3f0e-5d1c-8c69-7f1d2e4b6a80"
_PROBLEMS = """\
# Problem codes

Why a command was refused: `code` in a `rejected` event, with RFC 9457's `type`, `title`,
`detail` and `status` beside it. Where several apply, the first of this list is the answer.
Nothing was changed. A refusal is stored under the command's id like any other answer, so
whoever tries again uses a new id."""
_CLI = """\
# Command line

`workspace-lifecycle`, or `python -m consumer`. What it needs comes from the environment:
[settings](../settings.md).

## Exit codes
"""
_MESSAGES = """\
# Messages

Everything outbound is [CloudEvents 1.0](https://cloudevents.io) in structured JSON. Commands and
results are read in that form and in the plain one: the body is `data` alone, and the AMQP
properties `message_id`, `type` (or else the routing key), `app_id` and `timestamp` say the rest.
The routing key is the type. As JSON Schema and AsyncAPI:
[schemas/generated](../../schemas/generated). A whole one:
"""
_OF_DATA = """\
The examples below are of `data`. Unknown fields are refused, and so is a null in a command.
"""
_WAYS: Mapping[Role, str] = {
    "command": "from anybody to the program",
    "executor-command": "from the program to the executor",
    "result": "from the executor to the program",
    "event": "from the program to whoever listens",
}


class Advice(NamedTuple):
    """When a code is given, and what its caller should do."""

    when: str
    what: str


WHEN_AND_WHAT: Mapping[Code, Advice] = {
    Code.INVALID_COMMAND: Advice(
        "The body is no JSON of this shape, is too large or too deep, has an unknown or a null "
        "field, or comes without an id; or `undo` names no pause of this workspace.",
        "Mend the command: `detail` names the field. The same bytes get the same answer.",
    ),
    Code.ID_REUSED: Advice(
        "This source sent another body under this id before.",
        "Give each new command an id of its own. An id is kept only to send the same once more.",
    ),
    Code.EXPIRED: Advice(
        "The command was still waiting when its `not_after` passed.",
        "Ask whether it is still wanted; then send it under a new id with a later `not_after`.",
    ),
    Code.FORBIDDEN: Advice(
        "`LIFECYCLE_ALLOW_APPS` does not match the sender, or a rule of the policy file refuses "
        "the action, the cascade, the workspace, or the pace.",
        "`detail` names the rule. Over its rate: wait the seconds it says, then use a new id. "
        "Else have the operator change the policy ([security](../security.md)).",
    ),
    Code.WORKSPACE_NOT_FOUND: Advice(
        "There is no such workspace, or it is `removed`.",
        "Look at `workspace-lifecycle tree`. Do not repeat it: a removed workspace stays removed.",
    ),
    Code.ANCESTOR_PAUSED: Advice(
        "A resume was asked for below a paused workspace: `ancestor` is the nearest one.",
        "Resume that one first, with `cascade` where all of it is meant.",
    ),
    Code.TREE_CHANGED: Advice(
        "The workspaces that would change are no longer those of `if_match`.",
        "Look at the new list; if it is still wanted, send its `tree_etag` under a new id.",
    ),
    Code.DESCENDANTS_EXIST: Advice(
        "Workspaces below the named one would change too, and `cascade` is not true.",
        "Decide: `descendants` lists them. To mean exactly these, send `cascade=true` and "
        "`if_match` with this `tree_etag`, under a new id.",
    ),
    Code.BLAST_RADIUS_EXCEEDED: Advice(
        "More would change than `max_affected`, `LIFECYCLE_MAX_CASCADE` or the policy file allow.",
        "Pause smaller trees one by one, or raise the cap that is yours. `descendant_count` tells "
        "how many there are below.",
    ),
}


def pages() -> Mapping[str, str]:
    """Give the text of every page by its name. The same code gives the same bytes."""
    written = {"cli.md": _cli(), "messages.md": _messages(), "problems.md": _problems()}
    return {name: "\n".join((_MADE, "", *lines, "")) for name, lines in written.items()}


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def _problems() -> Iterator[str]:
    yield _PROBLEMS
    for code in Code:
        advice = WHEN_AND_WHAT[code]
        yield from ("", f"## `{code.value}`", "", f"{code.heading}.", "")
        yield from table(
            ("", ""),
            (
                ("status", str(code.status)),
                ("type", f"`{code.type}`"),
                ("when", advice.when),
                ("what to do", advice.what),
                ("exit code of `pause` and `resume`", str(EXIT_CODES[code.status])),
            ),
        )


def _cli() -> Iterator[str]:
    yield _CLI
    statuses: dict[int, list[int]] = {}
    for status, exit_code in EXIT_CODES.items():
        statuses.setdefault(exit_code, []).append(status)
    refused = {
        exit_code: "refused: " + ", ".join(f"`{one.value}`" for one in Code if one.status in given)
        for exit_code, given in statuses.items()
    }
    yield from table(
        ("code", "meaning"),
        (
            (str(number), meaning)
            for number, meaning in sorted(
                {
                    **refused,
                    0: "done",
                    1: "what can be expected to go wrong, in one line on standard error",
                    2: f"wrong usage; {refused[2]}",
                    4: f"{refused[4]}; no such operation, or dead letter",
                    FAILED: "settled, and a machine failed or timed out (`--wait`, `watch`)",
                    NO_ANSWER: "no answer within `--timeout`; `replay --verify` found something",
                    INTERRUPTED: "ended by Ctrl-C",
                }.items()
            )
        ),
    )
    yield from ("", "## Verbs", "")
    verbs = [*_verbs()]
    yield from table(
        ("verb", "what it does"),
        ((f"[`{name}`](#{name.replace(' ', '-')})", _line(one)) for name, one in verbs),
    )
    for name, command in verbs:
        yield from _verb(name, command)


def _verbs() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        if isinstance(command, click.Group):
            for inner, verb in command.commands.items():
                yield f"{name} {inner}", verb
        elif command is not None:
            yield name, command


def _line(command: click.Command) -> str:
    return _help(command).partition("\n\n")[0].replace("\n", " ")


def _help(command: click.Command) -> str:
    return cleandoc(command.help or "")


def _verb(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=f"workspace-lifecycle {name}")
    usage = " ".join((context.command_path, *command.collect_usage_pieces(context)))
    yield from ("", f"## {name}", "", f"`{usage}`", "", *_help(command).splitlines(), "")
    options = (one.get_help_record(context) for one in command.params)
    found = [(f"`{flag}`", text) for flag, text in filter(None, options)]
    if found:
        yield from table(("option", "meaning"), found)
    else:
        yield "It has no options."


def _messages() -> Iterator[str]:
    stop = BY_NAME["workspace.stop"]
    attributes = Attributes(
        id=_STOP_ID,
        source=SOURCE,
        type=stop.name,
        subject=WORKSPACE,
        operation_id=OPERATION,
        correlation_id="b1",
        causation_id="b1",
        dataschema=stop.dataschema,
    )
    body = json.loads(write(attributes, _sample(stop)))
    yield from (_MESSAGES, *_json(body), "", _OF_DATA)
    groups = [[*group] for _, group in groupby(CATALOG, _shape)]
    yield from table(
        ("type", "what it says", "exchange", "way"),
        (
            (f"[`{kind.name}`](#{_anchor(group)})", kind.summary, f"`{kind.exchange}`", _way(kind))
            for group in groups
            for kind in group
        ),
    )
    shapes: dict[str, Any] = {}
    for group in groups:
        yield from _kind(group, shapes)
    yield from ("", "## Shapes within", "")
    for name in sorted(shapes):
        yield from (f"### {name}", "", shapes[name]["description"], "", *_fields(shapes[name]), "")


def _way(kind: MessageType) -> str:
    return _WAYS[kind.role] + (f", in `{kind.queue}`" if kind.queue else "")


def _shape(kind: MessageType) -> str:
    """Tell what messages of one group have in common: role and members."""
    schema = _schema(kind)
    members = [schema.get(part) for part in ("properties", "oneOf", "$defs")]
    return json.dumps([kind.role, members], sort_keys=True)


def _heading(group: Iterable[MessageType]) -> str:
    return ", ".join(kind.name for kind in group)


def _anchor(group: Iterable[MessageType]) -> str:
    """Name a heading as forges do."""
    return _heading(group).replace(".", "").replace(",", "").replace(" ", "-")


@cache
def _schema(kind: MessageType) -> Any:
    """Give the JSON Schema with its members in the order of the model."""
    read = kind.role in {"command", "result"}
    return kind.adapter.json_schema(mode="validation" if read else "serialization")


def _sample(kind: MessageType) -> Any:
    return kind.adapter.validate_json(json.dumps(SAMPLES[kind.name]))


def _kind(group: list[MessageType], shapes: dict[str, Any]) -> Iterator[str]:
    schema = _schema(group[0])
    defined = dict(schema.get("$defs", {}))
    either = [defined.pop(one["$ref"].rpartition("/")[2]) for one in schema.get("oneOf", ())]
    yield from ("", f"## {_heading(group)}", "")
    yield from (f"- `{kind.name}`: {kind.summary[0].lower()}{kind.summary[1:]}." for kind in group)
    for one in either or [schema]:
        yield from ("", *([one["description"], ""] if either else []), *_fields(one))
    data = json.loads(_sample(group[0]).model_dump_json())
    yield from ("", *_json(data))
    shapes |= {name: one for name, one in defined.items() if one.get("type") == "object"}


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    required = set(schema.get("required", ()))
    yield from table(
        ("field", "type", "", "meaning"),
        (
            (
                f"`{name}`",
                _type(member),
                "required" if name in required else "may be absent",
                member.get("description", ""),
            )
            for name, member in schema["properties"].items()
        ),
    )


def _type(member: Mapping[str, Any]) -> str:
    """Tell a JSON Schema in a few words."""
    if "anyOf" in member:
        return " or ".join(_type(one) for one in member["anyOf"])
    if "$ref" in member:
        name = member["$ref"].rpartition("/")[2]
        return (
            "[problem code](problems.md)" if name == Code.__name__ else f"[{name}](#{name.lower()})"
        )
    if "const" in member:
        return f"`{json.dumps(member['const'])}`"
    if "enum" in member:
        return " or ".join(f"`{json.dumps(one)}`" for one in member["enum"])
    if member["type"] == "array":
        return f"list of {_type(member['items'])}"
    return str(member["type"]) + "".join(f", {limit}" for limit in _limits(member))


def _limits(member: Mapping[str, Any]) -> Iterator[str]:
    words = {
        "format": "{}",
        "maxLength": "at most {} characters",
        "exclusiveMinimum": "more than {}",
        "minimum": "{} or more",
    }
    for name, text in words.items():
        if name in member:
            yield text.format(member[name])
    if isinstance(member.get("default"), bool):
        yield f"{json.dumps(member['default'])} by default"


def _json(value: Any) -> Iterator[str]:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    yield from ("```json", *text.splitlines(), "```")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Write a table in Markdown, line by line."""
    yield _row(heads)
    yield "|" + "---|" * len(heads)
    yield from map(_row, rows)


def _row(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", r"\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


if __name__ == "__main__":
    main()
