"""Who we are to the broker, as far as a URL tells."""

import pytest

from consumer.broker.identity import user_of


@pytest.mark.parametrize(
    ("url", "user"),
    [
        ("amqp://lifecycle:secret@host/vhost", "lifecycle"),
        ("amqp://an%40other:secret@host", "an@other"),
        ("amqp://host/vhost", "guest"),
        ("amqps://host/?auth=EXTERNAL&certfile=c", None),
        ("amqps://host/?auth=external&user_id=CN%3Dlifecycle", "CN=lifecycle"),
        ("amqp://token:secret@host/?user_id=lifecycle", "lifecycle"),
        ("amqp://token:secret@host/?user_id=", None),
        ("amqp://me:secret@host/?auth=plain", "me"),
    ],
)
def test_the_url_tells_the_user(url: str, user: str | None) -> None:
    """What is said outright counts; a certificate's or a token's name cannot be guessed."""
    assert user_of(url) == user
