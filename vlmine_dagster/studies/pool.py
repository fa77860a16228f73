"""A pool whose labelled seed can be drawn again: features and keywords stay, all that the seed says is new."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from assets.descriptions import matrix
from assets.rarity import Evidence, told_by_seed
from resources.labels import Labels, load_labels
from resources.lake import DEFAULT_VARIANT
from resources.sources import shard_of
from resources.workbench import Workbench
from vlmine_dagster.errors import ConfigError
from vlmine_dagster.mining.density import semantic_density
from vlmine_dagster.mining.longtail import shot_bins
from vlmine_dagster.mining.rarity import soft_novelty
from vlmine_dagster.mining.selection import Ranking, random_signal, rank_images
from vlmine_dagster.mining.uncertainty import margin, predictive_entropy, variation_ratio
from vlmine_dagster.project import ExperimentSettings, Project

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Draw:
    """One draw of the labelled seed, and what it makes of the rest.

    Attributes:
        number: Number of the draw.
        seed: Places of the seed in the pool.
        rest: Places of the images that are left to mine.
        ids: Their image ids.
        truth: Their true classes, for judging alone.
        signals: Shape (N,) by signal, higher is more worth mining.
    """

    number: int
    seed: npt.NDArray[np.int64]
    rest: npt.NDArray[np.int64]
    ids: list[str]
    truth: npt.NDArray[np.str_]
    signals: dict[str, Floats]

    def rank(self, experiment: ExperimentSettings) -> Ranking:
        """Put the images into an experiment's mining order."""
        return rank_images({s: self.signals[s] for s in experiment.signals}, self.ids, fusion=experiment.fusion)

    def can_rank(self, experiment: ExperimentSettings) -> bool:
        """Whether all signals of an experiment are there."""
        return set(experiment.signals) <= self.signals.keys()


class Pool:
    """The images of a project that a seed can be drawn from, with all that does not depend on the draw.

    Args:
        bench: A project that was run.
        variant: Extraction variant whose keywords count.

    Attributes:
        ids: N image ids, in name order of the shards.
        keys: Their keys within the shard.
        truth: Shape (N,), their classes.
        features: Shape (N, 1280), float32.
        evidence: Features, tags and keywords.

    Raises:
        ConfigError: the project has no labels everywhere to draw from.
        MissingInputError: a table is missing.
    """

    def __init__(self, bench: Workbench, *, variant: str = DEFAULT_VARIANT):
        labels = _oracle(bench.project)
        shards = bench.source.shards()
        rows = bench.lake.read_all("embeddings", shards, columns=["image_id", "embedding", "tag_probabilities"])
        ids = rows.column("image_id").to_pylist()
        keys = [name[len(shard_of(name, shards)) + 1 :] for name in ids]
        truth = [labels.truth(name, key) for name, key in zip(ids, keys, strict=True)]
        splits = [labels.visible(name, key)[1] for name, key in zip(ids, keys, strict=True)]
        kept = np.array([split != "test" and label is not None for split, label in zip(splits, truth, strict=True)])
        self._bench = bench
        self.ids = [name for name, is_kept in zip(ids, kept, strict=True) if is_kept]
        self.keys = [key for key, is_kept in zip(keys, kept, strict=True) if is_kept]
        self.truth = np.array([label for label, is_kept in zip(truth, kept, strict=True) if is_kept])
        self.features = matrix(rows, "embedding")[kept]
        tags = matrix(rows, "tag_probabilities")[kept]
        self.evidence = Evidence(self.features, tags, _keywords(bench, shards, self.ids, variant))
        self.image_counts = _image_counts(bench, variant)
        self.constant = {
            "sparsity": -semantic_density(tags),
            "soft_novelty": soft_novelty(tags),
            **_novelty(bench, shards, self.ids, variant),
        }
        self.class_counts = labels.class_counts()

    @cached_property
    def bins(self) -> dict[str, str]:
        """Many, medium or few by class, by the project's rule."""
        settings = self._bench.project.settings.dataset.labels
        assert settings is not None  # noqa: S101 - there are labels, so there are their settings
        return shot_bins(self.class_counts, many_over=settings.many_over, few_under=settings.few_under)

    def draw(self, number: int) -> Draw:
        """Draw the seed: the same images for every arm, the same probe fitted on them."""
        from vlmine_dagster.learning.prediction import predict_probabilities
        from vlmine_dagster.learning.training import fit_probe

        labels = _oracle(self._bench.project, draw=number)
        pairs = zip(self.ids, self.keys, strict=True)
        is_seed = np.array([labels.visible(name, key)[1] == "seed" for name, key in pairs])
        seed, rest = np.flatnonzero(is_seed), np.flatnonzero(~is_seed)
        classes, numbers = np.unique(self.truth[seed], return_inverse=True)
        probe = fit_probe(self.features[seed], numbers, class_count=len(classes))
        probabilities = predict_probabilities(probe, self.features[rest])
        ids = [self.ids[place] for place in rest]
        told = told_by_seed(
            self.evidence.take(rest),
            self.evidence.take(seed),
            self.truth[seed].tolist(),
            self.image_counts,
            few_under=self._bench.project.settings.dataset.labels.few_under,  # type: ignore[union-attr]
        )
        signals = {
            "random": random_signal(ids, seed=number),
            "entropy": predictive_entropy(probabilities),
            "variation_ratio": variation_ratio(probabilities),
            "margin": -margin(probabilities),
            **{name: values[rest] for name, values in self.constant.items()},
            **told,
        }
        return Draw(number, seed, rest, ids, self.truth[rest], signals)


def _oracle(project: Project, *, draw: int | None = None) -> Labels:
    """Return labels with a given draw of the seed."""
    settings = project.settings.dataset.labels
    if settings is None or not settings.oracle:
        raise ConfigError(
            "a study draws the labelled seed again and again, so it needs labels of the whole pool: "
            "dataset.labels with `oracle: true` in vlmine.yaml."
        )
    if draw is not None:
        dataset = project.settings.dataset.model_copy(update={"labels": settings.model_copy(update={"draw": draw})})
        project = Project(project.settings.model_copy(update={"dataset": dataset}), project.folder, project.home)
    labels = load_labels(project)
    assert labels is not None  # noqa: S101 - its settings are there
    return labels


def _keywords(bench: Workbench, shards: Sequence[str], ids: Sequence[str], variant: str) -> list[list[str]]:
    words: dict[str, list[str]] = {name: [] for name in ids}
    rows = bench.lake.read_all("keywords", shards, columns=["image_id", "keyword"], variant=variant)
    for name, word in zip(rows.column("image_id").to_pylist(), rows.column("keyword").to_pylist(), strict=True):
        if name in words:
            words[name].append(word)
    return list(words.values())


def _image_counts(bench: Workbench, variant: str) -> dict[str, int]:
    rows = bench.lake.read("vocab_counts", columns=["keyword", "image_count"], variant=variant)
    return dict(zip(rows.column("keyword").to_pylist(), rows.column("image_count").to_pylist(), strict=True))


def _novelty(bench: Workbench, shards: Sequence[str], ids: Sequence[str], variant: str) -> Mapping[str, Floats]:
    names = ["novelty_min", "novelty_mean"]
    rows: Any = bench.lake.read_all("novelty_scores", shards, columns=["image_id", *names], variant=variant)
    aligned = rows.to_pandas().set_index("image_id").reindex(ids)
    return {name: aligned[name].to_numpy(float) for name in names}
