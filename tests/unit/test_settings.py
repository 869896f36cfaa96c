"""Settings: the contract's defaults, the environment's names, no secret in a text."""

import pytest
from pydantic import ValidationError

from consumer.settings import Settings


def test_two_urls_are_enough_and_the_defaults_are_the_contracts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`run` needs no other configuration than the two URLs."""
    monkeypatch.setenv("LIFECYCLE_AMQP_URL", "amqp://u:hunter2@h/")
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", "postgresql://u:hunter2@h/d")
    settings = Settings()
    assert settings.implicit_cascade == "reject"
    assert settings.reply_to_allow == ("amq.gen-*",)
    assert (settings.max_listed, settings.max_body) == (10_000, 65_536)
    assert (settings.max_cascade, settings.executor, settings.listen) == (None, "ec2", None)
    assert "hunter2" not in repr(settings)


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list in the environment is words between commas."""
    monkeypatch.setenv("LIFECYCLE_AMQP_URL", "amqp://h/")
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", "postgresql://h/d")
    monkeypatch.setenv("LIFECYCLE_IMPLICIT_CASCADE_APPS", "old-gateway, billing,")
    assert Settings().implicit_cascade_apps == ("old-gateway", "billing")


def test_an_error_does_not_repeat_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret set in the wrong place stays unsaid."""
    monkeypatch.setenv("LIFECYCLE_AMQP_URL", "amqp://h/")
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", "postgresql://h/d")
    monkeypatch.setenv("LIFECYCLE_EXECUTOR", "hunter2")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert "hunter2" not in str(caught.value)
