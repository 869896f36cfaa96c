"""Sender not allowed: 403, by the user whom the broker verified, with the rule that refused."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from consumer.rules import Grant, Rule, Rules
from consumer.settings import Settings
from tests.support.caller import WireCaller
from tests.support.forest import Forest
from tests.support.program import running


@pytest.fixture
def user(amqp_url: str) -> str:
    """Give the user as whom the tests are connected."""
    return urlsplit(amqp_url).username or "guest"


async def test_each_limit_of_a_rule_refuses_with_403_and_its_name(
    settings_of: Callable[..., Settings], caller: WireCaller, forest: Forest, user: str
) -> None:
    """Action, cascade, root, no user_id: nothing is changed, and a dry run says the same."""
    root = await forest.plant("root", "root/below")
    other = await forest.plant("other")
    rule = Rule(name="tenants", users=(user,), actions=("pause",), roots=(root,))
    async with running(settings_of(policy_file=Rules(rule=(rule,)))):
        for kind, named, fields, properties in (
            ("workspace.resume", root, {}, {"user_id": user}),
            ("workspace.pause", root, {"cascade": True}, {"user_id": user}),
            ("workspace.pause", other, {}, {"user_id": user}),
            ("workspace.pause", root, {}, {}),
        ):
            data = {"workspace_id": named, **fields}
            answer = await caller.ask(kind, data, **properties)
            assert (answer.data["status"], answer.data["code"]) == (403, "forbidden")
            assert ("tenants" if properties else "require_user_id") in answer.data["detail"]
            assert answer.data["descendants"] == []
            preview = await caller.ask(kind, {**data, "dry_run": True}, **properties)
            assert (preview.data["would"], preview.data["status"]) == ("rejected", 403)
        below = await forest.connection.fetchval("select id from workspaces where name = 'below'")
        allowed = await caller.ask("workspace.pause", {"workspace_id": below}, user_id=user)
        assert allowed.data["paused_count"] == 1
    assert await forest.statuses() == {"root": "online", "below": "paused", "other": "online"}


async def test_a_rules_cap_and_the_default_hold(
    settings_of: Callable[..., Settings], caller: WireCaller, forest: Forest, user: str
) -> None:
    """More than `max_affected` is refused as a blast radius; nobody listed gets the default."""
    root = await forest.plant("root", "root/a", "root/b")
    capped = Rule(name="few", users=(user,), cascade=True, max_affected=2)
    fields: dict[str, Any] = {"workspace_id": root, "cascade": True}
    async with running(settings_of(policy_file=Rules(rule=(capped,)))):
        answer = await caller.ask("workspace.pause", fields, user_id=user)
        assert answer.data["code"] == "blast_radius_exceeded"
    nobody = Rules(rule=(Rule(name="x", users=("somebody-else",)),), default=Grant(cascade=True))
    async with running(settings_of(policy_file=nobody)):
        answer = await caller.ask("workspace.pause", fields, user_id=user)
        assert answer.data["paused_count"] == 3


async def test_an_absent_flag_does_not_cascade_for_whom_may_not(
    settings_of: Callable[..., Settings], caller: WireCaller, forest: Forest, user: str
) -> None:
    """The migration period opens no way round the policy file."""
    root = await forest.plant("root", "root/below")
    rules = Rules(rule=(Rule(name="alone", users=(user,)),))
    async with running(settings_of(policy_file=rules, implicit_cascade="deprecated")):
        answer = await caller.ask("workspace.pause", {"workspace_id": root}, user_id=user)
    assert answer.data["code"] == "descendants_exist"
