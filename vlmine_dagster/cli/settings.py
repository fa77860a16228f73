"""`vlmine settings`: every setting of vlmine.yaml."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from vlmine_dagster.cli.group import as_json
from vlmine_dagster.cli.terminal import console, plain, print_json

if TYPE_CHECKING:
    from vlmine_dagster.settings.listing import Setting


@click.command()
@click.argument("words", nargs=-1, metavar="[WORD]...")
@as_json
def settings(words: tuple[str, ...], *, is_json: bool) -> None:
    """List the settings of vlmine.yaml with their defaults and meanings.

    With WORDs, only the settings that match all of them: `vlmine settings describer openai`.
    """
    from vlmine_dagster.domain.errors import ConfigError
    from vlmine_dagster.settings.listing import about, nothing_about, settings_of
    from vlmine_dagster.settings.project import ProjectSettings

    known = settings_of(ProjectSettings)
    found = about(words, known)
    signals = {name: said for name, said in _signals().items() if all(one.lower() in f"{name} {said}" for one in words)}
    if not found and not signals:
        raise ConfigError(nothing_about(words, known))
    if is_json:
        print_json({"settings": [asdict(one) for one in found], "signals": signals})
        return
    _print_settings(found)
    _print_signals(signals)


def _signals() -> dict[str, str]:
    """Return what the signals that an experiment may name mean, those of plug-ins too."""
    from vlmine_dagster.domain.plugins import OURS
    from vlmine_dagster.domain.signals import REGISTRY, SIGNALS

    found = {}
    for name, signal in SIGNALS.items():
        package = REGISTRY.package_of(name)
        needs = "" if signal.needs == "nothing" else f", needs {signal.needs}"
        origin = "" if package == OURS else f", from package {package}"
        found[name] = signal.meaning + needs + origin
    return found


def _print_settings(found: "Sequence[Setting]") -> None:
    out = console()
    for one in found:
        if one.names_kind:
            out.print(f"[bold]{one.path}: {plain(one.kind)}[/]  {plain(one.meaning)}")
            continue
        if "." not in one.path:
            out.print()
        default = "" if one.default is None else f" [dim]= {plain(one.default)}[/]"
        needed = " [dim](needed)[/]" if one.is_required else ""
        out.print(f"{'  ' if one.kind else ''}[bold]{one.path}[/]{default}{needed}  {plain(one.meaning)}")


def _print_signals(signals: dict[str, str]) -> None:
    if not signals:
        return
    out = console()
    out.print("\n[bold]Signals of an experiment[/]")
    for name, meaning in signals.items():
        out.print(f"[bold]{name}[/]  {plain(meaning)}")
