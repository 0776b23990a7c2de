"""Reading a YAML file into a strict model; errors name the file, the key and the value."""

import json
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from cyrene_assets.errors import UserError

Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def parse_model(model: type[Model], path: Path) -> Model:
    """Read a YAML file into ``model``.

    Raises:
        UserError: the file cannot be read, is not YAML, or does not fit the model; the message
            names the file and every key that is wrong, with its value.
    """
    try:
        found: Model = _parsed(model, path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from error
    except ValidationError as error:
        raise UserError(f"{path}:\n{_explain(error)}") from error
    return found


@lru_cache(maxsize=64)
def _parsed(model: type[Model], text: str) -> Model:
    """Parse a text once: the daemon asks for the same files every few seconds."""
    return model.model_validate(yaml.safe_load(text))


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"]) or "(the whole file)"
        value = json.dumps(problem["input"], ensure_ascii=False, default=str)
        given = "" if problem["type"] == "missing" else f", got {value[:120]}"
        lines.append(f"  {key}: {problem['msg']}{given}")
    return "\n".join(lines)
