"""The policy file: what it says, and what it does not let pass."""

from pathlib import Path
from uuid import UUID, uuid4

import pytest

from consumer.policy import Policy
from consumer.rules import Grant, Rule, Rules, read_rules, refusal

ROOT = UUID("9a591777-7480-40d4-85d2-2bf7f3a1a5b5")
TEXT = f"""
[[rule]]
name = "billing"
users = ["billing", "billing-*"]
actions = ["pause"]
cascade = true
roots = ["{ROOT}"]
max_affected = 50

[default]
actions = ["resume"]
"""


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    """Read the file above."""
    path = tmp_path / "policy.toml"
    path.write_text(TEXT)
    return read_rules(path)


def test_a_file_is_read_as_it_stands(rules: Rules) -> None:
    """Every member has its place, and what is not said has the careful value."""
    (rule,) = rules.rule
    assert (rule.name, rule.users, rule.roots) == ("billing", ("billing", "billing-*"), (ROOT,))
    assert rules.default == Grant(actions=("resume",))
    assert rules.require_user_id
    assert Grant().cascade is False


@pytest.mark.parametrize(
    ("user", "name"),
    [("billing", "billing"), ("billing-eu", "billing"), ("Billing", "default"), ("", "default")],
)
def test_a_rule_speaks_for_those_whom_it_names(rules: Rules, user: str, name: str) -> None:
    """Shell patterns, case-sensitive; whom no rule names gets the default."""
    assert rules.grant_of(user)[0] == name


def test_the_first_rule_that_names_a_user_speaks() -> None:
    """A later, wider rule gives nothing to whom an earlier one names."""
    narrow = Rule(name="narrow", users=("x",), actions=("pause",))
    wide = Rule(name="wide", users=("*",), cascade=True)
    assert Rules(rule=(narrow, wide)).grant_of("x") == ("narrow", narrow)


def test_without_a_user_id_nothing_is_allowed_unless_it_is_not_required() -> None:
    """No pattern matches nobody, not even a star."""
    everybody = Rule(name="all", users=("*",), cascade=True)
    assert Rules(rule=(everybody,)).grant_of(None) == ("require_user_id", None)
    assert Rules(rule=(everybody,), require_user_id=False).grant_of(None) == ("default", None)


@pytest.mark.parametrize(
    ("grant", "cascades", "refused"),
    [
        (None, False, "send any command"),
        (Grant(actions=("resume",)), False, "pause"),
        (Grant(), True, "pause with cascade"),
        (Grant(), False, None),
        (Grant(cascade=True), True, None),
        (Grant(roots=(ROOT,)), False, None),
        (Grant(roots=(uuid4(),)), False, "pause this workspace"),
        (Grant(roots=()), False, "pause this workspace"),
        (Grant(rate=1), False, None),
    ],
)
def test_what_is_not_granted_is_refused_and_named(
    grant: Grant | None, cascades: bool, refused: str | None
) -> None:
    """Each limit refuses by itself."""
    path = frozenset({uuid4(), ROOT})
    assert refusal(grant, "pause", path, cascades=cascades) == refused


def test_where_nobody_looked_above_roots_refuse_nothing() -> None:
    """What is refused for its rate is not looked up for that."""
    assert refusal(Grant(roots=()), "pause", None, cascades=False) is None


def test_a_rate_has_a_minutes_worth_at_once_where_nothing_else_is_said() -> None:
    """And one command at least."""
    for grant, burst in ((Grant(rate=90.5), 90), (Grant(rate=0.5), 1), (Grant(rate=6, burst=2), 2)):
        limit = Policy(rules=Rules(default=grant)).limit_of("x")
        assert limit is not None
        assert (limit.rule, limit.rate, limit.burst) == ("default", grant.rate, burst)


def test_the_lowest_cap_holds(rules: Rules) -> None:
    """A rule's cap, the setting's and the caller's own."""
    policy = Policy(rules=rules, max_cascade=60)
    assert policy.cap(None, "billing") == 50
    assert policy.cap(10, "billing") == 10
    assert policy.cap(None, "other") == 60


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rule]", "is no TOML"),
        ("[[rule]]\nname = 'x'\nusers = []", "rule.0.users"),
        ("[[rule]]\nusers = ['x']", "rule.0.name"),
        ("[[rule]]\nname = 'x'\nusers = ['x']\ncascad = true", "rule.0.cascad"),
        ("[[rule]]\nname = 'x'\nusers = ['x']\ncascade = 'yes'", "rule.0.cascade"),
        ("[[rule]]\nname = 'x'\nusers = ['x']\nroots = ['x']", "rule.0.roots.0"),
        ("[[rule]]\nname = 'x'\nusers = ['x']\nmax_affected = 0", "rule.0.max_affected"),
        ("[[rule]]\nname = 'x'\nusers = ['x']\nactions = ['stop']", "rule.0.actions.0"),
        ("[default]\nrate = 0", "default.rate"),
        ("[default]\nrate = 'many'", "default.rate"),
        ("[default]\nrate = 60\nburst = 0", "default.burst"),
        ("[default]\nburst = 5", "default: .*burst goes with rate"),
        ("program = ['']", "program.0"),
        ("executors = 'executor'", "executors"),
        ("rules = 1", "rules"),
    ],
)
def test_a_wrong_file_is_named_with_the_place(tmp_path: Path, text: str, said: str) -> None:
    """A misspelt rule must not pass as none."""
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=said) as refused:
        read_rules(path)
    assert str(path) in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """It ends the start: no file must not mean no rules."""
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        read_rules(tmp_path / "none.toml")
