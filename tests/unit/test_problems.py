from urllib.parse import urlsplit

import pytest

from schemas.problems import OK, Code

CODES = pytest.mark.parametrize("code", list(Code), ids=lambda code: code.value)


def test_the_order_is_the_precedence_of_the_contract() -> None:
    """Where several refusals apply, the first of this list is the answer."""
    assert [code.value for code in Code] == [
        "invalid_command",
        "id_reused",
        "expired",
        "forbidden",
        "workspace_not_found",
        "ancestor_paused",
        "tree_changed",
        "descendants_exist",
        "blast_radius_exceeded",
    ]


def test_each_code_has_the_status_of_the_contract() -> None:
    """A gateway can give the status on as it stands."""
    assert {code.value: code.status for code in Code} == {
        "invalid_command": 422,
        "id_reused": 422,
        "expired": 412,
        "forbidden": 403,
        "workspace_not_found": 404,
        "ancestor_paused": 409,
        "tree_changed": 412,
        "descendants_exist": 409,
        "blast_radius_exceeded": 409,
    }
    assert OK == 200


@CODES
def test_each_problem_has_a_type_and_a_title(code: Code) -> None:
    """RFC 9457: a URI to key on, and a line for people that is the same for every occurrence."""
    assert urlsplit(code.type).scheme == "urn"
    assert code.type.endswith(f":{code.value}")
    assert code.heading[0].isupper()
    assert not code.heading.endswith(".")


def test_no_two_problems_are_the_same() -> None:
    """Readers key on the type, so types and titles differ."""
    assert len({code.type for code in Code}) == len(Code)
    assert len({code.heading for code in Code}) == len(Code)
