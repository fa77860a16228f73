"""Recall of few-shot images by a project's experiments, over draws of the labelled set, as Markdown.

    python -m benchmarks.recall --project vlmine.yaml --draws 30
    python -m benchmarks.recall --project vlmine.yaml --draws 30 --without labels
    python -m benchmarks.recall --project vlmine.yaml --draws 10 --rounds 2 --arm fused --arm entropy
    python -m benchmarks.recall --draws 10 --tail-seed 1 --classes 100 --imbalance 50 --seed-fraction 0.1

Run `vlmine run` on the project first; any project with `oracle: true` will do. It asks what the study `draws` asks,
without MLflow, and keeps the signals of a draw where the study keeps them: what either has done is not done again.
`--without` adds arms: `fused` where classes have no names, and as it is for a project without any label. With `--rounds
2` half of a budget is mined, its labels come back, all is fitted again, and the other half is mined; recall is of all
few-shot images that were unlabelled at first. With `--tail-seed` another long-tailed pool is cut from the project's
(see `benchmarks.tails`).
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
import numpy as np

from benchmarks.tails import CutPool, Tail
from vlmine_dagster.mining.selection import budget_count
from vlmine_dagster.mining.verdicts import rules_text
from vlmine_dagster.resources.ordered import core_count
from vlmine_dagster.resources.progress import Progress, Step, listening
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import DEFAULT_VARIANT, ExperimentSettings, default_experiments
from vlmine_dagster.studies import draws
from vlmine_dagster.studies.pool import Pool
from vlmine_dagster.studies.study import Row, StudyRun, verdict_markdown

NAMELESS = "fused, classes without names"
UNLABELLED = "fused, nothing labelled"

_IMAGES_A_THREAD = 10_000
"""Below this threads wait for each other longer than they work: on 2 busy cores 30 draws of a pool of 2,429 images took
1,320 s with two threads and 407 s with one."""


def thread_count(image_count: int) -> int:
    """Return how many threads a pool of so many images is worth, at most one per core.

    Examples:
        >>> thread_count(2_429)
        1
    """
    return max(1, min(core_count(), image_count // _IMAGES_A_THREAD))


def take_threads(count: int) -> None:
    """Let the libraries that compute take so many threads."""
    import faiss
    import torch

    torch.set_num_threads(count)
    faiss.omp_set_num_threads(count)


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


def rows_of_draw(
    pool: Pool,
    experiments: Mapping[str, ExperimentSettings],
    *,
    number: int,
    budgets: Sequence[float],
    without: Sequence[str] = (),
) -> list[Row]:
    """Judge one draw of a pool by the experiments, and by what `fused` is without names and labels."""
    arms = dict(experiments)
    if "labels" in without:
        arms[UNLABELLED] = default_experiments(labelled=False)["fused"]
    rows = draws.judged(pool, pool.draw(number), arms, budgets=budgets)
    if "names" in without and "fused" in experiments:
        nameless = {NAMELESS: experiments["fused"]}
        rows += draws.judged(pool, pool.nameless().draw(number), nameless, budgets=budgets)
    return rows


def tell_recall(bench: Workbench, pool: Pool, *, count: int, without: Sequence[str], what: str) -> None:
    """Print what draws of a pool show."""
    settings, rows = bench.project.settings, []
    own = {name: arm for name, arm in settings.experiments.items() if arm.variant == DEFAULT_VARIANT}
    progress = Progress("recall", total=count, unit="draws")
    for number in range(count):
        rows += rows_of_draw(pool, own, number=number, budgets=settings.retraining.budgets, without=without)
        progress.add(1)
    words, tables = draws.verdict(bench, draws.ArmCurves(rows))
    sizes = rules_text(pool.class_counts.values())
    click.echo(verdict_markdown([f"{what}: {len(pool.ids):,} images; {sizes}", *words], tables))


def tell_rounds(bench: Workbench, pool: Pool, arms: Sequence[str], *, count: int, rounds: int) -> None:
    """Print recall by arm and budget, where a budget is spent in several rounds."""
    settings = bench.project.settings
    budgets = settings.retraining.budgets
    click.echo(f"| {rounds} rounds | {' | '.join(map(draws.share_name, budgets))} |\n| --- |{' ---: |' * len(budgets)}")
    progress = Progress(f"recall in {rounds} rounds", total=len(arms) * count, unit="draws")
    for arm in arms:
        shares = []
        for number in range(count):
            given = {"number": number, "rounds": rounds}
            shares.append([recall_by_rounds(pool, settings.experiments[arm], budget=one, **given) for one in budgets])
            progress.add(1)
        means, spreads = np.mean(shares, axis=0), np.std(shares, axis=0, ddof=1)
        cells = [f"{mean:.3f} ± {spread:.3f}" for mean, spread in zip(means, spreads, strict=True)]
        click.echo(f"| {arm} | {' | '.join(cells)} |")


def _tell_step(step: Step) -> None:
    if step.unit == "draws":
        print(step, file=sys.stderr, flush=True)


@click.command()
@click.option("--project", "file", default="vlmine.yaml", show_default=True, type=click.Path(exists=True))
@click.option("--draws", "count", default=10, show_default=True)
@click.option("--rounds", default=1, show_default=True)
@click.option("--arm", "arms", multiple=True, default=("fused", "entropy"), help="Experiments, with several rounds.")
@click.option(
    "--without",
    multiple=True,
    type=click.Choice(["names", "labels", "nothing"]),
    default=("names", "labels"),
    show_default=True,
    help="Arms to add: `fused` without names of classes, and with nothing labelled; `nothing` adds none.",
)
@click.option("--threads", type=click.IntRange(1), help="Threads; by the size of the pool if left out.")
@click.option("--tail-seed", type=int, help="Cut another long-tailed pool; another number, another pool.")
@click.option("--classes", default=Tail.class_count, show_default=True, help="Classes of it.")
@click.option("--imbalance", default=Tail.imbalance, show_default=True, help="Its largest class over its smallest.")
@click.option("--largest", default=Tail.largest, show_default=True, help="Images of its largest class.")
@click.option("--supply", default=Tail.smallest_supply, show_default=True, help="Images a class has to have before.")
@click.option("--seed-fraction", type=float, help="Labelled share of it; the project's if left out.")
def main(file: str, count: int, rounds: int, threads: int | None, **asked: Any) -> None:
    """Print what the draws show, and tables of recall by experiment and budget; progress goes to stderr."""
    bench = Workbench(settings_file=file)
    what = bench.project.settings.name
    if asked["tail_seed"] is None and asked["seed_fraction"] is None:
        pool = StudyRun(draws.STUDY, bench).pool()
    else:
        pool = Pool(bench, seed_fraction=asked["seed_fraction"])
    if asked["tail_seed"] is not None:
        tail = Tail(*(asked[name] for name in ("tail_seed", "classes", "imbalance", "largest", "supply")))
        pool, what = CutPool(pool, tail.places(pool.truth)), str(tail)
    take_threads(threads or thread_count(len(pool.ids)))
    with listening(_tell_step):
        if rounds > 1:
            tell_rounds(bench, pool, asked["arms"], count=count, rounds=rounds)
        else:
            tell_recall(bench, pool, count=count, without=asked["without"], what=what)


if __name__ == "__main__":
    main()
