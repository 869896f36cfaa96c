"""Who we are to the broker: the `user_id` under which it takes our messages, and no other."""

from urllib.parse import parse_qsl, unquote, urlsplit

from consumer.broker.nodes import urls_of


def user_of(url: str) -> str | None:
    """Give the user as whom the broker knows the connections to a URL.

    That is `user_id=` in its query, or else its user. None where that is left empty, and with
    `auth=external`: which name is read out of a certificate is known to the broker alone. Of
    several URLs the first tells: they have one user.
    """
    parts = urlsplit(urls_of(url)[0])
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "user_id" in query:
        return query["user_id"] or None
    if query.get("auth", "plain").lower() != "plain":
        return None
    return unquote(parts.username or "guest")
