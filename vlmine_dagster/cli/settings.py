"""`vlmine settings`: every setting of vlmine.yaml."""

import ast
import inspect
import itertools
import textwrap
from typing import TYPE_CHECKING, Any

import click

from vlmine_dagster.cli.terminal import console, plain

if TYPE_CHECKING:
    from pydantic import BaseModel


@click.command()
def settings() -> None:
    """List every setting of vlmine.yaml with its default and meaning."""
    from vlmine_dagster.settings.project import ProjectSettings

    print_settings(ProjectSettings)
    print_signals()


def print_signals() -> None:
    """Print the signals that an experiment may name, those of plug-ins too."""
    from vlmine_dagster.domain.plugins import OURS
    from vlmine_dagster.domain.signals import REGISTRY, SIGNALS

    out = console()
    out.print("\n[bold]Signals of an experiment[/]")
    for name, signal in SIGNALS.items():
        package = REGISTRY.package_of(name)
        needs = "" if signal.needs == "nothing" else f", needs {signal.needs}"
        origin = "" if package == OURS else f", from package {package}"
        out.print(f"[bold]{name}[/]  {plain(signal.meaning + needs + origin)}")


def print_settings(model: "type[BaseModel]", prefix: str = "") -> None:
    """Print every setting with its default and its meaning."""
    out = console()
    meanings = _meanings(model)
    for name, field in model.model_fields.items():
        default = (
            ""
            if field.is_required() or _models(field.annotation)
            else f" [dim]= {plain(field.get_default(call_default_factory=True))}[/]"
        )
        out.print(f"{prefix}[bold]{name}[/]{default}  {plain(meanings.get(name, ''))}")
        for nested in _models(field.annotation):
            if name != "variants":
                print_settings(nested, prefix=f"{prefix}{name}.")


def _meanings(model: "type[BaseModel]") -> dict[str, str]:
    """Return the docstring under each setting."""
    from pydantic import BaseModel

    meanings: dict[str, str] = {}
    for owner in reversed(model.__mro__[: model.__mro__.index(BaseModel)]):
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
        for setting, said in itertools.pairwise(getattr(definition, "body", [])):
            if (
                isinstance(setting, ast.AnnAssign)
                and isinstance(said, ast.Expr)
                and isinstance(said.value, ast.Constant)
            ):
                meanings[ast.unparse(setting.target)] = inspect.cleandoc(str(said.value.value))
    return meanings


def _models(annotation: Any) -> "list[type[BaseModel]]":
    """Return the settings models inside a type, such as that of `DatasetSettings | None`."""
    from pydantic import BaseModel

    from vlmine_dagster.settings.providers import kinds_of

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return kinds_of(annotation)
    return list(dict.fromkeys(model for part in getattr(annotation, "__args__", ()) for model in _models(part)))
