"""`vlmine compare`: experiments, and rounds of labels, side by side from MLflow."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from vlmine_dagster.cli.group import as_json
from vlmine_dagster.cli.mined import experiment_of, print_stale
from vlmine_dagster.cli.session import open_bench
from vlmine_dagster.cli.slices import slices_of_list
from vlmine_dagster.cli.terminal import console, grid, plain, print_json, print_sentences, print_table, table_of
from vlmine_dagster.domain.errors import MissingInputError
from vlmine_dagster.domain.tables import UNRANKED
from vlmine_dagster.domain.variants import DEFAULT_VARIANT

if TYPE_CHECKING:
    from rich.table import Table

    from vlmine_dagster.resources.workbench import Workbench

Curves = Mapping[str, Sequence[tuple[int, float]]]
"""(images mined, value) pairs by metric."""

_CURVES = ("few_recall", "few_images", "few_lift", "few_accuracy", "all_accuracy", UNRANKED)
_AT_NO_BUDGET = ("labelled_images", "few_images", "few_accuracy", "all_accuracy")


@click.command()
@click.option("--with", "reference", help="Experiment to compare with. Default: entropy, else random.")
@as_json
def compare(reference: str | None, is_json: bool) -> None:
    """Compare experiments by their MLflow runs, with intervals, and say which differences are significant."""
    bench = open_bench()
    result = comparison(bench, reference=reference)
    if is_json:
        print_json(result)
        return
    print_comparison(result)
    print_stale(bench, [row["experiment"] for row in result["experiments"]])


def comparison(bench: "Workbench", *, reference: str | None = None) -> dict[str, Any]:
    """Return all that `vlmine compare` tells: experiments, rounds of labels, what is shown, and where MLflow shows it.

    Args:
        bench: The project's resources.
        reference: The experiment to compare with; `entropy` if left out, else `random`.

    Raises:
        ConfigError: there is no such experiment.
        MissingInputError: MLflow has no experiment of this project.
        TrackingError: MLflow cannot be reached.
    """
    found, back = compared_experiments(bench), rounds(bench)
    run_ids = [run_id for row in back for run_id in row["mlflow_run_ids"].values()]
    where = {"mlflow_rounds_url": bench.tracking.comparison_url(run_ids)} if back else {}
    item = bench.project.settings.unit
    return {"item": item, "experiments": found, "rounds": back, **verdict(bench, found, reference=reference), **where}


def compared_experiments(bench: "Workbench") -> list[dict[str, Any]]:
    """Return one row per experiment, from its newest MLflow run: tail recall by budget with a 95% interval, accuracy.

    Experiments of different rounds of labels have different pools: `round` tells them apart.

    The interval is Wilson's, over the tail images of this one pool and seed; it says how sure the recall is for this
    many tail images, not how it varies between seeds: that says `verdict`.

    Raises:
        MissingInputError: MLflow has no experiment of this project.
        TrackingError: MLflow cannot be reached.
    """
    round_of = {run.run_id: run.round for run in bench.tracking.finished("pareto_set")}
    judged = _judgements(bench)
    rows = []
    for name in bench.project.settings.experiments:
        stamp = bench.lake.stamp("pareto_set", name)
        inputs = None if stamp is None else stamp.inputs
        run_id = bench.tracking.latest(experiment=name, asset="pareto_set", inputs=inputs)
        if run_id is None and stamp is not None:
            from vlmine_dagster.engine.freshness import pending_mark

            pending_mark(bench, "pareto_set", name).touch()  # so that the next run tells MLflow again
        if run_id is not None:
            curves = bench.tracking.history(judged[run_id], _CURVES) if run_id in judged else {}
            rows.append(_experiment(bench, name, run_id, curves, round_number=round_of.get(run_id, 0)))
    if not rows:
        raise MissingInputError(
            "MLflow has no experiment of this project: nothing was mined yet, or its store is gone. `vlmine run` "
            "mines what is missing and reports the rest to MLflow again."
        )
    return rows


def _judgements(bench: "Workbench") -> dict[str, str]:
    """Return, by the run of a list, the newest run that judged it; the list's own run keeps values of all."""
    newest_last = reversed(bench.tracking.finished("retrain_metrics"))
    return {run.parent_run_id: run.run_id for run in newest_last}


def _experiment(bench: "Workbench", name: str, run_id: str, curves: Curves, *, round_number: int) -> dict[str, Any]:
    from vlmine_dagster.mining.advice import wilson

    settings = bench.project.settings.experiments[name]
    tail = int(curves["few_images"][0][1]) if "few_images" in curves else 0
    return {
        "experiment": name,
        "signals": list(settings.signals),
        "fusion": settings.fusion,
        "variant": settings.variant,
        "round": round_number,
        "few_images": tail,
        "unranked_images": int(curves[UNRANKED][0][1]) if UNRANKED in curves else 0,
        "few_recall": [
            {"mined": step, "value": value, "low": low, "high": high}
            for step, value in curves.get("few_recall", [])
            for low, high in [wilson(round(value * tail), tail)]
        ],
        **{metric: dict(curves.get(metric, [])) for metric in ("few_lift", "few_accuracy", "all_accuracy")},
        "slices": slices_of_list(bench, name),
        "mlflow_run_id": run_id,
        "mlflow_url": bench.tracking.url(run_id),
    }


def rounds(bench: "Workbench") -> list[dict[str, Any]]:
    """Return one row per round of labels, the first one first; none as long as no labels came back.

    What a round's newest MLflow runs tell: the images that are labelled, the few-shot images that are left in the pool,
    the accuracy of a model trained on the labelled images alone, on the same test images in every round, and the runs.
    """
    newest: dict[int, dict[str, str]] = {}
    for run in bench.tracking.finished("pareto_set"):
        if run.experiment in bench.project.settings.experiments:
            newest.setdefault(run.round, {}).setdefault(run.experiment, run.run_id)
    if not any(newest):
        return []
    judged = _judgements(bench)
    return [_round(bench, number, newest[number], judged) for number in sorted(newest)]


def _round(bench: "Workbench", number: int, run_ids: Mapping[str, str], judged: Mapping[str, str]) -> dict[str, Any]:
    found = (bench.tracking.history(judged[run_id], _AT_NO_BUDGET) for run_id in run_ids.values() if run_id in judged)
    curves: Curves = next((curves for curves in found if curves), {})
    first = {name: curves[name][0][1] if name in curves else None for name in _AT_NO_BUDGET}
    return {"round": number, **first, "mlflow_run_ids": dict(run_ids)}


def verdict(bench: "Workbench", rows: Sequence[Mapping[str, Any]], *, reference: str | None = None) -> dict[str, Any]:
    """Return what is shown between experiments: in words, as tables over draws of the seed, and where MLflow shows it.

    Args:
        bench: The project's resources.
        rows: What `compared_experiments` returned.
        reference: The experiment to compare with; `entropy` if left out, else `random`.

    Raises:
        ConfigError: there is no such experiment.
    """
    from vlmine_dagster.mining.verdicts import FEWEST_UNTRAINED, ONE_DRAW
    from vlmine_dagster.scoring.findings import readable_findings
    from vlmine_dagster.studies import draws

    if reference is not None:
        experiment_of(bench, reference)
    kept = draws.kept_rows(bench)
    words: list[str] = []
    tables: dict[str, Any] = {}
    if kept:
        words, tables = draws.verdict(bench, draws.ArmCurves(kept), reference=reference)
    elif any(row["few_recall"] for row in rows):
        words = [f"{ONE_DRAW}. `vlmine study draws` repeats it {FEWEST_UNTRAINED} times; the result is shown here."]
    words += [*shot_words(bench), *readable_findings(bench, "vocab_counts").get("vocab_counts", ())]
    run_ids = [row["mlflow_run_id"] for row in rows]
    return {
        "words": words,
        "tables": tables,
        "mlflow_url": bench.tracking.comparison_url(run_ids),
        "mlflow_curves_url": bench.tracking.curves_url(run_ids),
    }


def shot_words(bench: "Workbench") -> list[str]:
    """Say what is few-shot by both rules, and warn where that is not rare in the pool."""
    labels, settings = bench.labels, bench.project.settings.dataset.labels
    if labels is None or settings is None:
        return []
    from vlmine_dagster.mining.longtail import shot_bins
    from vlmine_dagster.mining.verdicts import common_tail_sentence, rules_text

    counts = labels.class_counts()
    bins = shot_bins(counts, many_over=settings.many_over, few_under=settings.few_under)
    warning = common_tail_sentence(bins, labels.pool_counts(), few_under=settings.few_under)
    return [rules_text(counts.values()), *([warning] if warning else [])]


def print_comparison(result: Mapping[str, Any]) -> None:
    """Print experiments and rounds of labels side by side, and what is shown between experiments."""
    out, rows, items = console(), result["experiments"], f"{result['item']}s"
    if any(row["few_recall"] or row["few_accuracy"] for row in rows):
        print_table(_judged_table(rows, items, has_rounds=bool(result["rounds"])))
    if tails := sorted({row["few_images"] for row in rows if row["few_recall"]}):
        tail = " to ".join(f"{count:,}" for count in dict.fromkeys((tails[0], tails[-1])))
        out.print(
            f"[dim]95% Wilson intervals over {tail} few-shot {items}, for this one pool and labelled set. "
            f"Accuracy: labelled set only -> largest budget.[/]"
        )
        if any(row["unranked_images"] for row in rows):
            out.print(
                f"[dim]Not ranked: {items} without a description or without a signal of an experiment. Every "
                f"experiment is evaluated on the same {items}; these come last.[/]"
            )
    else:
        names = ", ".join(plain(row["experiment"]) for row in rows)
        out.print(f"The pool has no labels, so recall of the tail cannot be measured for: {names}.")
        out.print(
            "Compare the lists by eye: contact sheets are in .vlmine/reports, or use `vlmine top --experiment NAME`."
        )
    for row in rows:
        if row["slices"].get("worst"):
            out.print(f"{plain(row['experiment'])}, by {plain(row['slices']['by'])}: {plain(row['slices']['worst'])}")
    if result["rounds"]:
        print_table(_rounds_table(result["rounds"]))
        out.print("[dim]Accuracy: a model trained on the labelled images only, on the same test images.[/]")
        out.print(f"[dim]Rounds in MLflow: {result['mlflow_rounds_url']}[/]", soft_wrap=True)
    for title, cells in result["tables"].items():
        print_table(grid(title, cells))
    print_sentences(result["words"])
    out.print(f"[dim]Curves in MLflow (start `vlmine ui`): {result['mlflow_curves_url']}[/]", soft_wrap=True)
    out.print(f"[dim]Parameters and metrics side by side: {result['mlflow_url']}[/]", soft_wrap=True)


def _judged_table(rows: Sequence[Mapping[str, Any]], items: str, *, has_rounds: bool) -> "Table":
    """Return recall at each budget and accuracy of experiments, as far as somebody could judge them."""
    budgets = next(([point["mined"] for point in row["few_recall"]] for row in rows if row["few_recall"]), [])
    title = f"Recall of few-shot {items} by {items} mined" if budgets else ""
    has_variants = any(row["variant"] != DEFAULT_VARIANT for row in rows)
    has_unranked = any(row["unranked_images"] for row in rows)
    names = ["experiment", *(["variant"] if has_variants else [])]
    numbers = [*(["round"] if has_rounds else []), *(f"{mined:,}" for mined in budgets), "few-shot accuracy"]
    numbers += ["not ranked"] if has_unranked else []
    table = table_of({**dict.fromkeys(names, "left"), **dict.fromkeys(numbers, "right")}, title=title)
    for row in rows:
        cells = [f"{p['value']:.2f} [dim]{p['low']:.2f}-{p['high']:.2f}[/]" for p in row["few_recall"]]
        accuracy = list(row["few_accuracy"].values())
        shown = f"{accuracy[0]:.2f} -> {accuracy[-1]:.2f}" if accuracy else ""
        names = [plain(row["experiment"]), *([plain(row["variant"])] if has_variants else [])]
        number = [str(row["round"])] if has_rounds else []
        unranked = [f"{row['unranked_images']:,}"] if has_unranked else []
        table.add_row(*names, *number, *(cells or [""] * len(budgets)), shown, *unranked)
    return table


def _rounds_table(rows: Sequence[Mapping[str, Any]]) -> "Table":
    names = ("round", "labelled", "few-shot left", "few-shot accuracy", "accuracy")
    table = table_of(dict.fromkeys(names, "right"), title="Rounds of labels")
    for row in rows:
        counts = [row[name] for name in ("labelled_images", "few_images")]
        shares = [row[name] for name in ("few_accuracy", "all_accuracy")]
        numbers = [f"{n:,.0f}" if n is not None else "" for n in counts]
        table.add_row(str(row["round"]), *numbers, *(f"{share:.3f}" if share is not None else "" for share in shares))
    return table
