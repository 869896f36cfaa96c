"""Several URLs in one setting, separated by commas: the nodes of one cluster, tried in turn."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from urllib.parse import unquote, urlsplit

_BETWEEN = re.compile(r"\s*,\s*(?=amqps?://)")
"""A comma that a password or a vhost may have is not followed by a scheme."""


def urls_of(text: str) -> list[str]:
    """Take a setting apart; what holds one URL, or none, comes back as it is."""
    return _BETWEEN.split(text.strip())


def vhost_of(url: str) -> str:
    """Give the virtual host that a URL leads to."""
    return unquote(urlsplit(url).path[1:]) or "/"


class Nodes:
    """The nodes of one setting. First comes the one that let us in last, until it loses us.

    All connections of this process to them share this, so that none has to find out for itself.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self.urls = urls
        self._first = 0

    def in_turn(self) -> Iterator[str]:
        """Give each once, beginning with the one that is likely to be there."""
        first = self._first
        yield from (*self.urls[first:], *self.urls[:first])

    def reached(self, url: str) -> None:
        """Begin with this one."""
        self._first = self.urls.index(url)

    def lost(self, url: str) -> None:
        """Begin with the one behind this one, unless others have found a better one since."""
        if self.urls[self._first] == url:
            self._first = (self._first + 1) % len(self.urls)


@lru_cache
def nodes_of(text: str) -> Nodes:
    """Give the nodes of a setting, always the same ones."""
    return Nodes(urls_of(text))
