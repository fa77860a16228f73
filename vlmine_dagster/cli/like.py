"""`vlmine like`: more images like some examples."""

from typing import TYPE_CHECKING

import click

from vlmine_dagster.cli.explain import found_id
from vlmine_dagster.cli.group import as_json
from vlmine_dagster.cli.mined import mined
from vlmine_dagster.cli.session import open_bench, open_history
from vlmine_dagster.cli.terminal import console, plain, print_json, print_table, table_of
from vlmine_dagster.cli.top import print_top

if TYPE_CHECKING:
    from vlmine_dagster.resources.workbench import Workbench
    from vlmine_dagster.settings import LikeSettings


@click.command()
@click.argument("image_ids", nargs=-1, metavar="[IMAGE_ID]...")
@click.option("--text", default="", help="What to look for, in words; compared with the keywords of the pool.")
@click.option("--name", help="Name of the experiment. Default: made from the examples.")
@click.option("--budget", default=200, show_default=True, type=click.IntRange(min=1), help="Images to select.")
@click.option("-n", "count", default=20, show_default=True, type=click.IntRange(min=1), help="Images to show.")
@click.option("--forget", help="Forget the search of this name; its list and MLflow run stay.")
@as_json
def like(
    image_ids: tuple[str, ...],
    *,
    text: str,
    name: str | None,
    budget: int,
    count: int,
    forget: str | None,
    is_json: bool,
) -> None:
    """Mine more images like some examples: near them, and away from what is labelled.

    IMAGE_ID is shard/key, or the end of an id or file name if only one image matches. The result is an experiment:
    `vlmine review` and `vlmine export` take its name. Without examples and text, the searches so far are listed.
    """
    from vlmine_dagster.automation.searches import search
    from vlmine_dagster.settings.searches import drop_search

    bench = open_bench()
    if forget is not None:
        drop_search(bench.project, forget)
        console().print(f"Forgot {plain(forget)}.")
        return
    if not image_ids and not text.strip():
        _list_searches(is_json=is_json)
        return
    shards = bench.source.shards()
    images = [found_id(bench, one, shards) for one in image_ids]
    bench.tracking.check_address()
    before = _searches(bench)
    with open_history(is_quiet=is_json) as (instance, display):
        made = search(bench.project, instance, images=images, text=text, name=name, budget=budget, watcher=display)
    bench = open_bench()
    rows = list(mined(bench, made, count))
    if is_json:
        print_json({"experiment": made, "images": rows})
        return
    if made in before and before[made] != _searches(bench)[made]:
        console().print(f"{plain(made)} was another search before: {plain(_in_words(before[made]))}.")
    print_top(rows, made)
    console().print(f"Look through them: vlmine review --experiment {plain(made)}")


def _searches(bench: "Workbench") -> "dict[str, LikeSettings]":
    arms = bench.project.settings.experiments
    return {name: arm.like for name, arm in arms.items() if arm.like is not None}


def _in_words(like: "LikeSettings") -> str:
    return ", ".join([*like.images, *([f'"{like.text}"'] if like.text else [])])


def _list_searches(*, is_json: bool) -> None:
    searches = _searches(open_bench())
    if is_json:
        print_json({name: like.model_dump() for name, like in searches.items()})
        return
    if not searches:
        console().print("No searches so far. Start one: vlmine like IMAGE_ID, or vlmine like --text WORDS")
        return
    table = table_of({"search": "left", "examples": "right", "text": "left"})
    for name, like in searches.items():
        table.add_row(plain(name), str(len(like.images)), plain(like.text))
    print_table(table)
