"""`vlmine top`: the images that were mined first."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from vlmine_dagster.cli.group import as_json
from vlmine_dagster.cli.mined import junk_count, mined, shown_experiment
from vlmine_dagster.cli.session import open_bench
from vlmine_dagster.cli.slices import slice_words
from vlmine_dagster.cli.terminal import console, plain, print_json, print_sentences, print_table, short_name, table_of
from vlmine_dagster.resources.visible import visible_text


@click.command()
@click.option("--experiment", help="Experiment to show. Default: fused if it was run, else pareto.")
@click.option("-n", "count", default=20, show_default=True, type=click.IntRange(min=1), help="Number of images.")
@click.option("--junk", "is_junk", is_flag=True, help="Show the junk lane: images that are blurred, black, empty.")
@as_json
def top(experiment: str | None, count: int, is_junk: bool, is_json: bool) -> None:
    """Show the top mined images and why each was chosen."""
    bench = open_bench()
    name = experiment or shown_experiment(bench)
    rows = list(mined(bench, name, count, is_junk=is_junk))
    if is_json:
        print_json(rows)
        return
    if is_junk:
        print_top(rows, name, what="Junk lane")
        return
    print_top(rows, name)
    print_sentences(slice_words(bench, name))
    if junk := junk_count(bench, name):
        console().print(f"[dim]In the junk lane: {junk:,} more. `vlmine top --junk` lists them.[/]")


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
