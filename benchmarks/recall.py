"""Recall of few-shot images by a project's experiments, over draws of the labelled seed, as Markdown.

    python -m benchmarks.recall --project vlmine.yaml --draws 30
    python -m benchmarks.recall --project vlmine.yaml --draws 10 --rounds 2 --arm fused --arm entropy

Run `vlmine run` on the project first. It is the study `draws` (`vlmine study draws`), without MLflow: draws that were
done before are kept, here and there. With `--rounds 2` half of a budget is mined, its labels come back, all is fitted
anew, and the other half is mined; recall is of all few-shot images that were unlabelled at first.
"""

from collections.abc import Sequence

import click
import numpy as np

from resources.workbench import Workbench
from vlmine_dagster.mining.selection import budget_count
from vlmine_dagster.project import ExperimentSettings
from vlmine_dagster.studies import draws
from vlmine_dagster.studies.pool import Pool
from vlmine_dagster.studies.study import StudyRun, verdict_markdown


def recall_by_rounds(pool: Pool, experiment: ExperimentSettings, *, number: int, budget: float, rounds: int) -> float:
    """Return the share of few-shot images that are found when a budget is spent in equal parts, refitted between."""
    draw = first = pool.draw(number)
    total = budget_count(budget, len(first.ids))
    mined: list[str] = []
    for done in range(1, rounds + 1):
        order = draw.rank(experiment).order[: total * done // rounds - len(mined)]
        mined += [draw.ids[place] for place in order]
        if done < rounds:
            draw = pool.draw(number, mined=mined)
    is_few = np.array([pool.bins[label] == "few" for label in first.truth])
    return float(is_few[np.isin(first.ids, mined)].sum() / is_few.sum())


@click.command()
@click.option("--project", "file", default="vlmine.yaml", show_default=True, type=click.Path(exists=True))
@click.option("--draws", "count", default=10, show_default=True)
@click.option("--rounds", default=1, show_default=True)
@click.option("--arm", "arms", multiple=True, default=("fused", "entropy"), help="Experiments, with several rounds.")
def main(file: str, count: int, rounds: int, arms: Sequence[str]) -> None:
    """Print what the draws show, and tables of recall by experiment and budget."""
    bench = Workbench(settings_file=file)
    run = StudyRun(draws.STUDY, bench, draws=count)
    if rounds == 1:
        found = draws.conclude(run, run.rows())
        click.echo(verdict_markdown(found.words, found.tables))
        return
    settings, pool = bench.project.settings, run.pool()
    budgets = settings.retraining.budgets
    click.echo(f"| {rounds} rounds | {' | '.join(map(draws.share_name, budgets))} |\n| --- |{' ---: |' * len(budgets)}")
    for arm in arms:
        shares = [
            [
                recall_by_rounds(pool, settings.experiments[arm], number=number, budget=budget, rounds=rounds)
                for budget in budgets
            ]
            for number in range(count)
        ]
        means, spreads = np.mean(shares, axis=0), np.std(shares, axis=0, ddof=1)
        cells = [f"{mean:.3f} ± {spread:.3f}" for mean, spread in zip(means, spreads, strict=True)]
        click.echo(f"| {arm} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
