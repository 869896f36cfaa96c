"""A small reference model of contract.md's decision, written from the contract alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Answer = tuple[str, int, str | None, int | None, tuple[str, ...]]
"""Kind, status, code, count, and the names listed as descendants."""


@dataclass
class Model:
    """A forest by name."""

    parents: Mapping[str, str | None]
    statuses: dict[str, str]
    implicit: bool = False

    def below(self, top: str) -> dict[str, int]:
        """Give each workspace below `top` with its depth; a cycle ends at `top`."""
        found: dict[str, int] = {}
        level, depth = [top], 0
        while level:
            depth += 1
            level = [
                name
                for name, parent in self.parents.items()
                if parent in level and name != top and name not in found
            ]
            found |= dict.fromkeys(level, depth)
        return found

    def above(self, name: str) -> list[str]:
        """Give what is above, nearest first; on a cycle through `name` nothing is."""
        found: list[str] = []
        parent = self.parents[name]
        while parent is not None and parent not in found:
            if parent == name:
                return []
            found.append(parent)
            parent = self.parents[parent]
        return found

    def affected(self, action: str, name: str) -> bool:
        """Tell whether an action would change a workspace."""
        if action == "pause":
            return self.statuses[name] not in {"paused", "removed"}
        return self.statuses[name] == "paused"

    def etag_set(self, action: str, top: str) -> frozenset[str]:
        """Give the set that would change."""
        return frozenset(n for n in (top, *self.below(top)) if self.affected(action, n))

    def answer(self, action: str, top: str, **flags: Any) -> Answer:
        """Decide a command and, unless it is a dry run, carry it out."""
        depths = self.below(top)
        listed = sorted(
            (n for n in depths if self.affected(action, n)), key=lambda n: (depths[n], n)
        )
        changed = self.etag_set(action, top)
        code = self._refusal(action, top, len(listed), len(changed), flags)
        kind = "previewed" if flags.get("dry_run") else "rejected" if code else "summary"
        if code:
            status, code_listed = code[0], () if code[0] == 404 else tuple(listed)
            return kind, status, code[1], None, code_listed
        if not flags.get("dry_run"):
            self._carry(action, changed)
        return kind, 200, None, len(changed), ()

    def _refusal(
        self, action: str, top: str, below: int, count: int, flags: Mapping[str, Any]
    ) -> tuple[int, str] | None:
        cascade = flags.get("cascade")
        if self.statuses[top] == "removed":
            return 404, "workspace_not_found"
        if action == "resume" and any(self.statuses[n] == "paused" for n in self.above(top)):
            return 409, "ancestor_paused"
        if flags.get("stale"):
            return 412, "tree_changed"
        if below and cascade is not True and not (cascade is None and self.implicit):
            return 409, "descendants_exist"
        if count > flags.get("max_affected", count):
            return 409, "blast_radius_exceeded"
        return None

    def _carry(self, action: str, changed: frozenset[str]) -> None:
        for name in changed:
            self.statuses[name] = "paused" if action == "pause" else "provisioning"
