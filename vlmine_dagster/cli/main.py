"""The `vlmine` command."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlmine_dagster import __version__
from vlmine_dagster.domain.errors import VlmineError

if TYPE_CHECKING:
    from vlmine_dagster.automation.runner import Outcome, Runner
    from vlmine_dagster.resources.workbench import Workbench
    from vlmine_dagster.studies.study import Report

_INTERRUPTED = 130  # what a shell tells of a command that Ctrl-C ended

as_json = click.option("--json", "is_json", is_flag=True, help="Print JSON instead of a table.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="vlmine")
@click.option("--project", "project_file", type=click.Path(path_type=Path), help="vlmine.yaml of another folder.")
def main(project_file: Path | None) -> None:
    """Find the rare images in a pool of unlabelled ones.

    First steps: `vlmine demo`, or `vlmine init FOLDER` and then `vlmine run`.
    """
    if project_file is not None:
        os.environ["VLMINE_PROJECT"] = str(project_file.resolve())


def told(command: Callable[..., Any]) -> Callable[..., Any]:
    """Print our own errors as one line, and leave with 1; with 130 after Ctrl-C."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except VlmineError as error:
            click.secho(f"vlmine: {error}", fg="red", err=True)
            sys.exit(1)
        except KeyboardInterrupt:
            click.echo("Stopped. What was done is kept.", err=True)
            sys.exit(_INTERRUPTED)

    return wrapped


@main.command()
@click.argument("dataset")
@click.option("--name", help="Name of the project; by default that of the folder.")
@click.option("--force", "is_forced", is_flag=True, help="Overwrite vlmine.yaml.")
@told
def init(dataset: str, name: str | None, is_forced: bool) -> None:
    """Write vlmine.yaml for DATASET: a folder of images, of WebDataset tars, or of Parquet files; or an fsspec URL."""
    from vlmine_dagster.cli.doctor import advice_on_labels
    from vlmine_dagster.resources.sources import detect
    from vlmine_dagster.resources.workbench import Workbench
    from vlmine_dagster.settings.starter import settings_for, write_starter

    found = detect(dataset)
    plain = "".join(c if c.isalnum() or c in "._-" else "-" for c in (name or Path(dataset.rstrip("/")).name)).strip(
        "-._"
    )
    file = write_starter(Path.cwd(), settings_for(found, name=plain[:64] or "pool"), is_forced=is_forced)
    labels = "labels found" if found.labels else "no labels: novelty alone can be mined"
    click.echo(f"{file}: {found.kind}, {labels}.")
    if found.labels:
        advice = advice_on_labels(Workbench(settings_file=str(file)))
        if advice.state != "ok":
            click.secho(f"{found.labels.file}: {advice.found} {advice.advice}", fg="yellow", err=True)
    click.echo("Next: vlmine run")


@main.command()
@click.argument("name")
@click.option("--root", required=True, type=click.Path(path_type=Path), help="Folder of the images.")
@click.option("--lists", type=click.Path(path_type=Path), help="Folder of the split lists (imagenet-lt, places-lt).")
@click.option("--pool", default="split", show_default=True, type=click.Choice(["split", "rest"]), help="What is mined.")
@click.option("--law", default="exponential", show_default=True, type=click.Choice(["exponential", "pareto"]))
@click.option("--imbalance", default=100.0, show_default=True, type=click.FloatRange(1), help="Largest over smallest.")
@click.option("--largest", type=click.IntRange(1), help="Images of the largest class; by default all it has.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the classes' order and choice.")
@click.option("--test-per-class", default=25, show_default=True, type=click.IntRange(1), help="folders: held out.")
@click.option("--few-shot", default="under-20", show_default=True, type=click.Choice(["under-20", "up-to-20"]))
@click.option("--force", "is_forced", is_flag=True, help="Overwrite vlmine.yaml.")
@told
def protocol(
    *,
    name: str,
    root: Path,
    lists: Path | None,
    pool: str,
    law: str,
    imbalance: float,
    largest: int | None,
    seed: int,
    test_per_class: int,
    few_shot: str,
    is_forced: bool,
) -> None:
    """Make a project of a benchmark: imagenet-lt, places-lt, tiny-imagenet-lt, cifar-10-lt, cifar-100-lt, folders.

    --pool split mines the long-tailed train set, a fifth of which is drawn as the seed. --pool rest labels that set and
    mines what the full set holds beyond it, where the tail is common. Images for validation and test are never mined.
    """
    from vlmine_dagster.protocols import Tail, read_protocol, write_benchmark

    tail = Tail(law, imbalance, largest, seed)
    given = {"root": root, "lists": lists, "tail": tail, "test_per_class": test_per_class, "pool": pool}
    benchmark = read_protocol(name, folder=Path.cwd(), **given)  # type: ignore[arg-type]
    made = write_benchmark(benchmark, Path.cwd(), pool=pool, few_shot=few_shot, is_forced=is_forced)  # type: ignore[arg-type]
    seeds = f"{made.seed_count:,} labelled, " if made.seed_count else ""
    click.echo(f"{made.file}: {seeds}{made.pool_count:,} in the pool, {made.test_count:,} judge.")
    for sentence in made.words:
        click.echo(f"- {sentence}")
    click.echo("Next: vlmine run")


@main.command()
@click.option("--shard", "shards", multiple=True, help="Only this shard; may be given again.")
@click.option("--experiment", "experiments", multiple=True, help="Only this experiment; may be given again.")
@click.option("--partial", "is_partial", is_flag=True, help="Go on with the shards that are there.")
@click.option("--retry-failed", "is_retry", is_flag=True, help="Ask models again where their answer was a failure.")
@as_json
@told
def run(shards: tuple[str, ...], experiments: tuple[str, ...], is_partial: bool, is_retry: bool, is_json: bool) -> None:
    """Materialize what is missing or stale, with progress, into the history that the UI shows."""
    outcome = _run(shards=shards, experiments=experiments, is_partial=is_partial, is_retry=is_retry, is_quiet=is_json)
    if is_json:
        click.echo(json.dumps({**vars(outcome), "failures": [[*key, text] for key, text in outcome.failures.items()]}))
    else:
        _tell(outcome)
    sys.exit(_INTERRUPTED if outcome.is_interrupted else 0 if outcome.is_whole else 1)


@main.command()
@click.option(
    "--failures", "is_failures", is_flag=True, help="List the images that are corrupt or whose answer failed."
)
@as_json
@told
def status(is_failures: bool, is_json: bool) -> None:
    """Show shards by stage: rows, outcomes, tokens, money, what is missing, what failed and why."""
    from vlmine_dagster.automation.runner import open_instance
    from vlmine_dagster.cli import views
    from vlmine_dagster.cli.printing import print_failed_images, print_status

    bench = _bench()
    if is_failures:
        failed = views.failed_images(bench, bench.source.shards())
        click.echo(json.dumps(failed)) if is_json else print_failed_images(failed)
        return
    rows = views.status(bench, bench.source.shards(), partial(open_instance, bench.project))
    click.echo(json.dumps(rows)) if is_json else print_status(rows)


@main.command()
@click.option("--sample", default=32, show_default=True, type=click.IntRange(2, 10_000), help="Real calls a stage.")
@as_json
@told
def forecast(sample: int, is_json: bool) -> None:
    """Say what a run will take: images left, tokens, dollars, hours. Makes a few real calls, whose answers are kept."""
    from dataclasses import asdict

    from vlmine_dagster.cli.forecast import forecast_run
    from vlmine_dagster.cli.printing import print_forecast

    with _runner(is_quiet=is_json) as runner:
        shards = runner.inspect_images()
    told_ahead = forecast_run(_bench(), shards, sample_count=sample)
    click.echo(json.dumps(asdict(told_ahead))) if is_json else print_forecast(told_ahead)


@main.group()
def labels() -> None:
    """Take labels of mined images back."""


@labels.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@told
def import_labels(file: Path) -> None:
    """Add FILE as a round of labels: CSV or Parquet (image_id, label), or a JSON export of Label Studio.

    The images become part of the seed: the next run trains with them and never mines them again.
    """
    from vlmine_dagster.cli.views import import_round

    taken, blank_count = import_round(_bench(), file)
    click.echo(f"Round {taken.number}: {len(taken.labels):,} labels of {len(set(taken.labels.values())):,} classes.")
    if blank_count:
        click.echo(f"Left out: {blank_count:,} that have no label or no image_id.")
    click.echo("Next: vlmine run")


@main.group(invoke_without_command=True)
@as_json
@click.pass_context
@told
def cache(context: click.Context, is_json: bool) -> None:
    """Show the response cache: answers kept, calls made, dollars spent, by way of asking."""
    if context.invoked_subcommand is not None:
        return
    from vlmine_dagster.cli import views
    from vlmine_dagster.cli.printing import print_cache

    bench = _bench()
    rows = views.cached(bench)
    found = {"path": str(bench.cache.path), "bytes": bench.cache.byte_count, "variants": rows}
    click.echo(json.dumps(found)) if is_json else print_cache(found["path"], found["bytes"], rows)  # type: ignore[arg-type]


@cache.command()
@click.option("--variant", "variants", multiple=True, help="Hash of a way of asking; may be given again.")
@click.option("--unused", "is_unused", is_flag=True, help="All ways of asking that vlmine.yaml no longer names.")
@click.confirmation_option(
    "--yes", prompt="Answers that are deleted must be paid for again when they are needed. Go on?"
)
@told
def prune(variants: tuple[str, ...], is_unused: bool) -> None:
    """Delete answers by variant; what was spent stays written down."""
    from vlmine_dagster.cli import views

    bench = _bench()
    rows = views.cached(bench)
    unknown = sorted(set(variants) - {row["variant"] for row in rows})
    if unknown or not (variants or is_unused):
        known = ", ".join(row["variant"] for row in rows) or "none"
        raise click.UsageError(f"name a variant with --variant, or pass --unused. In the cache: {known}")
    chosen = [r["variant"] for r in rows if r["variant"] in variants or (is_unused and not r["is_used"])]
    click.echo(f"{bench.cache.prune(chosen):,} answers deleted, of {len(chosen)} variants.")


@main.command()
@click.option("--experiment", help="Whose list; by default fused, else pareto, of those that were made.")
@click.option("-n", "count", default=20, show_default=True, type=click.IntRange(min=1), help="Images to show.")
@as_json
@told
def top(experiment: str | None, count: int, is_json: bool) -> None:
    """Show the mined images with their reasons."""
    from vlmine_dagster.cli import views
    from vlmine_dagster.cli.printing import print_top

    bench = _bench()
    name = experiment or views.shown_experiment(bench)
    rows = views.top(bench, name, count)
    click.echo(json.dumps(rows)) if is_json else print_top(rows, name)


@main.command()
@click.option("--experiment", help="Whose list; by default that of `vlmine top`.")
@click.option("-n", "count", type=click.IntRange(min=1), help="Images to write; by default what the budget selects.")
@click.option("--budget", type=float, help="Share of the list (up to 1) or number of images, in place of its own.")
@click.option("--to", "file", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
@click.option("--format", "format_name", type=click.Choice(["csv", "parquet", "label-studio"]), help="By the ending.")
@click.option("--images", type=click.Path(file_okay=False, path_type=Path), help="Copy the pictures into this folder.")
@told
def export(
    *,
    experiment: str | None,
    count: int | None,
    budget: float | None,
    file: Path,
    format_name: str | None,
    images: Path | None,
) -> None:
    """Write a mined list for a labelling tool: CSV, Parquet, or tasks of Label Studio (.json); and the pictures."""
    from vlmine_dagster.cli.export import export_list
    from vlmine_dagster.cli.views import shown_experiment

    if count is not None and budget is not None:
        raise click.UsageError("give -n or --budget, not both")
    bench = _bench()
    name = experiment or shown_experiment(bench)
    made = export_list(bench, name, file, format_name=format_name, count=count, budget=budget, images=images)
    click.echo(f"{file}: {made.row_count:,} images of {name}{f', their pictures in {images}' if images else ''}.")
    if made.served is not None:
        click.echo(f"Label Studio must serve {made.served} (docs/operations.md: Labels come back).")
    click.echo("Next: vlmine labels import LABELLED_FILE")


@main.command()
@click.argument("image_id")
@as_json
@told
def explain(image_id: str, is_json: bool) -> None:
    """Say why an image was mined, or why not: every signal's value and rank, keywords and their counts.

    IMAGE_ID is shard/key, or how it or the name of the image's file ends, where only one does.
    """
    from vlmine_dagster.cli import views
    from vlmine_dagster.cli.printing import print_card

    bench = _bench()
    card = views.explain(bench, image_id, bench.source.shards())
    click.echo(json.dumps(card, default=str)) if is_json else print_card(card)


@main.command()
@click.option("--with", "reference", help="Experiment to compare the others with; by default entropy, else random.")
@as_json
@told
def compare(reference: str | None, is_json: bool) -> None:
    """Show experiments side by side from MLflow, with intervals, and say what is shown and what is not."""
    from vlmine_dagster.cli.comparison import comparison
    from vlmine_dagster.cli.printing import print_comparison

    told = comparison(_bench(), reference=reference)
    click.echo(json.dumps(told)) if is_json else print_comparison(told)


@main.command()
@click.argument("name", required=False)
@click.option("--draws", type=click.IntRange(1, 1000), help="Draws of the labelled seed; by default the study's own.")
@click.option("--verdicts", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="verify: a saved file.")
@as_json
@told
def study(name: str | None, draws: int | None, verdicts: Path | None, is_json: bool) -> None:
    """Do the study NAME, or list the studies. What is done is kept: stopped, it goes on where it was."""
    from dataclasses import asdict

    from vlmine_dagster.cli.printing import print_report, print_studies
    from vlmine_dagster.studies import QUESTIONS

    if name is None:
        click.echo(json.dumps(QUESTIONS)) if is_json else print_studies(QUESTIONS)
        return
    if verdicts is not None:
        from vlmine_dagster.studies.verify import take_verdicts

        if name != "verify":
            raise click.UsageError("--verdicts belongs to the study verify")
        take_verdicts(_bench(), verdicts)
    report = _study(name, draws=draws or 0, is_quiet=is_json)
    click.echo(json.dumps(asdict(report))) if is_json else print_report(report)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, help="Port of the Dagster UI.")
@click.option("--mlflow-port", default=5000, show_default=True, help="Port of the MLflow UI.")
@told
def ui(host: str, port: int, mlflow_port: int) -> None:
    """Open the Dagster and the MLflow web UI on one history, and print their addresses."""
    from vlmine_dagster.cli.servers import serve
    from vlmine_dagster.settings.project import Project

    sys.exit(serve(Project.load(), host=host, port=port, mlflow_port=mlflow_port, say=click.echo))


@main.command()
@as_json
@told
def doctor(is_json: bool) -> None:
    """Say what is installed, reachable, missing; what to do."""
    from vlmine_dagster.cli.doctor import examine
    from vlmine_dagster.cli.printing import print_findings

    findings = examine()
    click.echo(json.dumps([vars(finding) for finding in findings])) if is_json else print_findings(findings)
    sys.exit(1 if any(finding.state == "fail" for finding in findings) else 0)


@main.command()
@told
def settings() -> None:
    """List every setting of vlmine.yaml with its default and what it means."""
    from vlmine_dagster.cli.printing import print_settings
    from vlmine_dagster.settings.project import ProjectSettings

    print_settings(ProjectSettings)


@main.command()
@told
def demo() -> None:
    """Make a pool of real photos with a known tail in this folder, mine it, and show the rare ones."""
    from vlmine_dagster.cli.printing import print_top
    from vlmine_dagster.resources.sample_pool import make_sample_pool
    from vlmine_dagster.settings.project import SETTINGS_FILE
    from vlmine_dagster.settings.starter import SAMPLE_FOLDER, sample_settings, write_starter

    folder = Path.cwd()
    write_starter(folder, sample_settings())
    os.environ["VLMINE_PROJECT"] = str(folder / SETTINGS_FILE)
    make_sample_pool(folder / SAMPLE_FOLDER)
    outcome = _run(shards=(), experiments=(), is_partial=False, is_retry=False, is_quiet=False)
    _tell(outcome)
    if outcome.failures or outcome.is_interrupted:
        sys.exit(_INTERRUPTED if outcome.is_interrupted else 1)
    from vlmine_dagster.cli import views
    from vlmine_dagster.settings import default_experiment

    bench = _bench()
    name = default_experiment(bench.project.settings.experiments)
    print_top(views.top(bench, name, 20), name)
    page = bench.lake.read("mining_report", name).to_pylist()[0]["path"]
    command = os.environ.get("VLMINE_COMMAND", "vlmine")  # `make demo` has it in .venv/bin
    click.echo(f"\nContact sheet: {page}")
    click.echo(f"Next: {command} compare | {command} explain IMAGE_ID | {command} ui | {command} init YOUR_FOLDER")


def _bench() -> "Workbench":
    from vlmine_dagster.resources.workbench import Workbench

    return Workbench()


def _run(
    *, shards: tuple[str, ...], experiments: tuple[str, ...], is_partial: bool, is_retry: bool, is_quiet: bool
) -> "Outcome":
    with _runner(is_quiet=is_quiet, allow_missing_shards=is_partial, is_failure_retried=is_retry) as runner:
        return runner.run(shards=shards, experiments=experiments)


def _study(name: str, *, draws: int, is_quiet: bool) -> "Report":
    from vlmine_dagster.automation.runner import open_instance
    from vlmine_dagster.cli.printing import RunDisplay
    from vlmine_dagster.settings.project import Project
    from vlmine_dagster.studies.jobs import run_study

    with _quiet_libraries(), open_instance(Project.load()) as instance, RunDisplay(is_quiet=is_quiet) as display:
        display.on_run(f"study {name}", "pool")
        return run_study(name, instance, settings_file=os.environ.get("VLMINE_PROJECT") or "", draws=draws)


@contextmanager
def _runner(*, is_quiet: bool, **options: bool) -> "Iterator[Runner]":
    from vlmine_dagster.automation.runner import Runner, open_instance
    from vlmine_dagster.cli.printing import RunDisplay
    from vlmine_dagster.settings.project import Project

    project = Project.load()
    with _quiet_libraries(), open_instance(project) as instance, RunDisplay(is_quiet=is_quiet) as display:
        file = os.environ.get("VLMINE_PROJECT") or ""
        yield Runner(file, instance, on_run=display.on_run, **options)


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Keep the chatter of libraries out of the terminal; what matters is in Dagster's log."""
    import logging
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("mlflow", "alembic", "great_expectations"):
            logging.getLogger(name).setLevel(logging.ERROR)
        yield


def _tell(outcome: "Outcome") -> None:
    from vlmine_dagster.cli.printing import print_outcome

    print_outcome(outcome)
