"""Recall of few-shot images by a project's experiments, over draws of the labelled seed, as Markdown.

    python -m benchmarks.recall --project vlmine.yaml --draws 30
    python -m benchmarks.recall --project vlmine.yaml --draws 10 --rounds 2 --arm fused --arm entropy
    python -m benchmarks.recall --draws 10 --tail-seed 1 --classes 100 --imbalance 50 --seed-fraction 0.1

Run `vlmine run` on the project first. It is the study `draws` (`vlmine study draws`), without MLflow: draws that were
done before are kept, here and there. With `--rounds 2` half of a budget is mined, its labels come back, all is fitted
anew, and the other half is mined; recall is of all few-shot images that were unlabelled at first. With `--tail-seed`
another long-tailed pool is cut from the project's (see `benchmarks.tails`), and `fused` is measured twice more: where
classes have no names, and as it is for a project without any label.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import click
import numpy as np

from benchmarks.tails import CutPool, Tail
from vlmine_dagster.mining.selection import budget_count
from vlmine_dagster.mining.verdicts import rules_text
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import ExperimentSettings, default_experiments
from vlmine_dagster.studies import draws
from vlmine_dagster.studies.pool import Pool
from vlmine_dagster.studies.study import Row, StudyRun, verdict_markdown

NAMELESS = "fused, classes without names"
UNLABELLED = "fused, nothing labelled"


def recall_by_rounds(pool: Pool, experiment: ExperimentSettings, *, number: int, budget: float, rounds: int) -> float:
    """Return the share of few-shot images that are found when a budget is spent in equal parts, refitted between."""
    draw = first = pool.draw(number)
    total = budget_count(budget, len(first.ids))
    mined: list[str] = []
    for done in range(1, rounds + 1):
        order = draw.rank(experiment)[: total * done // rounds - len(mined)]
        mined += [draw.ids[place] for place in order]
        if done < rounds:
            draw = pool.draw(number, mined=mined)
    is_few = np.array([pool.bins[label] == "few" for label in first.truth])
    return float(is_few[np.isin(first.ids, mined)].sum() / is_few.sum())


def rows_of_tail(
    pool: CutPool, experiments: Mapping[str, ExperimentSettings], *, number: int, budgets: Sequence[float]
) -> list[Row]:
    """Judge one draw of a pool that was cut, by the experiments and by what `fused` is without names and labels."""
    arms = {**experiments, UNLABELLED: default_experiments(labelled=False)["fused"]}
    named = draws.judged(pool, pool.draw(number), arms, budgets=budgets)
    nameless = {NAMELESS: experiments["fused"]} if "fused" in experiments else {}
    return named + draws.judged(pool, pool.nameless().draw(number), nameless, budgets=budgets)


def tell_tail(bench: Workbench, tail: Tail, *, count: int, seed_fraction: float | None) -> None:
    """Print what draws of a pool that was cut show."""
    whole, settings = Pool(bench, seed_fraction=seed_fraction), bench.project.settings
    pool = CutPool(whole, tail.places(whole.truth))
    rows = [
        row
        for number in range(count)
        for row in rows_of_tail(pool, settings.experiments, number=number, budgets=settings.retraining.budgets)
    ]
    words, tables = draws.verdict(bench, draws.ArmCurves(rows))
    sizes = rules_text(pool.class_counts.values())
    click.echo(verdict_markdown([f"{tail}: {len(pool.ids):,} images; {sizes}", *words], tables))


def tell_rounds(run: StudyRun, arms: Sequence[str], *, rounds: int) -> None:
    """Print recall by arm and budget, where a budget is spent in several rounds."""
    settings, pool = run.bench.project.settings, run.pool()
    budgets = settings.retraining.budgets
    click.echo(f"| {rounds} rounds | {' | '.join(map(draws.share_name, budgets))} |\n| --- |{' ---: |' * len(budgets)}")
    for arm in arms:
        shares = [
            [
                recall_by_rounds(pool, settings.experiments[arm], number=number, budget=budget, rounds=rounds)
                for budget in budgets
            ]
            for number in range(run.draws)
        ]
        means, spreads = np.mean(shares, axis=0), np.std(shares, axis=0, ddof=1)
        cells = [f"{mean:.3f} ± {spread:.3f}" for mean, spread in zip(means, spreads, strict=True)]
        click.echo(f"| {arm} | {' | '.join(cells)} |")


@click.command()
@click.option("--project", "file", default="vlmine.yaml", show_default=True, type=click.Path(exists=True))
@click.option("--draws", "count", default=10, show_default=True)
@click.option("--rounds", default=1, show_default=True)
@click.option("--arm", "arms", multiple=True, default=("fused", "entropy"), help="Experiments, with several rounds.")
@click.option("--tail-seed", type=int, help="Cut another long-tailed pool; another number, another pool.")
@click.option("--classes", default=Tail.class_count, show_default=True, help="Classes of it.")
@click.option("--imbalance", default=Tail.imbalance, show_default=True, help="Its largest class over its smallest.")
@click.option("--largest", default=Tail.largest, show_default=True, help="Images of its largest class.")
@click.option("--supply", default=Tail.smallest_supply, show_default=True, help="Images a class has to have before.")
@click.option("--seed-fraction", type=float, help="Labelled share of it; the project's if left out.")
def main(file: str, count: int, rounds: int, arms: Sequence[str], **cut: Any) -> None:
    """Print what the draws show, and tables of recall by experiment and budget."""
    bench = Workbench(settings_file=file)
    if cut["tail_seed"] is not None:
        tail = Tail(cut["tail_seed"], cut["classes"], cut["imbalance"], cut["largest"], cut["supply"])
        tell_tail(bench, tail, count=count, seed_fraction=cut["seed_fraction"])
        return
    run = StudyRun(draws.STUDY, bench, draws=count)
    if rounds > 1:
        tell_rounds(run, arms, rounds=rounds)
        return
    found = draws.conclude(run, run.rows())
    click.echo(verdict_markdown(found.words, found.tables))


if __name__ == "__main__":
    main()
