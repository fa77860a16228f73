"""`vlmine study`: a question over many draws."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vlmine_dagster.cli.group import as_json
from vlmine_dagster.cli.session import open_bench, open_history, settings_file
from vlmine_dagster.cli.terminal import console, grid, plain, print_json, print_sentences, print_table, table_of

if TYPE_CHECKING:
    from vlmine_dagster.studies.study import Report


@click.command()
@click.argument("name", required=False)
@click.option("--draws", type=click.IntRange(1, 1000), help="Number of random labelled sets. Default: the study's own.")
@click.option(
    "--verdicts",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Verdicts saved earlier, for the study verify.",
)
@as_json
def study(name: str | None, draws: int | None, verdicts: Path | None, is_json: bool) -> None:
    """Run the study NAME, or list the studies. A stopped study continues where it was."""
    from vlmine_dagster.studies import QUESTIONS

    if name is None:
        print_json(QUESTIONS) if is_json else print_studies(QUESTIONS)
        return
    if verdicts is not None:
        from vlmine_dagster.studies.verify import take_verdicts

        if name != "verify":
            raise click.UsageError("--verdicts is an option of the study verify")
        take_verdicts(open_bench(), verdicts)
    report = _run(name.replace("-", "_"), draw_count=draws or 0, is_quiet=is_json)
    print_json(asdict(report)) if is_json else print_report(report)


def _run(name: str, *, draw_count: int, is_quiet: bool) -> "Report":
    from vlmine_dagster.studies.jobs import run_study

    with open_history(is_quiet=is_quiet) as (instance, display):
        display.on_run(f"study {name}", "pool")
        return run_study(name, instance, settings_file=settings_file(), draws=draw_count, watcher=display)


def print_studies(questions: Mapping[str, str]) -> None:
    """Print the studies and their questions."""
    table = table_of({"study": "left", "question": "left"})
    for name, question in questions.items():
        table.add_row(name, question)
    print_table(table)


def print_report(report: "Report") -> None:
    """Print the findings and tables of a study, and where its files are."""
    out = console()
    out.print(f"[bold]{plain(report.question)}[/]")
    for title, rows in report.tables.items():
        print_table(grid(title, rows))
    print_sentences(report.words)
    out.print(f"[dim]{plain(report.folder)}[/]", soft_wrap=True)
    out.print(f"[dim]{plain(report.mlflow_url)}[/]", soft_wrap=True)
