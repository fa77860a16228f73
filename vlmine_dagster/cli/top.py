"""`vlmine top`: the images that were mined first."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from vlmine_dagster.cli.group import as_json
from vlmine_dagster.cli.mined import changes_of, junk_count, mined, print_stale, shown_experiment
from vlmine_dagster.cli.session import open_bench
from vlmine_dagster.cli.slices import slice_words
from vlmine_dagster.cli.terminal import console, plain, print_json, print_sentences, print_table, short_name, table_of
from vlmine_dagster.resources.visible import visible_text

if TYPE_CHECKING:
    from vlmine_dagster.resources.workbench import Workbench


@click.command()
@click.option("--experiment", help="Experiment to show. Default: fused if it was run, else pareto.")
@click.option("-n", "count", default=20, show_default=True, type=click.IntRange(min=1), help="Number of images.")
@click.option("--junk", "is_junk", is_flag=True, help="Show the junk lane: images that are blurred, black, empty.")
@click.option(
    "--changes", "is_changes", is_flag=True, help="Show which images entered or left the list since the last one."
)
@as_json
def top(experiment: str | None, count: int, *, is_junk: bool, is_changes: bool, is_json: bool) -> None:
    """Show the top mined images and why each was chosen."""
    if is_junk and is_changes:
        raise click.UsageError("--junk and --changes show different lists; take one.")
    bench = open_bench()
    name = experiment or shown_experiment(bench)
    if is_changes:
        rows = changes_of(bench, name).slice(0, count).to_pylist()
        noun, summary = bench.project.settings.unit, _changed(bench, name)
        print_json(rows) if is_json else print_changes(rows, name, summary=summary, noun=noun)
        return
    rows = list(mined(bench, name, count, is_junk=is_junk))
    if is_json:
        print_json(rows)
        return
    if is_junk:
        if not rows:
            console().print(f"The junk lane of {plain(name)} is empty.")
        else:
            print_top(rows, name, what="Junk lane")
        return
    print_top(rows, name)
    another = bench.project.settings.another_budget(name)
    print_sentences([*slice_words(bench, name), *([another] if another else [])])
    if summary := _changed(bench, name):
        console().print(f"[dim]{summary}. `vlmine top --changes` lists them.[/]")
    if junk := junk_count(bench, name):
        console().print(f"[dim]In the junk lane: {junk:,} more. `vlmine top --junk` lists them.[/]")
    print_stale(bench, [name])


def _changed(bench: "Workbench", experiment: str) -> str:
    from vlmine_dagster.scoring.list_changes import changes_text

    return changes_text(changes_of(bench, experiment), noun=bench.project.settings.unit)


def print_changes(rows: Sequence[Mapping[str, Any]], experiment: str, *, summary: str, noun: str = "image") -> None:
    """Print which images or objects entered a list and which left it, and in a sentence how many did."""
    out = console()
    if not summary:
        out.print(f"Nothing changed in {plain(experiment)}: there was no other list before.")
        return
    out.print(f"{summary}.")
    table = table_of(
        {"rank": "right", "before": "right", "change": "left", noun: "left", "why": "left"},
        title=f"Changes of {plain(experiment)}",
    )
    for row in rows:
        ranks = ("" if row[name] is None else f"{row[name]:,}" for name in ("rank", "rank_before"))
        name = plain(short_name(visible_text(row["image_id"])))
        table.add_row(*ranks, row["change"], name, plain(row["why"]))
    print_table(table)


def print_top(rows: Sequence[Mapping[str, Any]], experiment: str, *, what: str = "") -> None:
    """Print mined images with their reasons, under a title that says what they are; without one, the top of a list."""
    item = "object" if rows and "object_id" in rows[0] else "image"
    table = table_of(
        {"rank": "right", item: "left", "why": "left"}, title=f"{what or f'Top {item}s'} of {plain(experiment)}"
    )
    names = [visible_text(row.get("object_id") or row["image_id"]) for row in rows]
    shown = [short_name(name) for name in names]
    for row, name in zip(rows, shown, strict=True):
        table.add_row(str(row["rank"]), plain(name), plain(row["reason"]))
    print_table(table)
    if shown != names:
        console().print("[dim]Long names are shortened; `vlmine top --json` prints them in full.[/]")
