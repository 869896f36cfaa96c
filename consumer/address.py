"""URLs of servers, with passwords in them: what is wrong with one is said without repeating it."""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlsplit

from consumer.foreseen import ForeseenError
from consumer.tls import Names

_MAY_HOLD_AT = frozenset({"user_id", "user", "password"})


class AddressError(Exception):
    """A URL that cannot be used; the text says why, and shows nothing of it but file names."""


class TakenError(ForeseenError):
    """An address cannot be listened on."""


@contextmanager
def taking(host: str, port: int, where: str) -> Iterator[None]:
    """Tell what keeps somebody from listening on an address that is set in `where`.

    Raises:
        TakenError: naming both.

    """
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise TakenError(f"cannot listen on {host}:{port}: {why}: see {where}") from error


def query_of(url: str, schemes: Collection[str], example: str) -> Mapping[str, str]:
    """Give the query of a URL that can be used, written like `example`.

    Raises:
        AddressError: it cannot be read, or only because part of a password is taken for a host.

    """
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    except ValueError:
        raise _unusable(example) from None
    user, _, hosts = parts.netloc.rpartition("@")
    told = {value for name, value in query.items() if name not in _MAY_HOLD_AT}
    strayed = "@" in f"{user}{parts.path}" or (not user and any("@" in value for value in told))
    sound = parts.scheme in schemes and not parts.fragment
    if strayed or not sound or not all(map(_is_host, hosts.split(","))):
        raise _unusable(example)
    return query


def place(url: str) -> str:
    """Show where a URL that can be used leads, and nothing of who goes there."""
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"


def check_files(query: Mapping[str, str], names: Names) -> None:
    """Make sure that the files of TLS that a query names can be read.

    Raises:
        AddressError: naming the one that cannot.

    """
    for name in (names.ca, names.certificate, names.key):
        if path := query.get(name):
            try:
                os.close(os.open(path, os.O_RDONLY))
            except OSError as error:
                raise AddressError(f"{name}={path} cannot be read: {error.strerror}") from None


def _is_host(text: str) -> bool:
    """Tell a host, with or without a port, from part of a password."""
    _, colon, port = text.rpartition("]")[2].partition(":")
    return not colon or (port.isdecimal() and int(port) < 2**16)


def _unusable(example: str) -> AddressError:
    return AddressError(
        f"this URL cannot be read: say {example}, and in a user or password %2F for /, %3F for ?, "
        "%23 for #, %40 for @"
    )
