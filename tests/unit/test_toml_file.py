"""A TOML file read into a model: what is wrong is named and never shown."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from consumer.toml_file import read_file


class Model(BaseModel):
    """What the files below are read into."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    count: int


def test_a_file_is_read(tmp_path: Path) -> None:
    """Into the model that is asked for."""
    path = tmp_path / "file.toml"
    path.write_text("count = 3")
    assert read_file(path, Model) == Model(count=3)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("count = 'secret'", "count: Input should be a valid integer"),
        ("count = 1\nsecret = 1", "secret: Extra inputs are not permitted"),
        ("count =", "is no TOML"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(tmp_path: Path, text: str, why: str) -> None:
    """The place is told, the value is not."""
    path = tmp_path / "file.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=why) as caught:
        read_file(path, Model)
    assert str(path) in str(caught.value)
    assert "'secret'" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the system's own reason."""
    with pytest.raises(ValueError, match=r"absent\.toml cannot be read: No such file"):
        read_file(tmp_path / "absent.toml", Model)
