"""Labelling in rounds: a selector picks, an oracle labels, the probe learns, and the next round begins."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.tables import Split
from vlmine_dagster.mining.longtail import shot_accuracy
from vlmine_dagster.mining.one_thread import on_one_thread
from vlmine_dagster.mining.selectors.class_balance import class_balance
from vlmine_dagster.mining.selectors.state import UNLABELLED, Ask, Places, PoolState, Singles
from vlmine_dagster.scoring.labelled import labelled_images
from vlmine_dagster.scoring.task_model import model_inputs
from vlmine_dagster.settings import ExperimentSettings
from vlmine_dagster.studies.pool import Mask, Pool
from vlmine_dagster.studies.reading import PoolReader
from vlmine_dagster.studies.study import Row, StudyRun

if TYPE_CHECKING:
    from vlmine_dagster.learning.balanced_probe import BalancedProbe

AXES = 128
"""Main axes of the features that probes and selectors see: on tiny-imagenet-lt 256 gain 0.008 balanced accuracy at 20%
random labels (0.466 for 0.457), and cost twice the time."""

BY_NAME = "class_balance_by_name"

Pick: TypeAlias = Callable[[PoolState, int, Ask], Places]


@dataclass(frozen=True, eq=False)
class LabelledPool:
    """What labelling in rounds needs of a pool: every label, which only the oracle reads, and the test images.

    Attributes:
        features: Shape (N, D), of the pool.
        truth: Shape (N,), class numbers.
        classes: C names.
        bins: many, medium or few by class name.
        test_features: Shape (T, D); T is 0 where the project has no test images.
        test_truth: T class names.
    """

    features: Singles
    truth: Places
    classes: Sequence[str]
    bins: Mapping[str, str]
    test_features: Singles
    test_truth: Sequence[str]

    @cached_property
    def is_few(self) -> npt.NDArray[np.bool_]:
        """Which images are of few-shot classes, shape (N,)."""
        return np.array([self.bins[name] == "few" for name in self.classes])[self.truth]


def labelled_pool(run: StudyRun) -> LabelledPool:
    """Return the pool of a study, read once."""
    if LabelledPool not in run.memory:
        pool, reader = run.pool(), PoolReader(run.bench)
        judges = labelled_images(reader, Split.TEST)
        test = model_inputs(reader, run.bench.encoder_inputs, True, list(judges), side=0)
        classes = sorted(pool.bins)
        run.memory[LabelledPool] = LabelledPool(
            *main_axes(pool.evidence.features, np.searchsorted(classes, pool.truth), classes, pool.bins, test),
            list(judges.values()),
        )
    return run.memory[LabelledPool]  # type: ignore[no-any-return]


@on_one_thread
def main_axes(
    features: npt.NDArray[np.float16],
    truth: Places,
    classes: Sequence[str],
    bins: Mapping[str, str],
    test: Singles,
) -> tuple[Singles, Places, Sequence[str], Mapping[str, str], Singles]:
    """Return features of pool and test on the main axes of the pool's, each feature standardized by the pool first."""
    given = features.astype(np.float32)
    centre, scale = given.mean(axis=0), given.std(axis=0) + 1e-6
    standard = (given - centre) / scale
    axes = np.linalg.eigh(standard.T @ standard)[1][:, ::-1][:, :AXES].astype(np.float32)
    return standard @ axes, truth, classes, bins, ((test - centre) / scale) @ axes


def label_in_rounds(
    pool: LabelledPool,
    pick: Pick,
    *,
    start: Places,
    totals: Sequence[int],
    random_seed: int,
    enough: float = float("inf"),
) -> list[Row]:
    """Label more and more of a pool, and judge after each round.

    Args:
        pool: The pool and its oracle.
        pick: Picks the images of a round.
        start: Places that are labelled to begin with; none for a cold start.
        totals: Labels after each round, rising, those of the start among them.
        random_seed: Of the selector.
        enough: Balanced accuracy after which no more rounds follow.

    Returns:
        A row for the start, unless it is empty, and for each round: see `judged`.
    """
    labels = np.full(len(pool.truth), UNLABELLED, dtype=np.int64)
    labels[start] = pool.truth[start]
    probe = _learned(pool, labels, None)
    rows = [judged(pool, labels, start, probe)] if len(start) else []
    for total in totals:
        probabilities = _probabilities(pool, probe)
        state = PoolState(pool.features, labels.copy(), probabilities, random_seed)
        picks = pick(state, total - len(state.labelled), lambda place: int(pool.truth[place]))
        labels[picks] = pool.truth[picks]
        probe = _learned(pool, labels, probe)
        rows.append(judged(pool, labels, start, probe))
        if rows[-1]["balanced_accuracy"] >= enough:
            break
    return rows


def _learned(pool: LabelledPool, labels: Places, start: "BalancedProbe | None") -> "BalancedProbe | None":
    from vlmine_dagster.learning.balanced_probe import fit_balanced_probe

    labelled = np.flatnonzero(labels != UNLABELLED)
    if not len(labelled):
        return None
    return fit_balanced_probe(pool.features[labelled], labels[labelled], class_count=len(pool.classes), start=start)


def _probabilities(pool: LabelledPool, probe: "BalancedProbe | None") -> npt.NDArray[np.float64]:
    """Return the answers of a probe, and of one that has learned nothing the same for every class."""
    count = len(pool.classes)
    return np.full((len(pool.truth), count), 1 / count) if probe is None else probe.probabilities(pool.features)


def judged(pool: LabelledPool, labels: Places, start: Places, probe: "BalancedProbe | None") -> Row:
    """Judge what is labelled by now.

    Returns:
        labelled: how many images; few_recall: share of the few-shot images that were unlabelled at the start; classes
        and few_classes: share of the classes, and of the few-shot ones, with a label; balanced_accuracy and
        few_accuracy: means of the accuracies by class over the test images, NaN without such images.
    """
    is_labelled = labels != UNLABELLED
    is_new = is_labelled.copy()
    is_new[start] = False
    sought = pool.is_few.copy()
    sought[start] = False
    found = {pool.classes[number] for number in np.unique(labels[is_labelled]).tolist()}
    few = [name for name in pool.classes if pool.bins[name] == "few"]
    accuracy = {"all_accuracy": float("nan"), "few_accuracy": float("nan")}
    if pool.test_truth and probe is not None:
        predicted = [pool.classes[k] for k in probe.logits(pool.test_features).argmax(axis=1).tolist()]
        accuracy = shot_accuracy(pool.test_truth, predicted, bins=pool.bins)
    return {
        "labelled": int(is_labelled.sum()),
        "few_recall": _share(int((sought & is_new).sum()), int(sought.sum())),
        "classes": len(found) / len(pool.classes),
        "few_classes": _share(len(found.intersection(few)), len(few)),
        "balanced_accuracy": accuracy["all_accuracy"],
        "few_accuracy": accuracy["few_accuracy"],
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def picks_by_experiment(pool: Pool, experiment: ExperimentSettings, number: int, is_drawn: Mask) -> Pick:
    """Return how an experiment of the project picks, with everything that its signals learn from labels learned anew.

    Args:
        pool: The pool whose signals are made.
        experiment: The experiment.
        number: Number of the draw.
        is_drawn: Shape (N,), which images were labelled at the start.
    """

    def pick(state: PoolState, count: int, _ask: Ask) -> Places:
        is_mined = (state.labels != UNLABELLED) & ~is_drawn
        draw = pool.labelled(number, is_drawn, is_mined=is_mined)
        return draw.rest[draw.rank(experiment)[:count]]

    return pick


def first_then(first: Pick, then: Pick, *, until: int) -> Pick:
    """Return a pick that begins in one way, and goes on in another once as many images are labelled."""

    def pick(state: PoolState, count: int, ask: Ask) -> Places:
        return (first if len(state.labelled) < until else then)(state, count, ask)

    return pick


def by_names(run: StudyRun) -> dict[str, Pick]:
    """Return the arm that looks for classes by their names; none where the tagger knows none of them."""
    shares, is_named = run.pool().naming.shares(run.pool().evidence, labelled_pool(run).classes)
    return {BY_NAME: partial(class_balance, shares=shares)} if is_named.any() else {}


def rounds_of_arms(
    pool: LabelledPool,
    arms: Mapping[str, Pick],
    *,
    start: Places,
    totals: Sequence[int],
    random_seed: int,
    enough: float = float("inf"),
) -> list[Row]:
    """Return the rows of every arm from the same start, with its name as `arm`; see `label_in_rounds`."""
    label = partial(label_in_rounds, pool, start=start, totals=totals, random_seed=random_seed, enough=enough)
    return [{"arm": arm, **row} for arm, pick in arms.items() for row in label(pick)]
