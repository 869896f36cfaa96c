"""What may be asked of the program, and what it asks of an executor."""

from typing import Annotated, Any

from annotated_types import Gt, MaxLen
from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, model_validator

from schemas.strict import Counter, Id, Strict, Text, Time, plain_text


def _absent(value: object) -> bool:
    return value is None


def _without_null(schema: dict[str, Any]) -> None:
    """Say in JSON Schema what the validator does: an optional member is left out, never null."""
    for member in schema["properties"].values():
        kinds = [kind for kind in member.pop("anyOf", []) if kind != {"type": "null"}]
        member.update(*kinds)
        if member.get("default", "") is None:
            del member["default"]


class PauseWorkspace(Strict):
    """`workspace.pause`: stop the named workspace, and what is below it if `cascade` says so."""

    model_config = ConfigDict(json_schema_extra=_without_null)

    workspace_id: Id = Field(description="the named workspace")
    cascade: bool | None = Field(
        None, exclude_if=_absent, description="true opts into the descendants"
    )
    dry_run: bool = Field(default=False, description="decide and report, change nothing")
    if_match: Text | None = Field(
        None,
        exclude_if=_absent,
        description="the tree_etag the caller was shown; another set is refused with 412",
    )
    max_affected: Annotated[int, Gt(0)] | None = Field(
        None,
        exclude_if=_absent,
        description="the caller's own cap on how many workspaces may change",
    )
    not_after: Time | None = Field(
        None,
        exclude_if=_absent,
        description="RFC 3339; a command still waiting after it is refused with 412",
    )
    reason: Annotated[str, MaxLen(1000), AfterValidator(plain_text)] | None = Field(
        None, exclude_if=_absent, description="for the audit trail"
    )
    requested_by: Annotated[str, MaxLen(200), AfterValidator(plain_text)] | None = Field(
        None, exclude_if=_absent, description="for the audit trail"
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_not_absent(cls, data: Any, info: ValidationInfo) -> Any:
        """Refuse a null on the wire: `"cascade": null` could mean either of two things."""
        if info.mode == "json" and isinstance(data, dict):
            for name, value in data.items():
                if value is None:
                    raise ValueError(f"{name[:64]!r} is null: leave it out or give it a value")
        return data


class ResumeWorkspace(PauseWorkspace):
    """`workspace.resume`: start what is paused; with `undo`, put an earlier pause back."""

    undo: Id | None = Field(
        None,
        exclude_if=_absent,
        description="an earlier pause's operation_id: put back what that pause changed",
    )


class StopWorkspace(Strict):
    """`workspace.stop`: one workspace's machine is to be stopped, never terminated."""

    operation_id: Id
    workspace_id: Id
    name: str
    instance_id: Text | None = Field(description="null for a workspace without a machine")
    runtime: str | None = Field(description="'external' has no machine to stop")
    previous_status: str = Field(description="what it was when the operation changed it")
    generation: Counter = Field(
        description="grows with every lifecycle command for this workspace; a lower one than the "
        "newest known is superseded and must not be carried out"
    )
    deadline: Time = Field(description="after it the outcome counts as timed out")


class StartWorkspace(StopWorkspace):
    """`workspace.start`: one workspace's machine is to be started."""
