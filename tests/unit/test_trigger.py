"""The triggers file: what it says, and what ends the start."""

from pathlib import Path
from typing import Any

import pytest

from consumer.trigger import Trigger, Triggers, read_triggers, routes, value_at
from schemas.topology import EXCHANGES

TEXT = """
[[trigger]]
name = "budget"
exchange = "billing"
routing_key = "billing.budget.exceeded"
action = "pause"
workspace = "$.data.workspace_id"
cascade = true
max_affected = 50
reason = "budget exceeded"
when = {"$.data.level" = "hard", "$.data.attempt" = 1}

[[trigger]]
name = "paid"
exchange = "billing"
routing_key = "billing.*.paid"
action = "resume"
workspace = "$.data.workspace_id"
reason = "$.data.note"
app_id = "billing-resumes"
"""
LEAST: dict[str, Any] = {
    "name": "least",
    "exchange": "billing",
    "routing_key": "#",
    "action": "pause",
    "workspace": "$.id",
}


def rule(**members: Any) -> Trigger:
    """Make a rule of the least there is, and what is given."""
    return Trigger.model_validate(LEAST | members)


def test_a_file_is_read_as_it_stands(tmp_path: Path) -> None:
    """Every member has its place, and what is not said has the careful value."""
    path = tmp_path / "triggers.toml"
    path.write_text(TEXT)
    budget, paid = read_triggers(path).trigger
    assert (budget.cascade, budget.max_affected, budget.sender) == (True, 50, "trigger:budget")
    assert (paid.cascade, paid.max_affected, paid.sender) == (False, None, "billing-resumes")
    assert read_triggers(path).bindings == (
        ("billing", "billing.budget.exceeded"),
        ("billing", "billing.*.paid"),
    )
    assert str(budget) == (
        "budget: billing.budget.exceeded on billing -> pause $.data.workspace_id, with cascade, "
        "at most 50, when $.data.level is 'hard', when $.data.attempt is 1, as trigger:budget"
    )


@pytest.mark.parametrize("path", ["$.a", "$.data.workspace_id", "$.a-b._c.d1"])
def test_dotted_names_are_a_path(path: str) -> None:
    """That is the whole of it."""
    assert rule(workspace=path).workspace == path


@pytest.mark.parametrize(
    "path",
    ["", "$", "$.", "data.id", "$.a[0]", "$['a']", "$..a", "$.*", "$.a.", "$.a b", "$.1", "$.a\n"],
)
def test_any_other_path_is_refused(path: str) -> None:
    """With what is understood, at the start rather than at the first event."""
    for member in ({"workspace": path}, {"when": {path: "x"}}):
        with pytest.raises(ValueError, match="dotted names from"):
            rule(**member)


def test_a_reason_that_begins_like_a_path_has_to_be_one() -> None:
    """Nobody gets '$.data[0]' as the reason in the trail."""
    assert rule(reason="over $5").reason == "over $5"
    with pytest.raises(ValueError, match="dotted names from"):
        rule(reason="$.data[0]")


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_an_exchange_of_ours_can_be_no_source(exchange: str) -> None:
    """What the program says would make it act, and say more."""
    with pytest.raises(ValueError, match="its own messages can be no trigger"):
        rule(exchange=exchange)


@pytest.mark.parametrize(
    "members",
    [
        {"name": ""},
        {"name": "n" * 61},
        {"exchange": ""},
        {"routing_key": "k" * 256},
        {"action": "stop"},
        {"cascade": "true"},
        {"max_affected": 0},
        {"reason": "r" * 1001},
        {"reason": "nul \0"},
        {"when": {"$.a": None}},
        {"when": {"$.a": ["x"]}},
        {"app_id": ""},
        {"app_id": "a" * 256},
        {"workspaces": "$.ids"},
    ],
)
def test_what_could_not_be_sent_is_refused(members: dict[str, Any]) -> None:
    """A misspelt member too: it must not pass as absent."""
    with pytest.raises(ValueError, match="validation error"):
        rule(**members)


def test_the_longest_name_still_makes_an_app_id() -> None:
    """AMQP has 255 bytes for it."""
    assert len(rule(name="\N{GRINNING FACE}" * 60).sender.encode()) <= 255


@pytest.mark.parametrize(
    ("triggers", "why"),
    [([], "at least 1"), ([LEAST, LEAST], "two triggers have the name 'least'")],
)
def test_a_file_has_rules_whose_names_differ(triggers: list[Any], why: str) -> None:
    """Commands of two rules with one name would have one id."""
    with pytest.raises(ValueError, match=why):
        Triggers.model_validate_json(f'{{"trigger": {triggers!r}}}'.replace("'", '"'))


@pytest.mark.parametrize(
    ("pattern", "key", "taken"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.b.c", False),
        ("a.b", "a", False),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.*", "a.b.c", False),
        ("*", "", False),
        ("#", "", True),
        ("#", "a.b.c", True),
        ("a.#", "a", True),
        ("a.#", "a.b.c", True),
        ("a.#.z", "a.z", True),
        ("a.#.z", "a.b.c.z", True),
        ("a.#.z", "a.b.c", False),
        ("#.b.#", "a.b.c", True),
        ("#.*", "", False),
        ("a.b", "a.B", False),
        ("a.+", "a.b", False),
    ],
)
def test_keys_are_taken_as_a_topic_exchange_takes_them(pattern: str, key: str, taken: bool) -> None:
    """`*` is one word and `#` any number of them."""
    assert routes(pattern, key) is taken


def test_a_rule_takes_what_comes_by_its_own_exchange() -> None:
    """The key alone says nothing: two exchanges may have the same."""
    assert rule(routing_key="a.#").takes("billing", "a.b")
    assert not rule(routing_key="a.#").takes("crm", "a.b")


@pytest.mark.parametrize(
    ("document", "holds"),
    [
        ({"data": {"level": "hard", "count": 1, "flag": True}}, True),
        ({"data": {"level": "hard", "count": 1.0, "flag": True}}, True),
        ({"data": {"level": "soft", "count": 1, "flag": True}}, False),
        ({"data": {"level": "hard", "count": True, "flag": True}}, False),
        ({"data": {"level": "hard", "count": 1, "flag": 1}}, False),
        ({"data": {"level": "hard", "count": "1", "flag": True}}, False),
        ({"data": {"level": "hard", "count": 1}}, False),
        ({"data": {"level": ["hard"], "count": 1, "flag": True}}, False),
        ({"data": "hard"}, False),
        ([], False),
        (None, False),
    ],
)
def test_when_compares_as_json_does(document: Any, holds: bool) -> None:
    """All of it has to stand there; true is no number, and a list is not what it holds."""
    when = {"$.data.level": "hard", "$.data.count": 1, "$.data.flag": True}
    assert rule(when=when).holds(document) is holds


def test_where_nothing_stands_there_is_none() -> None:
    """Whatever stands on the way."""
    assert value_at({"a": {"b": 1}}, "$.a.b") == 1
    assert value_at({"a": 1}, "$.a.b") is None
    assert value_at([1], "$.a") is None
