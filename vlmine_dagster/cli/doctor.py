"""`vlmine doctor`: what is installed, reachable, missing; what to do."""

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from vlmine_dagster.cli.group import as_json
from vlmine_dagster.cli.terminal import console, plain, print_json
from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import VlmineError
from vlmine_dagster.domain.variants import DEFAULT_VARIANT

if TYPE_CHECKING:
    from vlmine_dagster.domain.plugins import Registry
    from vlmine_dagster.resources.tracking import Tracking
    from vlmine_dagster.resources.workbench import Workbench
    from vlmine_dagster.settings.project import Project
    from vlmine_dagster.settings.providers import Finding, ProviderSettings

_PACKAGES = tuple(
    "dagster mlflow great-expectations duckdb pandas torch transformers openai onnxruntime moocore".split()  # noqa: SIM905
)
_LITTLE_DISK = 5e9
_STATE_STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


@dataclass(frozen=True)
class Advice:
    """One finding.

    Attributes:
        subject: What was checked.
        state: ok, warn (works, but look at it) or fail (will not work).
        found: What was found.
        advice: What to do, empty where nothing.
    """

    subject: str
    state: Literal["ok", "warn", "fail"]
    found: str
    advice: str = ""


@click.command()
@as_json
def doctor(is_json: bool) -> None:
    """Check the installation and the project, and say how to fix what is wrong."""
    findings = examine()
    print_json([vars(finding) for finding in findings]) if is_json else print_findings(findings)
    sys.exit(1 if any(finding.state == "fail" for finding in findings) else 0)


def examine() -> list[Advice]:
    """Check the installation, and the project if there is one."""
    from vlmine_dagster.settings.project import SETTINGS_FILE, Project

    found = [*_installation()]
    try:
        project = Project.load()
    except VlmineError as error:
        if not Path(os.environ.get("VLMINE_PROJECT") or SETTINGS_FILE).is_file():
            return [*found, Advice("project", "warn", str(error), "`vlmine demo` makes one with sample images.")]
        advice = "Correct it; `vlmine settings WORD` explains a setting."
        return [*found, Advice("project", "fail", str(error), advice)]
    return [*found, Advice("project", "ok", f"{project.settings.name}, home {project.home}"), *_project(project)]


def advice_on_labels(bench: "Workbench") -> Advice:
    """Check that the label file can be read and that its keys match images."""
    from vlmine_dagster.resources.label_match import look_at_labels

    advice = "Correct dataset.labels in vlmine.yaml."
    try:
        labels = bench.labels
        if labels is None:
            return Advice("labels", "ok", "none: only novelty can be mined")
        match = look_at_labels(labels, bench.source, bench.lake)
    except VlmineError as error:
        return Advice("labels", "fail", str(error), advice)
    if not match.problem:
        return Advice("labels", "ok", counted(len(labels), "row"))
    is_useless = match.is_none and match.is_whole
    return Advice("labels", "fail" if is_useless else "warn", match.problem, match.advice)


def advice_on_models(bench: "Workbench") -> Iterator[Advice]:
    """Check the models that the settings name: endpoints, checkpoints, predictions, features.

    Each endpoint is asked one question as a run would ask it, which costs what a call costs.
    """
    settings = bench.project.settings
    for name in settings.variant_names:
        variant, prefix = settings.variant(name), "" if name == DEFAULT_VARIANT else f"{name}/"
        for part, model in (("describer", variant.describer), ("keyworder", variant.keyworder)):
            looked = list(_part(prefix + part, bench, model))
            yield from looked
            if looked and looked[0].state != "fail" and model.capabilities.asks_endpoint:
                yield from _tried_out(f"{prefix}{part} answer", bench, name, part)
    if settings.grounding is not None:
        yield from _part("grounding.describer", bench, settings.grounding.describer)
    if settings.objects is not None and settings.objects.detector is not None:
        yield from _part("objects.detector", bench, settings.objects.detector)
    if bench.features is not None:
        yield _tried("features", bench.features.look, "Correct `features` in vlmine.yaml, or the file that it names.")
    task_model, retraining = settings.task_model, settings.retraining
    if task_model.path is not None:
        yield _model_file("task_model.path", bench, task_model.path, lambda: _task_model(bench, task_model))
    if retraining.path is not None:
        yield _model_file("retraining.path", bench, retraining.path, lambda: _checkpoint(bench, str(retraining.path)))


def _part(subject: str, bench: "Workbench", settings: "ProviderSettings") -> Iterator[Advice]:
    """Look at a part, where its plug-in knows how to."""
    look = settings.plugins.get(settings.kind).look
    if look is None:
        return
    try:
        finding = look(bench, settings)
        yield Advice(subject, finding.state, finding.found, finding.advice)
    except VlmineError as error:
        yield Advice(subject, "fail", str(error), f"Correct {subject} in vlmine.yaml, or start the server.")


def _tried_out(subject: str, bench: "Workbench", variant: str, part: str) -> Iterator[Advice]:
    from vlmine_dagster.describing.trial import try_describer, try_keyworder

    try:
        finding = (try_describer if part == "describer" else try_keyworder)(bench, variant)
    except VlmineError as error:
        yield Advice(subject, "fail", str(error), "A run would end the same way.")
        return
    if finding is not None:
        yield Advice(subject, finding.state, finding.found, finding.advice)


def _model_file(subject: str, bench: "Workbench", path: str, look: "Callable[[], Finding]") -> Advice:
    where = bench.project.resolve(path)
    if not Path(where).exists():
        return Advice(subject, "fail", f"there is no {where}", f"Correct {subject} in vlmine.yaml.")
    try:
        finding = look()
        return Advice(subject, finding.state, finding.found, finding.advice)
    except VlmineError as error:
        return Advice(subject, "fail", str(error), f"Correct {subject} in vlmine.yaml, or the file.")


def _task_model(bench: "Workbench", settings: "ProviderSettings") -> "Finding":
    from vlmine_dagster.settings.providers import Finding

    look = settings.plugins.get(settings.kind).look
    return Finding("ok", f"kind {settings.kind}") if look is None else look(bench, settings)


def _checkpoint(bench: "Workbench", path: str) -> "Finding":
    from vlmine_dagster.learning.user_model import load_checkpoint
    from vlmine_dagster.settings.providers import Finding

    return Finding("ok", counted(len(load_checkpoint(bench.project.resolve(path)).classes), "class", "classes"))


def _installation() -> Iterator[Advice]:
    from vlmine_dagster.resources.ordered import core_count

    is_new_enough = sys.version_info >= (3, 11)
    yield Advice(
        "python",
        "ok" if is_new_enough else "fail",
        f"{platform.python_version()}, {core_count()} cores",
        "" if is_new_enough else "Python 3.11 or newer is needed.",
    )
    for package in _PACKAGES:
        try:
            yield Advice(package, "ok", version(package))
        except PackageNotFoundError:
            yield Advice(package, "fail", "not installed", "pip install -c constraints.txt vlmine-dagster")
    yield from _plugins()
    yield _accelerator()


def registries() -> "list[Registry[Any]]":
    """Return what plug-ins there are, by group."""
    from vlmine_dagster.domain.signals import REGISTRY as SIGNALS
    from vlmine_dagster.reporting.exporters import EXPORTERS
    from vlmine_dagster.settings import (
        DatasetSettings,
        DescriberSettings,
        DiversitySettings,
        KeyworderSettings,
        RetrainingSettings,
        TaskModelSettings,
    )
    from vlmine_dagster.settings.media import MediumSettings
    from vlmine_dagster.settings.objects import BOX_FORMATS, DetectorSettings

    of_parts = (
        MediumSettings,
        DatasetSettings,
        DescriberSettings,
        KeyworderSettings,
        TaskModelSettings,
        RetrainingSettings,
        DiversitySettings,
        DetectorSettings,
    )
    return [*(part.plugins for part in of_parts), SIGNALS, BOX_FORMATS, EXPORTERS]


def _plugins() -> Iterator[Advice]:
    """Name the kinds that there are, and the plug-ins that cannot be used."""
    for registry in registries():
        yield Advice(registry.plural, "ok", ", ".join(registry.all()))
        for one in registry.broken():
            advice = f"Fix or uninstall {one.package}; the others work."
            yield Advice(f"{registry.noun} {one.name}", "warn", f"{one.package}: {one.reason}", advice)


def _accelerator() -> Advice:
    import torch

    if torch.cuda.is_available():
        return Advice("accelerator", "ok", torch.cuda.get_device_name(0))
    return Advice(
        "accelerator", "ok", "none; the tagger and the probe run without one, a local vision-language model needs one"
    )


def _project(project: "Project") -> Iterator[Advice]:
    from vlmine_dagster.resources.tracking import Tracking
    from vlmine_dagster.resources.workbench import Workbench

    bench = Workbench()
    yield _tried(
        "dataset",
        lambda: f"{counted(len(bench.source.shards()), 'shard')} at {project.resolve(project.settings.dataset.root)}",
        "Correct dataset.root in vlmine.yaml.",
    )
    yield advice_on_labels(bench)
    yield from advice_on_models(bench)
    yield from _strategy(bench)
    yield _tried("mlflow server", lambda: _connected(Tracking(project)), "Start it, or unset MLFLOW_TRACKING_URI.")
    yield _disk(project)
    yield _dagster_home(project)


def _strategy(bench: "Workbench") -> Iterator[Advice]:
    """Say what to mine by with what the project has, and what its tables say against its keywords."""
    from vlmine_dagster.scoring.findings import keyword_findings, strategy_of

    yield _tried("strategy", lambda: strategy_of(bench), "Materialize the table again.")
    try:
        for finding in keyword_findings(bench):
            yield Advice("keywords", "warn", finding)
    except VlmineError as error:
        yield Advice("keywords", "warn", str(error), "Materialize vocab_counts again.")


def _dagster_home(project: "Project") -> Advice:
    home = project.dagster_home
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    if there.is_dir() and os.access(there, os.W_OK):
        return Advice("dagster home", "ok", f"{home}{'' if there == home else ', which `vlmine run` will make'}")
    return Advice("dagster home", "fail", f"{home} cannot be written", "Correct DAGSTER_HOME, or unset it.")


def _tried(subject: str, look: Callable[[], str], advice: str) -> Advice:
    try:
        return Advice(subject, "ok", look())
    except VlmineError as error:
        return Advice(subject, "fail", str(error), advice)


def _connected(tracking: "Tracking") -> str:
    tracking.connect()
    return "reached" if not tracking.is_local else "SQLite under the home"


def _disk(project: "Project") -> Advice:
    folder = project.state_folder("lake")
    free = shutil.disk_usage(folder).free
    state: Literal["ok", "warn"] = "ok" if free > _LITTLE_DISK else "warn"
    return Advice("disk", state, f"{free / 1e9:.0f} GB free at {folder}", "" if state == "ok" else "Free some space.")


def print_findings(findings: Sequence[Advice]) -> None:
    """Print each finding and what to do about it."""
    out = console()
    for finding in findings:
        style = _STATE_STYLES[finding.state]
        out.print(f"[{style}]{finding.state:4}[/] {finding.subject}: {plain(finding.found)}")
        if finding.advice:
            out.print(f"     {plain(finding.advice)}")
