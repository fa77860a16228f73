"""`vlmine status`: what is there, what is missing or stale, what failed."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from vlmine_dagster.cli.group import as_json
from vlmine_dagster.cli.session import open_bench
from vlmine_dagster.cli.terminal import (
    SHOWN_FAILURES,
    console,
    plain,
    print_json,
    print_look,
    print_more_failures,
    print_table,
    table_of,
)
from vlmine_dagster.domain.tables import NO_FAILURES, TABLES, WHOLE_POOL
from vlmine_dagster.domain.variants import DEFAULT_VARIANT

if TYPE_CHECKING:
    import dagster as dg

    from vlmine_dagster.engine.freshness import Freshness
    from vlmine_dagster.engine.stage import Unit
    from vlmine_dagster.resources.lake import Lake
    from vlmine_dagster.resources.workbench import Workbench

_SWITCHED_ON = frozenset({"duplicates", "shard_duplicates", "grounded_keywords"})

History = Callable[[], "AbstractContextManager[dg.DagsterInstance]"]


@click.command()
@click.option("--failures", "is_failures", is_flag=True, help="List every image and object that failed, and why.")
@as_json
def status(is_failures: bool, is_json: bool) -> None:
    """Show each stage: what is fresh, missing or stale, rows, outcomes, tokens, money, and why shards failed."""
    from vlmine_dagster.automation.history import open_instance

    bench = open_bench()
    if is_failures:
        failed = failed_images(bench, bench.source.shards())
        print_json(failed) if is_json else print_failed_images(failed)
        return
    rows = table_states(bench, bench.source.shards(), partial(open_instance, bench.project))
    print_json(rows) if is_json else print_status(rows)


def _findings(bench: "Workbench", rows: Sequence[dict[str, Any]]) -> None:
    """Add what a table says of the pool to its row: of keywords, of junk, of what a second model saw."""
    from vlmine_dagster.scoring.findings import grounding_findings, readable_findings

    found = readable_findings(bench)
    if texts := grounding_findings(bench):
        found["grounded_keywords"] = [f"keywords of {name}: {text}" for name, text in texts.items()]
    for row in rows:
        if row["variant"] == DEFAULT_VARIANT and row["table"] in found:
            row["findings"] = found[row["table"]]


def table_states(bench: "Workbench", shards: Sequence[str], history: History | None = None) -> list[dict[str, Any]]:
    """Return one row per table and variant: partitions by state, rows, outcomes, tokens, money, and why some failed.

    Args:
        bench: The project's resources.
        shards: All shards.
        history: Opens Dagster's history, which knows the failures; asked only if something is not fresh. Without it
            none is told.
    """
    from vlmine_dagster.assets import GRAPH
    from vlmine_dagster.engine.freshness import Freshness

    freshness = Freshness(GRAPH, bench, shards)
    # A project of images has nothing to do with the stages of objects, so these are not told as skipped, and neither is
    # what a setting switches on.
    units = [
        one
        for one in GRAPH.units(bench.project)
        if not (one.stage.group == "ingest" or one.stage.table in _SWITCHED_ON) or not one.why_skipped(bench.project)
    ]
    rows = [_row(bench, freshness, unit, shards) for unit in units]
    if history is not None and any(row.get("not_fresh") for row in rows):
        with history() as instance:
            for row in rows:
                if row.get("not_fresh"):
                    row["failures"] = _failures(instance, row)
    _findings(bench, rows)
    return rows


def _row(bench: "Workbench", freshness: "Freshness", unit: "Unit", shards: Sequence[str]) -> dict[str, Any]:
    stage, variant = unit.stage, unit.variant
    reason = unit.why_skipped(bench.project)
    if reason is not None:
        nothing = {"partitions": 0, "states": {}, "not_fresh": [], "failures": {}, "rows": 0}
        return {"table": stage.table, "variant": variant, "skipped": reason, **nothing}
    partitions = stage.partitions(bench.project, shards)
    states = {name: freshness.state(unit, name) for name in partitions}
    stamps = [freshness.stamp(stage.table, name, variant) for name in partitions]
    return {
        "table": stage.table,
        "variant": variant,
        "partitions": len(partitions),
        "states": dict(Counter(states.values())),
        "not_fresh": [name for name, state in states.items() if state != "fresh"],
        "failures": {},
        "rows": sum(stamp.row_count for stamp in stamps if stamp is not None),
        **_bill(bench.lake, freshness, unit, partitions),
    }


def _failures(instance: "dg.DagsterInstance", row: Mapping[str, Any]) -> dict[str, str]:
    """Return why partitions that are not fresh failed, where the failure is newer than what is there."""
    from vlmine_dagster.engine.failures import standing_failures
    from vlmine_dagster.engine.stage import asset_key

    not_fresh = set(row["not_fresh"])
    return standing_failures(instance, asset_key(row["table"], row["variant"]), is_unfinished=not_fresh.__contains__)


def _bill(lake: "Lake", freshness: "Freshness", unit: "Unit", partitions: Sequence[str]) -> dict[str, Any]:
    """Return outcomes, and tokens and money where a table has them, as the stamps tell."""
    variant = unit.variant
    with_outcomes = [name for name in unit.stage.tables if any(c.name == "outcome" for c in TABLES[name].columns)]
    stamps = {
        name: stamp
        for name in partitions
        if with_outcomes and (stamp := freshness.stamp(with_outcomes[0], name, variant))
    }
    totals: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    for name, stamp in stamps.items():
        found = lake.totals(with_outcomes[0], name, variant=variant, stamp=stamp)
        outcomes.update(found["outcomes"])
        totals.update({name: value for name, value in found.items() if name != "outcomes"})
    return {"outcomes": dict(outcomes.most_common()), **totals} if stamps else {}


def failed_images(bench: "Workbench", shards: Sequence[str]) -> list[dict[str, Any]]:
    """Return one row per image or object and table that failed: corrupt files, bad boxes, refusals."""
    lake, rows = bench.lake, []
    partitions = {"shard": set(shards), "pool": {WHOLE_POOL}, "experiment": set(bench.project.settings.experiments)}
    for table, contract in TABLES.items():
        names = [column.name for column in contract.columns]
        if "failure" not in names:
            continue
        ids = ", ".join(name for name in names if name in ("image_id", *contract.key))
        query = f"SELECT {ids}, outcome, failure FROM {table} WHERE outcome NOT IN $good ORDER BY {ids}"  # noqa: S608
        for variant in bench.project.settings.variant_names:
            known = partitions[contract.partition]
            there = [name for name in lake.partitions(table, variant=variant) if name in known]
            with lake.connect(**{table: lake.require(table, there, variant=variant)}) as connection:
                found = connection.sql(query, params={"good": sorted(NO_FAILURES)}).to_arrow_table().to_pylist()
            rows += [{"table": table, "variant": variant, **row} for row in found]
    return rows


def print_status(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print one line per table, and failures below."""
    table = table_of({"table": "left", "fresh": "right", "rows": "right", "state": "left", "outcomes": "left"})
    for row in rows:
        name = row["table"] if row["variant"] == DEFAULT_VARIANT else f"{row['variant']}/{row['table']}"
        if "skipped" in row:
            table.add_row(name, "", "", f"[yellow]skipped: {plain(row['skipped'])}[/]", "")
            continue
        fresh = row["states"].get("fresh", 0)
        table.add_row(name, f"{fresh}/{row['partitions']}", f"{row['rows']:,}", _state(row), _outcomes(row))
    out = console()
    print_table(table)
    for row in rows:
        failures = list(row.get("failures", {}).items())
        for partition, text in failures[:SHOWN_FAILURES]:
            out.print(f"[red]failed[/] {row['table']}[{plain(partition)}]: {plain(text)}", markup=True)
        print_more_failures(out, row["table"], len(failures))
    for finding in (finding for row in rows for finding in row.get("findings", ())):
        print_look(finding)
    if any(set(row.get("outcomes", {})) - NO_FAILURES for row in rows):
        out.print("[dim]Which images failed, and why: `vlmine status --failures`[/]")


def print_failed_images(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print one line per image that failed, with the reason."""
    out = console()
    for row in rows:
        variant = "" if row["variant"] == DEFAULT_VARIANT else f"{row['variant']}/"
        name = row.get("object_id") or row.get("image_id") or f"{row['name']} in {row['origin']}"
        failure = f"{plain(name)}: {plain(row['failure'] or '')}"
        out.print(f"{variant}{row['table']} [yellow]{row['outcome']}[/] {failure}", soft_wrap=True)
    out.print(f"{len(rows):,} failed.")


def _state(row: Mapping[str, Any]) -> str:
    if not row["not_fresh"]:
        return "[green]fresh[/]"
    counts = ", ".join(f"{count} {state}" for state, count in row["states"].items() if state != "fresh")
    shown = ", ".join(row["not_fresh"][:3]) + (" ..." if len(row["not_fresh"]) > 3 else "")
    return f"[yellow]{counts}[/]: {plain(shown)}"


def _outcomes(row: Mapping[str, Any]) -> str:
    parts = [f"{count:,} {outcome}" for outcome, count in row.get("outcomes", {}).items()]
    if row.get("prompt_tokens") or row.get("output_tokens"):
        parts.append(f"{row['prompt_tokens'] + row['output_tokens']:,} tokens")
    if row.get("cost_usd"):
        parts.append(f"${row['cost_usd']:.2f}")
    return ", ".join(parts)
