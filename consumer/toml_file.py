"""A file in TOML, read into a model; what is wrong is named by file and place, never shown."""

import json
import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


def read_file(path: Path, model: type[Model]) -> Model:
    """Read a file into a model.

    Raises:
        ValueError: it cannot be read, is no TOML, or says something that is not known here.

    """
    try:
        text = json.dumps(tomllib.loads(path.read_text("utf-8")), default=str)
        return model.model_validate_json(text)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise ValueError(f"{path}: {_first(error)}") from None
    except ValueError as error:
        raise ValueError(f"{path} is no TOML: {error}") from None


def _first(error: ValidationError) -> str:
    found = error.errors(include_input=False, include_url=False)[0]
    text = found["msg"].removeprefix("Value error, ")
    return f"{'.'.join(map(str, found['loc']))}: {text}"
