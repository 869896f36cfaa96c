"""Who may do what, how much of it, what an absent flag means, and who is answered where."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from uuid import UUID

from consumer.rules import Rules, refusal
from schemas.topology import QUEUES, trigger_queues

_OURS = frozenset(queue.name for queue in (*QUEUES, *trigger_queues()))
DIRECT_REPLY_TO = "amq.rabbitmq.reply-to."
"""RabbitMQ's pseudo-queue: it reaches the caller's own channel and nothing else."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A rule's rate in commands a minute, and how many of them may come at once."""

    rule: str
    rate: float
    burst: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the operator allows.

    Attributes:
        implicit_cascade: an absent flag cascades, marked deprecated, for everybody.
        implicit_cascade_apps: the same, for these `app_id`s alone.
        max_cascade: most workspaces one command may change; None for no cap.
        max_listed: where lists in events are cut.
        reply_to_allow, allow_apps: shell patterns, matched case-sensitively.
        rules: the policy file, by the verified user; None where there is none.
        own_user: the user as whom this process is connected to the broker, if that is known.

    """

    implicit_cascade: bool = False
    implicit_cascade_apps: tuple[str, ...] = ()
    max_cascade: int | None = None
    max_listed: int = 10_000
    reply_to_allow: tuple[str, ...] = ("amq.gen-*",)
    allow_apps: tuple[str, ...] = ("*",)
    rules: Rules | None = None
    own_user: str | None = None

    def allows(self, app_id: str) -> bool:
        """Tell whether this sender may send commands at all."""
        return _matches(app_id, self.allow_apps)

    def cascades_implicitly(self, app_id: str) -> bool:
        """Tell whether an absent flag cascades, as it used to, for this sender."""
        return self.implicit_cascade or app_id in self.implicit_cascade_apps

    def answers(self, reply_to: str) -> bool:
        """Tell whether an answer may go there: it must not reach somebody else's queue.

        Nor one of our own, however wide the operator's patterns are.
        """
        allowed = is_direct(reply_to) or _matches(reply_to, self.reply_to_allow)
        return allowed and reply_to not in _OURS

    def forbids(
        self, user_id: str | None, action: str, path: frozenset[UUID] | None, *, cascades: bool
    ) -> tuple[str, str] | None:
        """Give the rule of the policy file that refuses this to a user, and what it refuses."""
        if self.rules is None:
            return None
        name, grant = self.rules.grant_of(user_id)
        what = refusal(grant, action, path, cascades=cascades)
        return None if what is None else (name, what)

    def limit_of(self, user_id: str | None) -> Limit | None:
        """Give how many commands a user may send, where the policy file says so."""
        rule, grant = self.rules.grant_of(user_id) if self.rules else ("", None)
        if grant is None or grant.rate is None:
            return None
        return Limit(rule, grant.rate, grant.burst or max(1, int(grant.rate)))

    def refuses_order(self, user_id: str | None) -> str | None:
        """Give the rule by which a user may not send stops and starts; None: it may."""
        return None if self.rules is None or self._is_ours(user_id, self.rules) else "program"

    def refuses_result(self, user_id: str | None) -> str | None:
        """Give the rule by which a user may not send results; None: it may."""
        if self.rules is None or self._is_ours(user_id, self.rules):
            return None
        named = user_id is not None and _matches(user_id, self.rules.executors)
        return None if named else "executors"

    def _is_ours(self, user_id: str | None, rules: Rules) -> bool:
        if user_id is None:
            return False
        return user_id == self.own_user or _matches(user_id, rules.program)

    def may_cascade(self, user_id: str | None) -> bool:
        """Tell whether the policy file lets a user include descendants."""
        if self.rules is None:
            return True
        _, grant = self.rules.grant_of(user_id)
        return grant is not None and grant.cascade

    def cap(self, asked: int | None, user_id: str | None = None) -> int | None:
        """Give the lowest of both policies' caps and the caller's own; None where there is none."""
        _, grant = self.rules.grant_of(user_id) if self.rules else ("", None)
        caps = (self.max_cascade, asked, grant.max_affected if grant else None)
        return min((cap for cap in caps if cap is not None), default=None)


def refusal_text(rule: str, what: str, user_id: str | None) -> str:
    """Say which rule of the policy file does not let whom do what."""
    who = "who gives no user_id" if user_id is None else f"user {user_id!r}"
    return f"rule {rule!r} of the policy file does not let {who} {what}"


def is_direct(reply_to: str | None) -> bool:
    """Tell direct reply-to from a queue. RabbitMQ 3.10 returns mandatory messages sent there."""
    return reply_to is not None and reply_to.startswith(DIRECT_REPLY_TO)


def _matches(value: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in patterns)
