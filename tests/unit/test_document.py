import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from referencing import Registry, Resource

import schemas
from schemas.catalog import CATALOG, MessageType
from schemas.document import documents, stale, write
from schemas.envelope import Attributes
from schemas.envelope import write as enveloped
from schemas.topology import QUEUES
from tests.unit.samples import SAMPLES, WORKSPACE

COMMITTED = Path(schemas.__file__).parent / "generated"
OFFICIAL = Path(__file__).parent / "asyncapi" / "3.1.0.json"
KINDS = pytest.mark.parametrize("kind", CATALOG, ids=lambda kind: kind.name)


@cache
def generated(name: str) -> dict[str, Any]:
    """Give one generated document, parsed."""
    document: dict[str, Any] = json.loads(documents()[name])
    return document


def validator(kind: MessageType) -> Draft202012Validator:
    """Validate by the published schema of one type."""
    return Draft202012Validator(generated(f"{kind.name}.schema.json"))


def dumped(kind: MessageType) -> dict[str, Any]:
    """Give a sample as its model writes it."""
    text = json.dumps(SAMPLES[kind.name])
    data: dict[str, Any] = json.loads(kind.adapter.validate_json(text).model_dump_json())
    return data


def inlined(value: Any) -> Any:
    """Put the content of other files where they are referred to, as AsyncAPI's own parser does."""
    if isinstance(value, dict):
        target = value.get("$ref", "#")
        if not target.startswith("#"):
            return inlined(generated(target))
        return {name: inlined(inner) for name, inner in value.items()}
    return [inlined(inner) for inner in value] if isinstance(value, list) else value


def pointers(value: Any) -> set[str]:
    """Gather every reference to another place of the same document."""
    if isinstance(value, list):
        return {found for inner in value for found in pointers(inner)}
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"]} if value.get("$ref", "").startswith("#/") else set()
    return own | {found for inner in value.values() for found in pointers(inner)}


def test_the_committed_files_are_what_the_code_generates() -> None:
    """`schemas/generated` is up to date: run `workspace-lifecycle schemas` where this fails."""
    assert stale(COMMITTED) == []


def test_every_kind_of_deviation_is_stale(tmp_path: Path) -> None:
    """A changed file, a missing one and one too many are named, and no other."""
    write(tmp_path)
    assert stale(tmp_path) == []
    changed, missing = tmp_path / "workspace.pause.schema.json", tmp_path / "asyncapi.json"
    changed.write_text(changed.read_text().replace("cascade", "cascades"))
    missing.unlink()
    (tmp_path / "workspace.terminate.schema.json").write_text("{}")
    assert stale(tmp_path) == [
        "asyncapi.json",
        "workspace.pause.schema.json",
        "workspace.terminate.schema.json",
    ]


def test_a_damaged_file_is_stale_and_no_crash(tmp_path: Path) -> None:
    """A file that is not even UTF-8 is reported like any other difference."""
    write(tmp_path)
    (tmp_path / "asyncapi.json").write_bytes(b"\xff\xfe")
    assert stale(tmp_path) == ["asyncapi.json"]


def test_a_folder_that_is_not_there_is_wholly_stale(tmp_path: Path) -> None:
    """Checking an empty place names every file, and writing makes the folder."""
    folder = tmp_path / "a" / "b"
    assert stale(folder) == sorted(documents())
    assert sorted(path.name for path in write(folder)) == sorted(documents())
    assert stale(folder) == []


def test_the_text_is_sorted_and_ends_with_one_newline() -> None:
    """The files differ only where the contract does."""
    for text in documents().values():
        assert (
            text
            == json.dumps(json.loads(text), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
        )


@KINDS
def test_each_schema_is_sound_and_named(kind: MessageType) -> None:
    """Each file is JSON Schema 2020-12 under the id that messages carry as `dataschema`."""
    schema = generated(f"{kind.name}.schema.json")
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == kind.dataschema
    assert schema["title"] == kind.name
    assert schema["description"]
    assert "discriminator" not in schema, "that is OpenAPI, and another thing in AsyncAPI"


@KINDS
def test_each_schema_accepts_what_the_model_dumps(kind: MessageType) -> None:
    """What the model writes is valid by the published schema."""
    validator(kind).validate(dumped(kind))


@KINDS
def test_each_schema_refuses_an_unknown_field(kind: MessageType) -> None:
    """A misspelt field is refused by the published schema as it is by the program."""
    assert not validator(kind).is_valid({**dumped(kind), "cascadee": True})


@KINDS
def test_each_schema_refuses_a_missing_workspace(kind: MessageType) -> None:
    """What is required of a message is required by its published schema."""
    data = dumped(kind)
    del data["workspace_id"]
    assert not validator(kind).is_valid(data)


@pytest.mark.parametrize("name", ["workspace.pause", "workspace.resume"])
def test_no_command_schema_allows_null(name: str) -> None:
    """An optional member of a command is left out, never null, in the published schema too."""
    schema = generated(f"{name}.schema.json")
    for member in schema["properties"]:
        data = {"workspace_id": WORKSPACE, member: None}
        assert not Draft202012Validator(schema).is_valid(data), member


@KINDS
def test_a_whole_message_is_valid_by_its_described_payload(kind: MessageType) -> None:
    """Envelope and data together are valid by what AsyncAPI says of the message."""
    attributes = Attributes(
        id="1",
        source="workspace-lifecycle",
        type=kind.name,
        subject=WORKSPACE,
        operation_id=WORKSPACE,
        dataschema=kind.dataschema,
    )
    body = json.loads(enveloped(attributes, kind.adapter.validate_python(_python(kind))))
    payload = generated("asyncapi.json")["components"]["messages"][kind.name]["payload"]
    described = Draft202012Validator(payload, registry=_files())
    described.validate(body)
    assert not described.is_valid({**body, "type": "workspace.terminate"})
    assert not described.is_valid({**body, "specversion": "0.3"})
    assert not described.is_valid({**body, "data": {}})


def _python(kind: MessageType) -> Any:
    return kind.adapter.validate_json(json.dumps(SAMPLES[kind.name]))


def _files() -> Registry[Any]:
    return Registry().with_resources(
        (name, Resource.from_contents(generated(name)))
        for name in documents()
        if name != "asyncapi.json"
    )


def test_the_asyncapi_document_is_valid_by_the_official_schema() -> None:
    """With every file put in where it is referred to, it is AsyncAPI 3.1.0."""
    official = json.loads(OFFICIAL.read_text(encoding="utf-8"))
    found = [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
        for error in Draft7Validator(official).iter_errors(inlined(generated("asyncapi.json")))
    ]
    assert found == []


def test_the_official_schema_is_not_toothless() -> None:
    """The check above notices what once was wrong: OpenAPI's discriminator in a payload."""
    document = inlined(generated("asyncapi.json"))
    document["components"]["messages"]["workspace.pause"]["payload"]["discriminator"] = {"a": "b"}
    assert not Draft7Validator(json.loads(OFFICIAL.read_text(encoding="utf-8"))).is_valid(document)


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    """No pointer inside the document dangles."""
    document = generated("asyncapi.json")
    for pointer in sorted(pointers(document)):
        place: Any = document
        for step in pointer.removeprefix("#/").split("/"):
            assert step in place, pointer
            place = place[step]


def test_the_asyncapi_document_has_every_message_and_queue() -> None:
    """Nothing that travels is missing, and queues are described with their real arguments."""
    document = generated("asyncapi.json")
    assert set(document["components"]["messages"]) == {kind.name for kind in CATALOG}
    for queue in QUEUES:
        described = document["channels"][queue.name]
        assert described["x-arguments"] == queue.arguments
        assert described["bindings"]["amqp"]["bindingVersion"] == "0.3.0"


def test_commands_are_answered_where_the_caller_says() -> None:
    """A command is received, and its reply goes to the `replyTo` of the message."""
    operations = generated("asyncapi.json")["operations"]
    for name in ("workspace.pause", "workspace.resume"):
        reply = operations[f"receive.{name}"]["reply"]
        assert reply["address"]["location"] == "$message.header#/replyTo"
        assert len(reply["messages"]) == 3
