"""`vlmine cache`: answers of models, and what they cost."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from vlmine_dagster.cli.group import as_json
from vlmine_dagster.cli.session import open_bench
from vlmine_dagster.cli.terminal import console, plain, print_json, print_table, table_of
from vlmine_dagster.domain.counting import counted

if TYPE_CHECKING:
    from vlmine_dagster.resources.workbench import Workbench


@click.group(invoke_without_command=True)
@as_json
@click.pass_context
def cache(context: click.Context, is_json: bool) -> None:
    """Show the answer cache: answers, calls and dollars for each model and prompt."""
    if context.invoked_subcommand is not None:
        return
    bench = open_bench()
    rows = cached(bench)
    found = {"path": bench.cache.where, "bytes": bench.cache.byte_count, "variants": rows}
    print_json(found) if is_json else print_cache(found["path"], found["bytes"], rows)  # type: ignore[arg-type]


@cache.command()
@click.option(
    "--variant",
    "variants",
    multiple=True,
    help="Hash of a model and prompt, as `vlmine cache` lists it. Repeat for several.",
)
@click.option("--unused", "is_unused", is_flag=True, help="Every model and prompt that vlmine.yaml no longer uses.")
@click.confirmation_option("--yes", prompt="Deleted answers must be paid for again if they are needed. Continue?")
def prune(variants: tuple[str, ...], is_unused: bool) -> None:
    """Delete answers of some models and prompts. The record of what was spent stays."""
    bench = open_bench()
    rows = cached(bench)
    unknown = sorted(set(variants) - {row["variant"] for row in rows})
    if unknown or not (variants or is_unused):
        known = ", ".join(row["variant"] for row in rows) or "none"
        raise click.UsageError(f"name a variant with --variant, or pass --unused. In the cache: {known}")
    chosen = [r["variant"] for r in rows if r["variant"] in variants or (is_unused and not r["is_used"])]
    click.echo(f"deleted: {counted(bench.cache.prune(chosen), 'answer')} of {counted(len(chosen), 'variant')}")


def cached(bench: "Workbench") -> list[dict[str, Any]]:
    """Return the answers by model and prompt, and whether `vlmine.yaml` still uses those."""
    from vlmine_dagster.describing.providers import describer_of, grounder_of, keyworder_of
    from vlmine_dagster.resources.describers import ModelDescriber
    from vlmine_dagster.resources.keyworders import ModelKeyworder

    used = set()
    for variant in bench.project.settings.variant_names:
        for part in (describer_of(bench, variant), keyworder_of(bench, variant)):
            if isinstance(part, (ModelDescriber, ModelKeyworder)):
                used.add(part.model.fingerprint)
    grounder = grounder_of(bench)
    if grounder is not None:
        used.add(grounder.model.fingerprint)
    return [{**vars(row), "is_used": row.variant in used} for row in bench.cache.variants()]


def print_cache(path: str, byte_count: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the answers by model and prompt."""
    table = table_of(
        {
            "variant": "left",
            "model and prompt": "left",
            "answers": "right",
            "calls": "right",
            "spent": "right",
            "of it estimated": "right",
            "use": "right",
        }
    )
    for row in rows:
        use = "in use" if row["is_used"] else "[yellow]unused[/]"
        money = (f"${row['cost_usd']:.4f}", f"${row['estimated_usd']:.4f}" if row["estimated_usd"] else "")
        counts = (f"{row['reply_count']:,}", f"{row['calls']:,}", *money)
        table.add_row(row["variant"], plain(row["label"]), *counts, use)
    out = console()
    out.print(f"{plain(path)}, {byte_count / 1e6:.1f} MB")
    if rows:
        print_table(table)
    else:
        out.print("No answers yet. The tagger and the rules ask no model.")
