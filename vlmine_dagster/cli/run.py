"""`vlmine run`: make what is missing or stale."""

import sys
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from vlmine_dagster.cli.group import INTERRUPTED, as_json
from vlmine_dagster.cli.session import open_bench, open_runner
from vlmine_dagster.cli.terminal import SHOWN_FAILURES, console, plain, print_json, print_look, print_more_failures

if TYPE_CHECKING:
    from vlmine_dagster.automation.outcome import Outcome


@click.command()
@click.option("--shard", "shards", multiple=True, help="Run only this shard. Repeat for several.")
@click.option("--experiment", "experiments", multiple=True, help="Run only this experiment. Repeat for several.")
@click.option("--partial", "is_partial", is_flag=True, help="Score and mine without the shards that failed.")
@click.option(
    "--retry-failed",
    "is_retry",
    is_flag=True,
    help="Ask models again about images whose answer was a failure, and nothing else.",
)
@click.option(
    "--workers",
    "worker_count",
    type=click.IntRange(1, 1024),
    help="Make this many shards at once, each in its own process. Default: 1; with --on ray as many as fit.",
)
@click.option(
    "--on",
    "where",
    type=click.Choice(["here", "dagster", "ray"]),
    default="here",
    show_default=True,
    help="Where to run: on this machine, by the run launcher of Dagster's instance, or on a Ray cluster.",
)
@as_json
def run(
    shards: tuple[str, ...],
    experiments: tuple[str, ...],
    *,
    is_partial: bool,
    is_retry: bool,
    worker_count: int | None,
    where: str,
    is_json: bool,
) -> None:
    """Materialize everything that is missing or stale. The runs appear in the history that the UI shows."""
    options = {"allow_missing_shards": is_partial, "is_failure_retried": is_retry}
    places = {"where": where, "worker_count": worker_count}
    outcome = run_pipeline(shards, experiments, is_quiet=is_json, **places, **options)
    if is_json:
        print_json({**vars(outcome), "failures": [[*key, text] for key, text in outcome.failures.items()]})
    else:
        print_outcome(outcome)
        print_findings()
    sys.exit(INTERRUPTED if outcome.is_interrupted else 0 if outcome.is_whole else 1)


def run_pipeline(
    shards: Sequence[str] = (),
    experiments: Sequence[str] = (),
    *,
    is_quiet: bool,
    **options: Any,
) -> "Outcome":
    """Make what is missing or stale; options are those of `open_runner`."""
    with open_runner(is_quiet=is_quiet, **options) as runner:
        outcome = runner.run(shards=shards, experiments=experiments)
    if not is_quiet:
        _print_left_out(runner.ignored, runner.failed_rows)
        if runner.has_other_settings:
            print_look("vlmine.yaml changed while this run worked: run `vlmine run` again")
    return outcome


def _print_left_out(ignored: str | None, failed: Sequence[str]) -> None:
    """Print what is there and is not mined."""
    out = console()
    if ignored:
        out.print(f"[dim]{plain(ignored)}[/]")
    for text in failed:
        print_look(text)
    if failed:
        out.print("[dim]All that failed, and why: `vlmine status --failures`[/]")


def print_outcome(outcome: "Outcome") -> None:
    """Print what a run did, what failed, and what to do about it."""
    out = console()
    for table, reason in outcome.skipped.items():
        out.print(f"[yellow]skipped[/] {table}: {plain(reason)}")
    failures: dict[str, list[str]] = {}
    for (asset, partition), text in outcome.failures.items():
        where = "" if text.startswith(asset) else f"{asset}[{partition}]: "
        failures.setdefault(asset, []).append(where + text)
    for asset, texts in failures.items():
        for text in texts[:SHOWN_FAILURES]:
            out.print(f"[red]failed[/]  {plain(text)}")
        print_more_failures(out, asset, len(texts))
    lines = _waiting(outcome.waiting)
    for line in lines:
        out.print(f"[yellow]waiting[/] {plain(line)}")
    if lines != [f"{name}: {reason}" for name, reason in outcome.waiting.items()]:
        out.print("[dim]Everything that waits, and why: `vlmine run --json`[/]")
    if outcome.is_interrupted:
        out.print("Stopped. Finished work and paid answers are kept; `vlmine run` continues from here.")
    elif outcome.stopped:
        out.print("No more paid calls were made. The next run continues where this one stopped.")
    out.print(f"{len(outcome.materialized)} made, {outcome.fresh_count} already fresh, {len(outcome.failures)} failed")
    if outcome.failures:
        out.print(
            "Fix what failed and run `vlmine run` again; finished work is not repeated. `--partial` goes on without it."
        )


def print_findings() -> None:
    """Print what the pool's own tables say about how to mine it, and what a second model said of its keywords."""
    from vlmine_dagster.scoring.findings import grounding_findings, readable_findings

    bench = open_bench()
    for finding in chain.from_iterable(readable_findings(bench).values()):
        print_look(finding)
    for name, text in grounding_findings(bench).items():
        console().print(f"keywords of {plain(name)}: {plain(text)}")


def _waiting(reasons: Mapping[str, str]) -> list[str]:
    """Return one line per asset: the first partition that waits, the first reason, and how many more there are."""
    groups: dict[str, list[str]] = {}
    for name in reasons:
        groups.setdefault(name.partition("[")[0], []).append(name)
    lines = []
    for first, *others in groups.values():
        reason, _, more = reasons[first].partition("; ")
        also = f" and {len(others):,} more" if others else ""
        lines.append(f"{first}{also}: {reason}{'; ...' if more else ''}")
    return lines
