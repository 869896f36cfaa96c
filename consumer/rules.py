"""The policy file: who may do what, by the user whom the broker verified."""

from collections.abc import Collection
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal, Self
from uuid import UUID

from annotated_types import Gt, Lt, MinLen
from pydantic import BaseModel, ConfigDict, model_validator

from consumer.toml_file import read_file

Word = Annotated[str, MinLen(1)]


class Grant(BaseModel):
    """What somebody may do.

    Attributes:
        actions: `pause`, `resume`, or both.
        cascade: whether descendants may be included.
        roots: workspaces that may be named, they or any below them; any where it is not given.
        max_affected: most workspaces one command may change; no cap where it is not given.
        rate: commands a minute, of each user by itself; no limit where it is not given.
        burst: how many of them at once, after a pause; a minute's worth where it is not given.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    actions: tuple[Literal["pause", "resume"], ...] = ("pause", "resume")
    cascade: bool = False
    roots: tuple[UUID, ...] | None = None
    max_affected: Annotated[int, Gt(0)] | None = None
    rate: Annotated[float, Gt(0), Lt(1_000_000)] | None = None
    burst: Annotated[int, Gt(0)] | None = None

    @model_validator(mode="after")
    def _burst_goes_with_rate(self) -> Self:
        if self.burst is not None and self.rate is None:
            raise ValueError("burst goes with rate, in commands a minute")
        return self


class Rule(Grant):
    """A grant with a name, for whose `user_id` matches one of `users` (shell patterns)."""

    name: Word
    users: Annotated[tuple[Word, ...], MinLen(1)]


class Rules(BaseModel):
    """The whole file. The first rule that names a user speaks for that user, and no other.

    Attributes:
        require_user_id: whether commands need the `user_id` that RabbitMQ verifies.
        default: for whom no rule names; without it they may do nothing.
        program: users as whom this program's own processes connect (shell patterns): they alone
            send stops and starts. The user of the process itself is always one.
        executors: who may send results, beside the program itself (shell patterns).

    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    require_user_id: bool = True
    default: Grant | None = None
    program: tuple[Word, ...] = ()
    executors: tuple[Word, ...] = ()
    rule: tuple[Rule, ...] = ()

    def grant_of(self, user_id: str | None) -> tuple[str, Grant | None]:
        """Give the name of the rule that speaks for a user, and what it grants."""
        if user_id is None and self.require_user_id:
            return "require_user_id", None
        for rule in self.rule if user_id is not None else ():
            if any(fnmatchcase(user_id or "", pattern) for pattern in rule.users):
                return rule.name, rule
        return "default", self.default


def read_rules(path: Path) -> Rules:
    """Read a policy file.

    Raises:
        ValueError: it cannot be read, is no TOML, or says something that is not known here.

    """
    return read_file(path, Rules)


def refusal(
    grant: Grant | None, action: str, path: Collection[UUID] | None, *, cascades: bool
) -> str | None:
    """Say what a grant does not allow, or None.

    `path` is the named workspace and all above it; None: nobody looked, and `roots` do not count.
    """
    if grant is None:
        return "send any command"
    if action not in grant.actions:
        return action
    if cascades and not grant.cascade:
        return f"{action} with cascade"
    if grant.roots is not None and path is not None and not set(grant.roots) & set(path):
        return f"{action} this workspace"
    return None
