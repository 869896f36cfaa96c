"""URLs: what is wrong with one is said, and nothing of its secrets."""

from pathlib import Path

import pytest

from consumer.address import AddressError, check_files, query_of
from consumer.tls import Names

NAMES = Names(ca="ca", certificate="cert", key="key")
EXAMPLE = "db://USER:PASSWORD@HOST"


@pytest.mark.parametrize(
    ("url", "query"),
    [
        ("db://me:secret@host/name", {}),
        ("db://me:secret@host:5432/name?a=b&c=d", {"a": "b", "c": "d"}),
        ("db://me:se%40cret%2F@one:1,two:2/name", {}),
        ("db://me@[::1]:5432/name", {}),
        ("db:///name?host=/run/db", {"host": "/run/db"}),
        ("db://host?user_id=me@here", {"user_id": "me@here"}),
        ("db://host?user_id=", {}),
    ],
)
def test_a_url_that_can_be_used_gives_its_query(url: str, query: dict[str, str]) -> None:
    """Several hosts, IPv6, and no host at all are for the library to judge."""
    assert query_of(url, ("db",), EXAMPLE) == query


@pytest.mark.parametrize(
    "url",
    [
        "",
        "secret",
        "other://me:secret@host",
        "db://me:secret@host:port",
        "db://me:secret@host:77777",
        "db://me:77/secret@host/name",
        "db://me:77#secret@host/name",
        "db://me:77?secret@host/name",
        "db://me:77?a=secret@host/name",
        "db://me:77@secret@host/name",
        "db://me:77[secret@host/name",
        "db://host/name?secret",
    ],
)
def test_what_is_part_of_a_password_is_not_taken_for_anything_else(url: str) -> None:
    """It says how to write it, and shows no part of it: libraries would."""
    with pytest.raises(AddressError) as caught:
        query_of(url, ("db",), EXAMPLE)
    assert EXAMPLE in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "77" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Which one, under which name, and why; a library would only say that there is no file."""
    there = tmp_path / "ca.pem"
    there.touch()
    check_files({"ca": str(there), "other": "/nowhere"}, NAMES)
    with pytest.raises(AddressError, match=r"^key=/nowhere cannot be read: No such file"):
        check_files({"ca": str(there), "key": "/nowhere"}, NAMES)
