"""Study `detection`: how much of the rare classes of a detection set the experiments' lists reach, by images and boxes.

Whoever labels for a detector draws every box of an image. So a list of objects, or of images, is a list of images here,
and a budget counts images or the boxes to draw in them. Boxes of the pool are known, as in a benchmark.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vlmine_dagster.domain.errors import ConfigError, MissingInputError
from vlmine_dagster.domain.tables import Outcome, Split
from vlmine_dagster.mining.detection import FREQUENCIES, Counted, LabelledScenes, class_frequency
from vlmine_dagster.mining.selection import budget_count
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import LabelSettings
from vlmine_dagster.studies import QUESTIONS
from vlmine_dagster.studies.draws import headline_of, share_name
from vlmine_dagster.studies.study import Arm, Findings, Row, Study, StudyRun

COUNTED: tuple[Counted, ...] = ("images", "boxes")
MEASURES = ("objects", "images", "classes")
RANDOM = "images in random order"
RANDOM_ORDERS = 30

_TRUTH = ("image_id", "class_name", "split", "outcome")
_ANNOTATED = (Outcome.OK.value, Outcome.TOO_SMALL.value)


class _Pool:
    """The images of a pool and the classes of their boxes.

    Attributes:
        images: All images of the pool, with objects or without.
        scenes: Their objects.
        box_count: Boxes in them.
        group_sizes: Classes in each group, of the pool and the labelled set together.
    """

    def __init__(self, bench: Workbench):
        lake, shards = bench.lake, bench.source.shards()
        objects = bench.project.settings.objects
        if objects is None or not objects.boxes:
            raise ConfigError("the study detection needs boxes with classes of the whole pool: set objects.boxes.")
        found = lake.read_all("objects", shards, columns=_TRUTH).to_pylist()
        rows = [row for row in found if row["outcome"] in _ANNOTATED and row["class_name"] is not None]
        holds = {(row["class_name"], row["image_id"]) for row in rows if row["split"] in (Split.POOL, Split.SEED)}
        counts: dict[str, int] = {}
        for name, _ in holds:
            counts[name] = counts.get(name, 0) + 1
        labels = bench.project.settings.dataset.labels or LabelSettings()
        frequency = class_frequency(counts, rare_under=labels.few_under, frequent_over=labels.many_over)
        self.group_sizes = {name: list(frequency.values()).count(name) for name in FREQUENCIES}
        pool = [row for row in rows if row["split"] == Split.POOL]
        if not pool:
            raise ConfigError("the study detection: no box of the pool has a class. Look at `vlmine status`.")
        self.box_count = len(pool)
        self.scenes = LabelledScenes([row["image_id"] for row in pool], [row["class_name"] for row in pool], frequency)
        judged = {row["image_id"] for row in found if row["split"] != Split.POOL}
        images = lake.read_all("images", shards, columns=("image_id", "split", "outcome")).to_pylist()
        self.images = [
            row["image_id"]
            for row in images
            if row["split"] == Split.POOL and row["outcome"] == Outcome.OK and row["image_id"] not in judged
        ]

    def amounts(self, budget: float) -> Mapping[Counted, int]:
        """Return how many images and boxes a share of the pool means."""
        return {"images": budget_count(budget, len(self.images)), "boxes": budget_count(budget, self.box_count)}


def _pool(run: StudyRun) -> _Pool:
    found: _Pool = run.memory.setdefault("pool", None) or _Pool(run.bench)
    run.memory["pool"] = found
    return found


def _steps(run: StudyRun) -> list[str]:
    return [*run.bench.project.settings.strategies, *(f"random-order-{number}" for number in range(RANDOM_ORDERS))]


def _work(run: StudyRun, step: str) -> list[Row]:
    """Judge one list: of an experiment, or the pool's images in a random order."""
    pool, bench = _pool(run), run.bench
    if step in bench.project.settings.strategies:
        listed = bench.lake.read("pareto_set", step, columns=("image_id", "rank")).sort_by("rank")
        part_of = bench.project.settings.items.part_of
        arm, ranked = step, [part_of(name) for name in listed.column("image_id").to_pylist()]
    else:
        draw = np.random.default_rng([21, int(step.rpartition("-")[2])])
        arm, ranked = RANDOM, [pool.images[place] for place in draw.permutation(len(pool.images))]
    rows: list[Row] = []
    for budget in bench.project.settings.retraining.budgets:
        for counted, amount in pool.amounts(budget).items():
            labelled = pool.scenes.labelled(ranked, budget=amount, counted=counted)
            for group, found in pool.scenes.recall(labelled).items():
                facts = {"arm": arm, "budget": budget, "counted": counted, "amount": amount, "group": group}
                rows.append({**facts, "labelled_images": len(labelled), **vars(found)})
    return rows


def _conclude(run: StudyRun, rows: Sequence[Row]) -> Findings:
    budgets, headline = run.bench.project.settings.retraining.budgets, headline_of(run.bench.project.settings)
    values = _Values(rows)
    tables = {
        f"Recall of {measure} of rare classes, by the share of {counted} that is labelled": [
            {"list": arm, **{share_name(budget): values.text(arm, counted, budget, measure) for budget in budgets}}
            for arm in values.arms
        ]
        for counted in COUNTED
        for measure in MEASURES
    }
    tables[f"Recall of objects at {share_name(headline)} of the images, by the frequency of their class"] = [
        {"list": arm, **{group: values.text(arm, "images", headline, "objects", group) for group in FREQUENCIES}}
        for arm in values.arms
    ]
    arms = [
        Arm(
            arm,
            {"list": arm},
            {
                f"rare_{measure}_by_{counted}": mean
                for counted in COUNTED
                for measure in MEASURES
                if np.isfinite(mean := values.mean(arm, counted, headline, measure))
            },
        )
        for arm in values.arms
    ]
    return Findings(_words(run, values, headline), tables, arms)


class _Values:
    """Measures over the orders of each list: one of an experiment, thirty at random.

    Args:
        rows: Of `_work`.
    """

    def __init__(self, rows: Sequence[Row]):
        self._rows: dict[tuple[Any, ...], list[Row]] = {}
        for row in rows:
            key = (row["arm"], row["counted"], row["budget"], row["group"])
            self._rows.setdefault(key, []).append(row)
        self.arms = list(dict.fromkeys(row["arm"] for row in rows))

    def of(self, arm: str, counted: str, budget: float, measure: str, group: str = "rare") -> list[float]:
        """Return the values of one cell, a value per order."""
        return [row[measure] for row in self._rows[arm, counted, budget, group]]

    def mean(self, *cell: Any) -> float:
        """Return the mean of a cell."""
        return float(np.mean(self.of(*cell)))

    def text(self, *cell: Any) -> str:
        """Return the mean of a cell, with the middle 95% of several orders."""
        values = self.of(*cell)
        if len(values) == 1 or not np.isfinite(values).all():
            return f"{np.mean(values):.3f}" if np.isfinite(values).all() else "none in the pool"
        low, high = np.quantile(values, [0.025, 0.975])
        return f"{np.mean(values):.3f} [{low:.3f}, {high:.3f}]"


def _words(run: StudyRun, values: _Values, headline: float) -> list[str]:
    labels = run.bench.project.settings.dataset.labels or LabelSettings()
    sizes = _pool(run).group_sizes
    groups = ", ".join(f"{sizes[name]} {name}" for name in FREQUENCIES)
    words = [
        f"classes by the images that contain them: {groups} (rare: under {labels.few_under}, frequent: over "
        f"{labels.many_over})"
    ]
    for counted in COUNTED:
        cell = (counted, headline, "objects")
        orders = values.of(RANDOM, *cell)
        if not np.isfinite(orders).all():
            return [*words, "no class of the pool is rare: lower dataset.labels.few_under, or look at common ones"]
        high = float(np.quantile(orders, 0.975))
        better = [arm for arm in values.arms if arm != RANDOM and values.mean(arm, *cell) > high]
        better.sort(key=lambda arm: -values.mean(arm, *cell))
        best = ", ".join(f"{arm} ({values.mean(arm, *cell):.3f})" for arm in better)
        words.append(
            f"with {share_name(headline)} of the {counted} labelled, random orders reach {np.mean(orders):.3f} of the "
            f"rare objects (97.5% of them at most {high:.3f}); above that: {best or 'no list'}"
        )
    return words


def list_versions(bench: Workbench) -> list[Any]:
    """Return what the rows depend on beside the objects: the lists, the budgets and what is rare."""
    settings, lake = bench.project.settings, bench.lake
    stamps = {name: lake.stamp("pareto_set", name) for name in settings.strategies}
    missing = [name for name, stamp in stamps.items() if stamp is None]
    if missing:
        raise MissingInputError(f"study: pareto_set of {missing[0]} is not there. Run `vlmine run` first.")
    labels = settings.dataset.labels or LabelSettings()
    versions = [[name, stamp.version()] for name, stamp in stamps.items() if stamp is not None]
    return [versions, list(settings.retraining.budgets), labels.few_under, labels.many_over]


STUDY = Study(
    name="detection",
    question=QUESTIONS["detection"],
    reads=("images", "objects"),
    steps=_steps,
    work=_work,
    conclude=_conclude,
    settings=list_versions,
)
