"""Users of the broker, each with the rights that a test gives them, gone with their block."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

from consumer.devstack.management import call

EVERYTHING: Mapping[str, str] = {"configure": ".*", "write": ".*", "read": ".*"}


@contextmanager
def user_on(
    management_url: str, amqp_url: str, name: str, rights: Mapping[str, str] = EVERYTHING
) -> Iterator[str]:
    """Create a user whose name begins with `name`, with rights on a vhost; give its AMQP URL."""
    parts, secret = urlsplit(amqp_url), uuid4().hex
    user, vhost = f"{name}-{uuid4().hex[:8]}", parts.path[1:]
    call(management_url, "PUT", f"users/{user}", {"password": secret, "tags": ""})
    try:
        call(management_url, "PUT", f"permissions/{vhost}/{user}", dict(rights))
        host = parts.netloc.rpartition("@")[2]
        yield urlunsplit(parts._replace(netloc=f"{user}:{secret}@{host}"))
    finally:
        call(management_url, "DELETE", f"users/{user}")
