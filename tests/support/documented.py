"""What the docs tell one to type, read from there and carried out."""

import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from consumer.devstack.management import call
from tests.support.users import user_on

Users = Mapping[str, str]
"""AMQP URLs by the names that the page gives to users."""
DOCS = Path(__file__).parents[2] / "docs"


def block(language: str, containing: str, page: str = "security.md") -> str:
    """Give a page's one code block of a language in which something stands."""
    blocks = re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    (found,) = (one for one in blocks if containing in one)
    return str(found)


@contextmanager
def documented_users(management_url: str, amqp_url: str) -> Iterator[Users]:
    """Create each user of the block with the rights it has there; give their URLs by name."""
    lines = block("sh", "rabbitmqctl").replace("\\\n", "").splitlines()
    commands = [shlex.split(line) for line in lines if line.startswith("rabbitmqctl")]
    urls: dict[str, str] = {}
    vhost = urlsplit(amqp_url).path[1:]
    with ExitStack() as rooms:
        for _, verb, _, _, name, *rest in commands:
            if verb == "set_permissions":
                rights = dict(zip(("configure", "write", "read"), rest, strict=True))
                urls[name] = rooms.enter_context(user_on(management_url, amqp_url, name, rights))
            else:
                assert verb == "set_topic_permissions"
                topic = dict(zip(("exchange", "write", "read"), rest, strict=True))
                user = urlsplit(urls[name]).username
                call(management_url, "PUT", f"topic-permissions/{vhost}/{user}", topic)
        yield urls
