"""Every setting of `vlmine.yaml`, from the classes that read it: name, default, and the docstring under it."""

import ast
import inspect
import itertools
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from vlmine_dagster.domain.hints import asked_back
from vlmine_dagster.settings.providers import plugins_of

_PARTS_OF_OTHERS = ("variants",)  # they hold a describer and a keyworder, as the top does


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        path: Where it is in the file: `describer.model`.
        part: Path of the part whose kind has it; "" where no kind is asked for.
        kind: That kind: `openai`.
        default: As text; None where there is none, or where it holds other settings.
        is_required: Whether it must be given.
        meaning: What it does.
    """

    path: str
    part: str
    kind: str
    default: str | None
    is_required: bool
    meaning: str

    @property
    def names_kind(self) -> bool:
        """Whether it is the setting by which the kind is chosen."""
        return bool(self.kind) and self.path == f"{self.part}.kind"

    def is_about(self, words: Collection[str]) -> bool:
        """Whether each of some words, in lower case, is in its name, its kind or its meaning."""
        text = f"{self.path} {self.kind} {self.meaning}".lower()
        return all(word in text for word in words)


def settings_of(model: type[BaseModel]) -> list[Setting]:
    """Return the settings in the order of the file; what the kinds of a part share comes once, before the kinds."""
    return list(_fields(model, "", {}))


def about(words: Sequence[str], found: Sequence[Setting]) -> list[Setting]:
    """Return the settings that all words are about; of a kind that they are about, everything."""
    wanted = [word.lower() for word in words]
    whole = {(one.part, one.kind) for one in found if one.names_kind and one.is_about(wanted)}
    shown = {one for one in found if (one.part, one.kind) in whole or one.is_about(wanted)}
    kinds = {(one.part, one.kind) for one in shown}
    return [one for one in found if one in shown or (one.names_kind and (one.part, one.kind) in kinds)]


def nothing_about(words: Sequence[str], found: Sequence[Setting]) -> str:
    """Return the message that no setting is about some words, with what was meant by those that are in none."""
    known = {part for one in found for part in (*one.path.split("."), one.kind)}
    unknown = [word for word in words if not any(one.is_about([word.lower()]) for one in found)]
    return f"no setting is about {' and '.join(map(repr, words))}.{''.join(asked_back(one, known) for one in unknown)}"


def _fields(
    model: type[BaseModel],
    prefix: str,
    seen: dict[type[BaseModel], str],
    *,
    names: Collection[str] | None = None,
    part: tuple[str, str] = ("", ""),
) -> Iterator[Setting]:
    meanings = _meanings(model)
    for name in model.model_fields if names is None else names:
        field, path = model.model_fields[name], f"{prefix}{name}"
        inner = _models(field.annotation)
        known = next((seen[one] for one in inner if one in seen), None)
        meaning = meanings.get(name, "") + (f" Holds what `{known}` holds." if known else "")
        yield Setting(path, *part, None if inner else _default(field), field.is_required(), meaning.strip())
        if name not in _PARTS_OF_OTHERS:
            for one in inner:
                if one not in seen:
                    seen[one] = path
                    yield from _kinds(one, path, seen, part=part)


def _kinds(
    model: type[BaseModel], path: str, seen: dict[type[BaseModel], str], *, part: tuple[str, str]
) -> Iterator[Setting]:
    """Yield what is inside a setting: where it comes in several kinds, what they share, then each with its own."""
    offered = plugins_of(model)
    if offered is None:
        yield from _fields(model, f"{path}.", seen, part=part)
        return
    kinds = {kind: plugin.settings for kind, plugin in offered.items()}
    usual = _usual(list(kinds.values()))
    for name, settings in usual.items():
        yield from _fields(settings, f"{path}.", seen, names=[name], part=part)
    for kind, settings in kinds.items():
        yield Setting(f"{path}.kind", path, kind, None, is_required=False, meaning=_meanings(settings).get("kind", ""))
        own = [name for name in settings.model_fields if name != "kind" and not _is_usual(settings, name, usual)]
        yield from _fields(settings, f"{path}.", seen, names=own, part=(path, kind))


def _usual(kinds: Sequence[type[BaseModel]]) -> dict[str, type[BaseModel]]:
    """Return what all of several kinds have, each with one of the kinds that say of it what most of them do."""
    if len(kinds) < 2:
        return {}
    found = {}
    for name in kinds[0].model_fields:
        if name != "kind" and all(name in one.model_fields for one in kinds):
            descriptions = [_description(one, name) for one in kinds]
            found[name] = kinds[descriptions.index(max(descriptions, key=descriptions.count))]
    return found


def _is_usual(model: type[BaseModel], name: str, usual: Mapping[str, type[BaseModel]]) -> bool:
    return name in usual and _description(model, name) == _description(usual[name], name)


def _description(model: type[BaseModel], name: str) -> tuple[str | None, str]:
    return _default(model.model_fields[name]), _meanings(model).get(name, "")


def _default(field: FieldInfo) -> str | None:
    return None if field.is_required() else str(field.get_default(call_default_factory=True))


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstring under each setting, on one line."""
    owners = reversed(model.__mro__[: model.__mro__.index(BaseModel)])
    return {name: meaning for owner in owners for name, meaning in _own_meanings(owner).items()}


@cache
def _own_meanings(owner: Any) -> dict[str, str]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    return {
        ast.unparse(setting.target): " ".join(str(docstring.value.value).split())
        for setting, docstring in itertools.pairwise(getattr(definition, "body", []))
        if isinstance(setting, ast.AnnAssign)
        and isinstance(docstring, ast.Expr)
        and isinstance(docstring.value, ast.Constant)
    }


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return the settings models inside a type, such as that of `DatasetSettings | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    inside = map(_models, getattr(annotation, "__args__", ()))
    return list(dict.fromkeys(itertools.chain.from_iterable(inside)))
