"""The environment, read once."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from consumer.settings import CREDENTIALS, CredentialError, Settings, misspelt

AMQP = "amqp://lifecycle:hunter2@broker:5672/prod"
DATABASE = "postgresql://lifecycle:hunter2@database:5432/platform"
DEFAULTS: dict[str, Any] = {
    "implicit_cascade": "reject",
    "implicit_cascade_apps": (),
    "max_cascade": None,
    "max_listed": 10_000,
    "max_body": 65_536,
    "reply_to_allow": ("amq.gen-*",),
    "executor": "ec2",
    "allow_apps": ("*",),
}
BEYOND_THE_CONTRACT = {
    "allow_apps",
    "archive_encryption",
    "archive_every",
    "archive_lock_days",
    "archive_url",
    "audit_max_age",
    "audit_max_bytes",
    "keep_days",
    "policy_file",
    "triggers_file",
    "console_token",
    "ec2_hibernate",
    "simulated_delay",
    "simulated_failures",
    "prefetch",
    "database_connections",
    "log_level",
}
CONTRACT = {
    "amqp_url",
    "database_url",
    "implicit_cascade",
    "implicit_cascade_apps",
    "max_cascade",
    "max_listed",
    "max_body",
    "reply_to_allow",
    "settle_timeout",
    "executor",
    "listen",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Give an environment of the two URLs and no other setting of ours."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"LIFECYCLE_{name.upper()}", raising=False)
        monkeypatch.delenv(f"LIFECYCLE_{name.upper()}_FILE", raising=False)
    monkeypatch.setenv("LIFECYCLE_AMQP_URL", AMQP)
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", DATABASE)
    return monkeypatch


def read() -> Settings:
    """Read the environment as the program does."""
    return Settings()


def test_the_two_urls_are_all_it_needs() -> None:
    """`run` needs no other configuration, and every default is the contract's."""
    settings = read()
    assert settings.amqp_url.get_secret_value() == AMQP
    assert settings.database_url.get_secret_value() == DATABASE
    assert {name: getattr(settings, name) for name in DEFAULTS} == DEFAULTS
    assert settings.listen is None


def test_the_contracts_names_are_read() -> None:
    """Each setting that the contract names exists, and each other one is known here."""
    assert set(Settings.model_fields) == CONTRACT | BEYOND_THE_CONTRACT


@pytest.mark.parametrize("name", ["amqp_url", "database_url"])
def test_without_a_url_it_says_which(environment: pytest.MonkeyPatch, name: str) -> None:
    """A missing setting is named."""
    environment.delenv(f"LIFECYCLE_{name.upper()}")
    with pytest.raises(ValidationError, match=name):
        read()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("IMPLICIT_CASCADE", "deprecated", "deprecated"),
        ("IMPLICIT_CASCADE_APPS", "console, cli", ("console", "cli")),
        ("IMPLICIT_CASCADE_APPS", "", ()),
        ("IMPLICIT_CASCADE_APPS", " , ,", ()),
        ("IMPLICIT_CASCADE_APPS", '["console"]', ('["console"]',)),
        ("MAX_CASCADE", "500", 500),
        ("MAX_LISTED", "0", 0),
        ("MAX_BODY", "1", 1),
        ("REPLY_TO_ALLOW", "amq.gen-*,replies.*", ("amq.gen-*", "replies.*")),
        ("REPLY_TO_ALLOW", "", ()),
        ("ALLOW_APPS", "console", ("console",)),
        ("SETTLE_TIMEOUT", "1.5", 1.5),
        ("EXECUTOR", "none", "none"),
        ("EXECUTOR", "simulated", "simulated"),
        ("LISTEN", "0.0.0.0:8080", "0.0.0.0:8080"),
    ],
)
def test_a_setting_is_read_from_the_environment(
    environment: pytest.MonkeyPatch, name: str, text: str, value: object
) -> None:
    """`LIFECYCLE_` and its name in capitals, as people write it in an environment file."""
    environment.setenv(f"LIFECYCLE_{name}", text)
    assert getattr(read(), name.lower()) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("IMPLICIT_CASCADE", "allow"),
        ("IMPLICIT_CASCADE", "Deprecated"),
        ("MAX_CASCADE", "0"),
        ("MAX_CASCADE", "-1"),
        ("MAX_CASCADE", "many"),
        ("MAX_LISTED", "-1"),
        ("MAX_BODY", "0"),
        ("MAX_BODY", "64 KiB"),
        ("SETTLE_TIMEOUT", "0"),
        ("SETTLE_TIMEOUT", "nan"),
        ("SETTLE_TIMEOUT", "inf"),
        ("SETTLE_TIMEOUT", "1e12"),
        ("SIMULATED_DELAY", "-1"),
        ("SIMULATED_DELAY", "inf"),
        ("SIMULATED_FAILURES", "1.5"),
        ("EXECUTOR", "ssh"),
        ("PREFETCH", "0"),
        ("PREFETCH", "70000"),
        ("DATABASE_CONNECTIONS", "1"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(
    environment: pytest.MonkeyPatch, name: str, text: str
) -> None:
    """A mistake ends the start and not the night: the setting is named, its value is not shown."""
    environment.setenv(f"LIFECYCLE_{name}", text)
    with pytest.raises(ValidationError, match=name.lower()) as refused:
        read()
    assert "input_value" not in str(refused.value)


def test_other_programs_settings_are_none_of_ours(environment: pytest.MonkeyPatch) -> None:
    """Only names with the prefix count."""
    environment.setenv("MAX_CASCADE", "1")
    environment.setenv("LIFECYCLE_SOMETHING_NEW", "1")
    assert read().max_cascade is None


def test_passwords_are_in_no_text_of_settings() -> None:
    """Neither repr nor str nor a dump shows what stands in the URLs."""
    settings = read()
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert "hunter2" not in text


def test_passwords_are_in_no_error(environment: pytest.MonkeyPatch) -> None:
    """A mistake in another setting does not print the environment."""
    environment.setenv("LIFECYCLE_EXECUTOR", "hunter2")
    environment.delenv("LIFECYCLE_DATABASE_URL")
    with pytest.raises(ValidationError) as refused:
        read()
    assert "hunter2" not in str(refused.value)


def test_settings_are_a_value() -> None:
    """Read once, they do not change."""
    with pytest.raises(ValidationError, match="frozen"):
        read().max_body = 1  # type: ignore[misc]  # that it is frozen is tried
    assert read() == read()


def test_every_setting_says_what_it_is() -> None:
    """The command line and the docs can show each one."""
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("name", CREDENTIALS)
def test_a_credential_may_come_from_a_file(
    environment: pytest.MonkeyPatch, tmp_path: Path, name: str, end: str
) -> None:
    """As secrets are mounted, with or without the end of the line; the variable stays unset."""
    path = tmp_path / name
    path.write_bytes(f"secret-of-16-or-more{end}".encode())
    environment.delenv(f"LIFECYCLE_{name.upper()}", raising=False)
    environment.setenv(f"LIFECYCLE_{name.upper()}_FILE", str(path))
    found = getattr(Settings(), name)
    assert found.get_secret_value() == "secret-of-16-or-more"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "has to hold one line"),
        (b"\n", "has to hold one line"),
        (b"hunter2\nhunter2", "has to hold one line"),
        (b"\xffhunter2", "is no text"),
    ],
)
def test_a_file_without_a_credential_is_named_with_its_variable(
    environment: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, said: str
) -> None:
    """What is wrong with it is said, and nothing of what it holds."""
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    environment.delenv("LIFECYCLE_AMQP_URL")
    environment.setenv("LIFECYCLE_AMQP_URL_FILE", str(path))
    with pytest.raises(CredentialError, match=rf"^LIFECYCLE_AMQP_URL_FILE: .*{said}") as caught:
        Settings()
    assert str(path) in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_of_two_credentials_neither_is_taken(environment: pytest.MonkeyPatch) -> None:
    """Which of them was meant cannot be known; a variable that is empty is not set."""
    environment.setenv("LIFECYCLE_AMQP_URL_FILE", "/nowhere")
    with pytest.raises(CredentialError, match="LIFECYCLE_AMQP_URL_FILE are both set: unset one"):
        Settings()
    environment.setenv("LIFECYCLE_AMQP_URL_FILE", "")
    assert Settings().amqp_url.get_secret_value() == AMQP


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("LIFECYCLE_MAX_CASCDE", "LIFECYCLE_MAX_CASCADE"),
        ("LIFECYCLE_POLICY_FIEL", "LIFECYCLE_POLICY_FILE"),
        ("LIFECYCLE_POLICY", "LIFECYCLE_POLICY_FILE"),
        ("LIFECYCLE_DATABASE_URL_FLIE", "LIFECYCLE_DATABASE_URL_FILE"),
        ("LIFECYCLE_MAX_CASCADE", None),
        ("lifecycle_max_cascade", None),
        ("LIFECYCLE_AMQP_URL_FILE", None),
        ("LIFECYCLE_MANAGEMENT_URL", None),
        ("LIFECYCLE_SERVICE_HOST", None),
        ("LIFECYCLE_SERVICE_PORT", None),
        ("LIFECYCLE_PORT_8080_TCP_ADDR", None),
        ("MAX_CASCADE", None),
    ],
)
def test_a_misspelt_setting_is_told_from_names_that_are_not_ours(
    name: str, meant: str | None
) -> None:
    """One letter may be the cap; what Kubernetes puts beside our settings is no mistake."""
    assert misspelt([name]) == ({name: meant} if meant else {})
