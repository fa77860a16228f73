"""What is wrong with settings, in words: the path in the YAML, what it got, what was expected, what was meant."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from vlmine_dagster.domain.hints import close_to
from vlmine_dagster.settings.providers import KIND_PROBLEM, ProviderSettings

_FOLLOWS = "default_factory_not_called"
"""What pydantic says of a default that depends on a setting which is wrong: the other problem is the one to tell."""

_SECRET = re.compile(r"key|token|secret|password|credential", re.IGNORECASE)


def explain_problems(error: ValidationError, model: type[BaseModel], content: Any) -> str:
    """Return a line of all wrong settings, each with its path as in the YAML.

    Args:
        error: What pydantic raised.
        model: The settings as a whole.
        content: The parsed YAML.
    """
    return "; ".join(_message(found, model, content) for found in error.errors() if found["type"] != _FOLLOWS)


def _message(problem: Any, model: type[BaseModel], content: Any) -> str:
    place, context = _yaml_path(problem["loc"], content), problem.get("ctx", {})
    path = ".".join(place) or "top level"
    got = f"got {_shown(path, problem['input'])}"
    match problem["type"]:
        case "extra_forbidden":
            names = [name for owner in _owners(model, problem["loc"][:-1], content) for name in owner.model_fields]
            message = f": there is no such setting{close_to(place[-1], names)}, {got}"
        case provider_problem if provider_problem == KIND_PROBLEM:
            message = f".kind: {problem['msg']}"
        case "literal_error":
            known = re.findall(r"'([^']+)'", context["expected"])
            message = f": expected {', '.join(known)}, {got}{close_to(str(problem['input']), known)}"
        case "tuple_type":
            message = f": expected a list, {got}"
        case "missing" | "value_error":
            message = f": {problem['msg'].removeprefix('Value error, ')}"
        case _:
            message = f": {problem['msg']}, {got}"
    return path + message


def _yaml_path(parts: Sequence[str | int], content: Any) -> list[str]:
    """Return the parts of pydantic's path that are in the YAML: it names kinds of a union, and `[key]`, besides."""
    path = []
    for part in parts:
        inside: Any = dict(enumerate(content)) if isinstance(content, list) else content
        is_there = isinstance(inside, dict) and part in inside
        if is_there or (part is parts[-1] and part != "[key]" and isinstance(inside, dict)):
            path.append(str(part))
        content = inside[part] if is_there else content
    return path


def _owners(model: type[BaseModel], parts: Sequence[str | int], content: Any) -> list[type[BaseModel]]:
    """Return the models that can stand at pydantic's path; where a part has several kinds, the settings of its kind."""
    models = [model]
    for part in parts:
        inside: Any = dict(enumerate(content)) if isinstance(content, list) else content
        content = inside.get(part) if isinstance(inside, dict) else None
        inner = [found for owner in models if part in owner.model_fields for found in _models(owner, str(part))]
        models = [_of_kind(found, content) for found in inner] or models  # else the name of an experiment or a variant
    return models


def _of_kind(model: type[BaseModel], content: Any) -> type[BaseModel]:
    if not issubclass(model, ProviderSettings) or not isinstance(content, dict):
        return model
    return model.settings_of(content.get("kind", model.default_kind))


def _models(owner: type[BaseModel], field: str) -> Iterator[type[BaseModel]]:
    annotations = [owner.model_fields[field].annotation]
    while annotations:
        found = annotations.pop(0)
        if isinstance(found, type) and issubclass(found, BaseModel):
            yield found
        annotations += get_args(found)


def _is_count(path: str, value: Any) -> bool:
    """Whether a number of tokens was given: a key of digits alone is a number to YAML too."""
    return path.endswith("tokens") and isinstance(value, (int, float))


def _shown(path: str, value: Any) -> str:
    """Return a wrong value as far as it may be seen."""
    return (
        "a value that is not shown; keys belong in environment variables"
        if _SECRET.search(path) and not _is_count(path, value)
        else f"{str(value)[:80]!r}"
    )
