"""The contract's decision table, from top to bottom. Start reading here.

`decide` is pure: a command, what it would meet in the tree, and the policy go in; what to do comes
out. Nothing here knows a database or a broker.
"""

from datetime import datetime
from typing import assert_never
from uuid import UUID

from consumer.operation import Carry, Command, Decision, Plan, Preview, Reject
from consumer.policy import Policy, refusal_text
from schemas.problems import Code
from schemas.strict import rfc3339


def refuse_unseen(
    command: Command, policy: Policy, now: datetime, path: frozenset[UUID] | None = frozenset()
) -> Reject | None:
    """Refuse what can be refused before the tree is locked.

    `path` holds what is above the named workspace; None: nobody looked.
    """
    not_after = command.data.not_after
    if not_after is not None and now > not_after:
        return Reject(
            Code.EXPIRED,
            f"not_after was {rfc3339(not_after)}, and it is {rfc3339(now)} now: send the command "
            "again with a new id if it is still wanted",
        )
    if not policy.allows(command.origin.app_id):
        return Reject(
            Code.FORBIDDEN,
            f"the sender {command.origin.app_id!r} may not send commands: have it added to "
            "LIFECYCLE_ALLOW_APPS",
        )
    return _forbidden(command, policy, path)


def over_rate(command: Command, rule: str, rate: float, seconds: int) -> Reject:
    """Refuse what comes too fast, and say when to come back."""
    sends = f"send more than {rate:g} commands a minute: send it again, under a new id"
    text = refusal_text(rule, sends, command.origin.user_id)
    return Reject(Code.FORBIDDEN, f"{text}, in {seconds} s")


def _forbidden(command: Command, policy: Policy, path: frozenset[UUID] | None) -> Reject | None:
    origin, data = command.origin, command.data
    cascades = data.cascade is True or (command.undo is not None and data.cascade is None)
    whole = None if path is None else path | {data.workspace_id}
    found = policy.forbids(origin.user_id, origin.action, whole, cascades=cascades)
    if found is None:
        return None
    return Reject(Code.FORBIDDEN, refusal_text(*found, origin.user_id))


def decide(command: Command, plan: Plan, policy: Policy) -> Decision:
    """Decide what a command that is neither expired nor forbidden does to the tree of `plan`."""
    would = _reject(command, plan, policy) or Carry(deprecated=_implicit(command, plan, policy))
    return as_asked(command, would)


def as_asked(command: Command, would: Reject | Carry) -> Decision:
    """Turn what would happen into a preview where only a dry run was asked for."""
    return Preview(would) if command.data.dry_run else would


def _reject(command: Command, plan: Plan, policy: Policy) -> Reject | None:
    """Find the first reason of the contract's order of precedence."""
    return (
        _invalid(command, plan)
        or _not_found(command, plan)
        or _ancestor_paused(command, plan)
        or _tree_changed(command, plan)
        or _descendants_exist(command, plan, policy)
        or _blast_radius(command, plan, policy)
    )


def _invalid(command: Command, plan: Plan) -> Reject | None:
    if plan.undo_known or not plan.exists:
        return None
    return Reject(
        Code.INVALID_COMMAND,
        f"undo: {command.undo} is no pause of workspace {command.data.workspace_id} that was "
        "carried out: give the operation_id of its summary",
    )


def _not_found(command: Command, plan: Plan) -> Reject | None:
    if plan.exists:
        return None
    return Reject(
        Code.WORKSPACE_NOT_FOUND,
        f"there is no workspace {command.data.workspace_id}, or it was removed",
    )


def _ancestor_paused(command: Command, plan: Plan) -> Reject | None:
    above = plan.paused_ancestor
    if above is None or command.origin.action != "resume":
        return None
    return Reject(
        Code.ANCESTOR_PAUSED,
        f"{above.name} ({above.workspace_id}) above {plan.name} is paused: resume that first",
    )


def _tree_changed(command: Command, plan: Plan) -> Reject | None:
    if command.data.if_match in {None, plan.tree_etag}:
        return None
    return Reject(
        Code.TREE_CHANGED,
        f"the workspaces that would change below {plan.name} are no longer those of if_match: "
        "look at the new list, then send its tree_etag",
    )


def _descendants_exist(command: Command, plan: Plan, policy: Policy) -> Reject | None:
    if plan.descendant_count == 0 or opts_in(command, policy):
        return None
    count = plan.descendant_count
    below = f"{count} workspace{'' if count == 1 else 's'} below {plan.name} would be"
    return Reject(
        Code.DESCENDANTS_EXIST,
        f"{below} {command.origin.action}d too: send cascade=true to include "
        f"{'it' if count == 1 else 'them'}, with if_match={plan.tree_etag} to mean exactly these",
    )


def _blast_radius(command: Command, plan: Plan, policy: Policy) -> Reject | None:
    cap = policy.cap(command.data.max_affected, command.origin.user_id)
    if cap is None or plan.change_count <= cap:
        return None
    return Reject(
        Code.BLAST_RADIUS_EXCEEDED,
        f"{plan.change_count} workspaces would be {command.origin.action}d, more than the {cap} "
        "that max_affected, LIFECYCLE_MAX_CASCADE and the policy file allow",
    )


def opts_in(command: Command, policy: Policy) -> bool:
    """Tell whether descendants may change. An undo names its set, so an absent flag suffices."""
    match command.data.cascade:
        case True:
            return True
        case False:
            return False
        case None:
            return command.undo is not None or _implied(command, policy)
        case _:
            assert_never(command.data.cascade)


def _implicit(command: Command, plan: Plan, policy: Policy) -> bool:
    """Tell whether descendants change only because of the migration period."""
    return (
        command.data.cascade is None
        and command.undo is None
        and plan.descendant_count > 0
        and _implied(command, policy)
    )


def _implied(command: Command, policy: Policy) -> bool:
    """Tell whether an absent flag cascades for this sender, who would be let do so openly."""
    origin = command.origin
    return policy.cascades_implicitly(origin.app_id) and policy.may_cascade(origin.user_id)
