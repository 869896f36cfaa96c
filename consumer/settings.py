"""The environment, read once into a frozen value."""

import os
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from consumer.rules import Rules, read_rules
from consumer.trigger import Triggers, read_triggers


def _words(value: object) -> object:
    """Read `a, b` as two words: the form people write in an environment file."""
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(",") if word.strip())
    return value


def _rules(value: object) -> object:
    """Read the file that is named."""
    return read_rules(Path(value)) if isinstance(value, str) else value


def _triggers(value: object) -> object:
    """Read the file that is named."""
    return read_triggers(Path(value)) if isinstance(value, str) else value


class CredentialError(Exception):
    """A credential is not to be had from where it was said to be; the text shows none of it."""


def credential(variable: str) -> str | None:
    """Give a credential from the environment, or from the file that `variable`_FILE names.

    Raises:
        CredentialError: both are given, or the file holds none.

    """
    given, path = os.environ.get(variable), os.environ.get(f"{variable}_FILE")
    if not path:
        return given
    if given:
        raise CredentialError(f"{variable} and {variable}_FILE are both set: unset one of them")
    return _held(Path(path), f"{variable}_FILE")


def _held(path: Path, variable: str) -> str:
    try:
        text = path.read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise CredentialError(f"{variable}: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CredentialError(f"{variable}: {path} is no text") from None
    if not text or "\n" in text:
        raise CredentialError(f"{variable}: {path} has to hold one line, and nothing else")
    return text


CREDENTIALS = ("amqp_url", "database_url", "console_token")
_YEAR = 31_536_000
_ADDRESS = r"^.*:([0-5]?\d{1,4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])$"
"""host:port. A port above 65535 would be taken modulo 65536, which nobody means."""
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]


class Declared(BaseSettings):
    """All that declaring the topology depends on: what the audit stream keeps, and triggers."""

    model_config = SettingsConfigDict(
        env_prefix="LIFECYCLE_", frozen=True, hide_input_in_errors=True, extra="ignore"
    )

    audit_max_age: Annotated[str, Field(pattern=r"^[1-9]\d*[YMDhms]$")] | None = Field(
        None, description="how long the audit stream keeps messages, as in 30D; else for ever"
    )
    audit_max_bytes: Annotated[int, Gt(0)] | None = Field(
        None, description="how many bytes the audit stream keeps; no limit where it is not set"
    )
    triggers_file: Annotated[Triggers | None, NoDecode, BeforeValidator(_triggers)] = Field(
        None, description="TOML: which events of other services ask for a pause or a resume"
    )


class Settings(Declared):
    """Every setting, with its default. Names in the environment begin with `LIFECYCLE_`.

    Those in `CREDENTIALS` may come from files instead: see `credential`.
    """

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *sources: Any, **named: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Ask for credentials before the environment is asked for everything."""
        told = {name: credential(f"LIFECYCLE_{name.upper()}") for name in CREDENTIALS}
        found = {name: value for name, value in told.items() if value is not None}
        given: list[PydanticBaseSettingsSource] = [*sources, *named.values()]
        return given[0], InitSettingsSource(settings_cls, found), *given[1:]

    amqp_url: SecretStr = Field(
        description="RabbitMQ, amqp:// or amqps://, with its vhost; commas between several nodes"
    )
    database_url: SecretStr = Field(description="PostgreSQL, postgresql://")
    implicit_cascade: Literal["reject", "deprecated"] = Field(
        "reject", description="what an absent cascade flag means where descendants exist"
    )
    implicit_cascade_apps: Words = Field(
        (), description="app_ids for which implicit_cascade is deprecated, whatever it is otherwise"
    )
    max_cascade: Annotated[int, Gt(0)] | None = Field(
        None, description="most workspaces one command may change; no cap where it is not set"
    )
    max_listed: Annotated[int, Ge(0), Le(1_000_000)] = Field(
        10_000, description="where lists in events are cut; the count beside them is whole"
    )
    max_body: Annotated[int, Gt(0)] = Field(
        65_536, description="largest command body in bytes, refused before it is parsed"
    )
    reply_to_allow: Words = Field(
        ("amq.gen-*",), description="reply queues that are answered, beside direct reply-to"
    )
    allow_apps: Words = Field(("*",), description="app_ids that may send commands; others get 403")
    policy_file: Annotated[Rules | None, NoDecode, BeforeValidator(_rules)] = Field(
        None, description="TOML: who may do what, by the user_id that the broker verified"
    )
    console_token: SecretStr | None = Field(
        None, min_length=16, description="who has it may see the console from elsewhere"
    )
    settle_timeout: Annotated[float, Gt(0), Le(_YEAR)] = Field(
        900.0, description="seconds until an outcome that did not come counts as timed out"
    )
    executor: Literal["ec2", "simulated", "none"] = Field(
        "ec2", description="who carries stops and starts out; none: somebody else's program"
    )
    ec2_hibernate: bool = Field(
        False, description="hibernate instances that were launched for it instead of stopping them"
    )
    simulated_delay: Annotated[float, Ge(0), Le(_YEAR)] = Field(
        0.2, description="seconds a simulated stop or start takes"
    )
    simulated_failures: Annotated[float, Ge(0), Le(1)] = Field(
        0.0, description="share of simulated stops and starts that fail, 0 to 1"
    )
    prefetch: Annotated[int, Gt(0), Le(65_535)] = Field(
        64, description="commands in hand at once in one process"
    )
    database_connections: Annotated[int, Gt(1)] = Field(
        10, description="connections of one process to PostgreSQL, beside two that listen"
    )
    archive_url: Annotated[str, Field(pattern=r"^s3://[^/]+")] | None = Field(
        None, description="s3://bucket/prefix of the archive; none is written where it is not set"
    )
    archive_every: Annotated[float, Gt(0), Le(86_400)] = Field(
        60.0, description="seconds until what is in the stream is in the archive, at most"
    )
    archive_encryption: Annotated[str, Field(pattern=r"^(AES256|aws:kms(:.+)?)$")] | None = Field(
        None, description="AES256, or aws:kms with :key; the bucket's default where it is not set"
    )
    archive_lock_days: Annotated[int, Ge(0), Le(36_500)] = Field(
        0, description="days for which S3 keeps an object from being changed or removed"
    )
    keep_days: Annotated[float, Gt(0), Le(36_500)] | None = Field(
        None, description="days that settled operations are kept once archived; else for ever"
    )
    listen: Annotated[str, Field(pattern=_ADDRESS)] | None = Field(
        None, description="host:port of health and metrics; not served where it is not set"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe line that is logged"
    )


_PREFIX = "LIFECYCLE_"
_ENDS = [
    *(name.upper() for name in Settings.model_fields),
    *(f"{name}_FILE".upper() for name in CREDENTIALS),
]
_ALIKE = 0.7
"""From which likeness on a name is one of ours, misspelt. A platform has names of its own that
begin like ours: Kubernetes gives each container the address of a Service called lifecycle."""


def misspelt(names: Collection[str]) -> Mapping[str, str]:
    """Give the variables that nobody reads, each with the setting that was probably meant.

    A cap or a policy under another name is none, and nothing else would say so.
    """
    ours = sorted(name for name in names if name.upper().startswith(_PREFIX))
    ends = {name: name.upper().removeprefix(_PREFIX) for name in ours}
    found = {name: get_close_matches(end, _ENDS, 1, _ALIKE) for name, end in ends.items()}
    return {
        name: f"{_PREFIX}{meant[0]}"
        for name, meant in found.items()
        if meant and meant[0] != ends[name]
    }
