"""The wire contract as code: what may be said to the program and what it says."""

from schemas.catalog import BY_NAME, CATALOG, MessageType
from schemas.commands import PauseWorkspace, ResumeWorkspace, StartWorkspace, StopWorkspace
from schemas.envelope import CLOUDEVENTS, Attributes, read, write
from schemas.events import (
    Ancestor,
    Changed,
    Corrected,
    Correction,
    Descendant,
    Failure,
    NotRestored,
    Previewed,
    Progress,
    Rejected,
    RejectedPreview,
    Settled,
    Summary,
    SummaryPreview,
)
from schemas.problems import Code
from schemas.results import Started, StartFailed, StopFailed, Stopped

__all__ = [
    "BY_NAME",
    "CATALOG",
    "CLOUDEVENTS",
    "Ancestor",
    "Attributes",
    "Changed",
    "Code",
    "Corrected",
    "Correction",
    "Descendant",
    "Failure",
    "MessageType",
    "NotRestored",
    "PauseWorkspace",
    "Previewed",
    "Progress",
    "Rejected",
    "RejectedPreview",
    "ResumeWorkspace",
    "Settled",
    "StartFailed",
    "StartWorkspace",
    "Started",
    "StopFailed",
    "StopWorkspace",
    "Stopped",
    "Summary",
    "SummaryPreview",
    "read",
    "write",
]
