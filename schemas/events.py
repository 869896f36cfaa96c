"""What the program says about a command and its operation, for either action."""

from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from schemas.problems import Code
from schemas.strict import Id, Strict

Action = Literal["pause", "resume"]


def _absent(value: object) -> bool:
    return value is None


class Descendant(Strict):
    """One workspace below the named one that the command would change."""

    workspace_id: Id
    name: str
    status: str
    parent_id: Id | None
    depth: int = Field(description="1 for a child of the named workspace")
    active_tasks: int | None


class Ancestor(Strict):
    """The nearest paused workspace above the named one."""

    workspace_id: Id
    name: str
    status: str


class Changed(Strict):
    """One workspace that the operation changed, and what it was before."""

    workspace_id: Id
    name: str
    previous_status: str


class NotRestored(Strict):
    """One workspace that an undo left alone, and why."""

    workspace_id: Id
    name: str
    status: str | None = Field(description="what it is now; null where it no longer exists")
    reason: str


class Failure(Strict):
    """One workspace whose stop or start failed."""

    workspace_id: Id
    name: str
    code: str
    detail: str | None


class OperationData(Strict):
    """What every event about an operation carries."""

    operation_id: Id
    action: Action
    workspace_id: Id | None = Field(description="null where the command did not name one")
    status: int = Field(description="the HTTP status a gateway would give")
    requested_by: str | None
    reason: str | None
    cascade: bool | None = Field(description="as the command had it; null where it was absent")


class _Found(OperationData):
    """What the walk found that only some answers have to tell."""

    not_restored: tuple[NotRestored, ...] | None = Field(
        None, exclude_if=_absent, description="with undo: what was left alone and why"
    )
    cycle_at: Id | None = Field(
        None,
        exclude_if=_absent,
        description="a workspace on a cycle of parent_id that ended the walk; absent without one",
    )


class Rejected(_Found):
    """`workspace.*.rejected`: refused, nothing changed. RFC 9457 members and the list."""

    type: str = Field(description="RFC 9457: a URI that identifies the problem")
    title: str
    detail: str
    code: Code
    descendants: tuple[Descendant, ...]
    descendant_count: int
    descendants_truncated: bool
    tree_etag: str | None = Field(description="null where the tree was not looked at")
    ancestor: Ancestor | None = Field(
        None, exclude_if=_absent, description="with ancestor_paused: the nearest one"
    )


class Summary(_Found):
    """`workspace.*.summary`: carried into the database; the fan-out is certain to follow."""

    paused_count: int | None = Field(None, exclude_if=_absent, description="of a pause")
    resumed_count: int | None = Field(None, exclude_if=_absent, description="of a resume")
    workspaces: tuple[Changed, ...]
    workspaces_truncated: bool
    tree_etag: str
    deprecated: bool = Field(description="the cascade was implicit: say cascade=true instead")

    @property
    def count(self) -> int:
        """How many workspaces the operation changed."""
        return (self.paused_count if self.action == "pause" else self.resumed_count) or 0

    @model_validator(mode="after")
    def _one_count(self) -> Self:
        mine, other = self.paused_count, self.resumed_count
        if self.action == "resume":
            mine, other = other, mine
        if mine is None or other is not None:
            raise ValueError(f"a {self.action} summary has {self.action}d_count and no other")
        return self


class RejectedPreview(Rejected):
    """A dry run's answer: the command would be rejected."""

    would: Literal["rejected"] = "rejected"


class SummaryPreview(Summary):
    """A dry run's answer: the command would be carried out."""

    would: Literal["summary"] = "summary"


Previewed = Annotated[RejectedPreview | SummaryPreview, Field(discriminator="would")]
"""`workspace.*.previewed`: a dry run."""

PREVIEWED: TypeAdapter[RejectedPreview | SummaryPreview] = TypeAdapter(Previewed)


class Settled(OperationData):
    """`workspace.*.settled`: every fanned-out command has an outcome, or the deadline passed."""

    target_count: int
    succeeded_count: int
    failed_count: int
    superseded_count: int
    timed_out_count: int
    failures: tuple[Failure, ...]
    duration_ms: int = Field(description="from the summary to here, in milliseconds")


class Progress(OperationData):
    """`workspace.*.progress`: how far a large operation has come. For watchers; nothing is final.

    Of operations over 100 targets alone, and at most once a second each.
    """

    target_count: int
    succeeded_count: int
    failed_count: int
    superseded_count: int
    open_count: int = Field(description="targets without an outcome yet")


class Correction(Strict):
    """One workspace that had timed out and of which the outcome was heard after all."""

    workspace_id: Id
    name: str
    outcome: Literal["succeeded", "failed", "superseded"]
    code: str | None = Field(description="of a failure")
    detail: str | None
    restored_status: str | None = Field(
        description="the status this gave back to the workspace; null where it was left as it is"
    )


class Corrected(OperationData):
    """`workspace.*.corrected`: results that came after the operation had settled without them.

    The counts are the operation's as they are now: each correction has left `timed_out_count`.
    """

    corrections: tuple[Correction, ...]
    target_count: int
    succeeded_count: int
    failed_count: int
    superseded_count: int
    timed_out_count: int
