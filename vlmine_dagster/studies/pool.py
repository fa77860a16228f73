"""A pool whose labelled seed can be drawn again: features and keywords stay, all that the seed says is new."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.files import replacing
from vlmine_dagster.domain.signals import SIGNALS
from vlmine_dagster.domain.tables import JUDGES
from vlmine_dagster.mining.longtail import shot_bins, true_rarity
from vlmine_dagster.mining.novelty import POOLINGS
from vlmine_dagster.mining.selection import id_hashes, random_signal, rank_images, unranked_last
from vlmine_dagster.mining.tail_first import tail_first
from vlmine_dagster.resources.labels import Labels, load_labels
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.scoring.evidence import DESCRIBED, Evidence, StoredEvidence
from vlmine_dagster.scoring.moments import thinned
from vlmine_dagster.scoring.names import ClassNames, Naming, few_shot_under, naming_of
from vlmine_dagster.scoring.neighbours import distance_from_labelled, loneliness
from vlmine_dagster.scoring.rarity import are_drawn_alone, rarity_by_labels
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.scoring.sequences import FRAME_COLUMNS, frames_of
from vlmine_dagster.scoring.surroundings import Placed, Surroundings, surroundings
from vlmine_dagster.scoring.vocabulary import unit_counts
from vlmine_dagster.settings import DEFAULT_VARIANT, ExperimentSettings, TaskModelSettings
from vlmine_dagster.settings.project import Project
from vlmine_dagster.studies.drawn_models import drawn_model, model_facts, told_by_probes
from vlmine_dagster.studies.reading import PoolReader

_ELSEWHERE = {"embedding_sparsity", "keyword_sparsity", "seed_distance", "tail_first"}
"""Signals that cost something and come from no model that disagrees."""

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Draw:
    """One draw of the labelled seed, and what it makes of the rest.

    Attributes:
        number: Number of the draw.
        seed: Places of the labelled images in the pool: the seed, and what was mined in earlier rounds.
        rest: Places of the images that are left to mine.
        ids: Their image ids.
        truth: Their true classes, for judging alone.
        signals: Shape (N,) by signal, higher is more worth mining.
        frames: `image_id`, `sequence_id`, `frame_index` and `timestamp_s` of the N images, where the dataset has
            sequences.
    """

    number: int
    seed: Places
    rest: Places
    ids: list[str]
    truth: npt.NDArray[np.str_]
    signals: dict[str, Floats]
    frames: pa.Table | None = None

    def rank(self, experiment: ExperimentSettings) -> Places:
        """Put the images into an experiment's mining order, shape (N,); frames that its rules skip come last."""
        signals = {name: self.signals[name] for name in experiment.signals}
        order = self.order(signals, fusion=experiment.fusion, weights=experiment.weights)
        if self.frames is None or not experiment.skips_frames:
            return order
        return thinned(self.frames, order, experiment, name=", ".join(experiment.signals))

    def order(
        self, signals: Mapping[str, Floats], *, fusion: str = "pareto", weights: Mapping[str, float] | None = None
    ) -> Places:
        """Put the images into the order of some signals, shape (N,); those that lack one come last."""
        hashes = id_hashes(self.ids)
        return unranked_last(rank_images(signals, hashes, fusion=fusion, weights=weights).order, hashes)

    def can_rank(self, experiment: ExperimentSettings) -> bool:
        """Whether all signals of an experiment are there, and it mines the ranking itself."""
        return experiment.diversity is None and set(experiment.signals) <= self.signals.keys()


class Pool:
    """The images of a project that a seed can be drawn from, with all that does not depend on the draw.

    Features and tags are read when a draw is computed for the first time; a draw that is kept needs them no more.

    Args:
        bench: A project that was run.
        variant: Extraction variant whose keywords count.
        kept: Folder in which the signals of each draw are kept, valid for these tables and labels alone.
        seed_fraction: Share that is drawn as the seed, in place of the project's; nothing is kept then.
        signals: Names of signals that are made, beside those that experiments name and those that cost nothing.

    Attributes:
        ids: N image ids, in name order of the shards.
        truth: Shape (N,), their classes.
        class_counts: Images by class, those of seed and pool.

    Raises:
        ConfigError: the project has no labels everywhere to draw from.
        MissingInputError: a table is missing.
    """

    def __init__(
        self,
        bench: Workbench,
        *,
        variant: str = DEFAULT_VARIANT,
        kept: Path | None = None,
        seed_fraction: float | None = None,
        signals: Collection[str] = (),
    ):
        labels = _oracle(bench)
        self._bench, self._variant, self._kept = bench, variant, None if seed_fraction else kept
        self._seed_fraction = {} if seed_fraction is None else {"seed_fraction": seed_fraction}
        self._asked = _costly(bench.project, signals)
        self._reader = PoolReader(bench, variant=variant)
        self._ids = {shard: self._chosen(labels, shard) for shard in self._reader.shards}
        self.ids: list[str] = [name for names in self._ids.values() for name in names.to_pylist()]
        shards = [shard for shard, names in self._ids.items() for _ in range(len(names))]
        self._keys = [name[len(shard) + 1 :] for name, shard in zip(self.ids, shards, strict=True)]
        tracks = ("track_id",) if bench.project.settings.unit == "object" else ()
        self._frames = frames_of(self._reader, self.ids, columns=(*FRAME_COLUMNS, *tracks))
        nothing = [None] * len(self.ids)
        self._sequences = nothing if self._frames is None else self._frames.column("sequence_id").to_pylist()
        truth = [labels.truth(name, key) for name, key in zip(self.ids, self._keys, strict=True)]
        self.truth = np.array(truth, dtype=np.str_)
        self.class_counts = labels.class_counts()

    def _chosen(self, labels: Labels, shard: str) -> pa.ChunkedArray:
        """Return the ids of a shard's images that a seed can be drawn from: of a known class, and no judges."""
        ids = self._reader.read("embeddings", ["image_id"], partitions=[shard]).column("image_id")
        keys = [(name, name[len(shard) + 1 :]) for name in ids.to_pylist()]
        is_ours = [
            labels.visible(name, key)[1] not in JUDGES and labels.truth(name, key) is not None for name, key in keys
        ]
        return ids.filter(pa.array(is_ours, pa.bool_()))

    @cached_property
    def bins(self) -> dict[str, str]:
        """Many, medium or few by class, by the project's rule."""
        settings = self._bench.project.settings.dataset.labels
        assert settings is not None  # noqa: S101 - there are labels, so there are their settings
        return shot_bins(self.class_counts, many_over=settings.many_over, few_under=settings.few_under)

    @cached_property
    def evidence(self) -> Evidence:
        """Features, tags and keywords of the N images."""
        return StoredEvidence(self._reader, lambda: iter(self._ids.items()), len(self.ids)).together()

    @cached_property
    def is_described(self) -> npt.NDArray[np.bool_]:
        """Which of the N images can be mined: those whose description and keywords did not fail."""
        answers = self._reader.read("keyword_answers", ["image_id", "outcome"])
        known = answers.filter(pc.is_in(answers.column("outcome"), value_set=pa.array(DESCRIBED)))
        return np.asarray(
            pc.is_in(pa.array(self.ids, pa.string()), value_set=known.column("image_id").combine_chunks())
        )

    @cached_property
    def constant(self) -> dict[str, Floats]:
        """Signals that do not depend on the seed, shape (N,) each."""
        evidence, reader = self.evidence, self._reader
        lonely = loneliness(reader, self._asked, evidence.features, lambda: evidence.keywords)
        return {**self.surroundings.columns, **self.novelty, **lonely}

    @cached_property
    def surroundings(self) -> Surroundings:
        """What is known of the N images without a label."""
        evidence = self.evidence
        names = ClassNames(self.naming, lambda: map(list, evidence.keywords), few_shot_under(self._bench.project))
        return surroundings(
            self._reader, lambda: [evidence.features], lambda: [evidence.tag_probabilities], names=names
        )

    @cached_property
    def drawn_model(self) -> TaskModelSettings:
        """How the probes of each draw are trained and asked."""
        return drawn_model(self._bench.project.settings.task_model, self._asked)

    @cached_property
    def novelty(self) -> Mapping[str, Floats]:
        """Novelty of the variant's keywords, shape (N,) by pooling."""
        return novelty_of(self._reader, self.ids)

    @cached_property
    def unit_counts(self) -> Mapping[str, int]:
        """Images, or other units of `count_by`, by keyword."""
        return unit_counts(self._reader)

    @cached_property
    def naming(self) -> Naming:
        """By which names classes may be told."""
        return naming_of(self._bench.project, self._bench.labels, self._bench.encoder.classes, self._variant)

    def nameless(self) -> "Pool":
        """Return the same images with classes that have no names; what names do not change is not made again."""
        other = copy(self)
        around = self.surroundings.nameless()
        other.__dict__ |= {
            "evidence": self.evidence,
            "naming": Naming(),
            "surroundings": around,
            "constant": {**self.constant, **around.columns},
        }
        other._kept = None if self._kept is None else self._kept / "nameless"
        return other

    def drawn(self, number: int) -> Mask:
        """Return which images a draw of the seed labels, shape (N,)."""
        labels = _oracle(self._bench, draw=number, **self._seed_fraction)
        frames = zip(self.ids, self._keys, self._sequences, strict=True)
        return np.array([labels.visible(*frame)[1] == "seed" for frame in frames])

    def draw(self, number: int, *, mined: Sequence[str] = ()) -> Draw:
        """Draw the seed: the same images for every arm, the same probe fitted on them.

        Args:
            number: Another number draws another seed.
            mined: Image ids whose labels have come back by now; they are learned from too, and nothing is kept.

        Raises:
            ConfigError: the seed holds images of fewer than two classes, of which no probe can learn.
        """
        is_drawn, returned = self.drawn(number), frozenset(mined)
        is_mined = np.array([name in returned for name in self.ids])
        file = None if self._kept is None or returned else self._kept / f"{self._kept_name(number)}.npz"
        return self.labelled(number, is_drawn, is_mined=is_mined, file=file)

    def labelled(self, number: int, is_drawn: Mask, *, is_mined: Mask | None = None, file: Path | None = None) -> Draw:
        """Return what some labels make of the rest.

        Args:
            number: Number of the draw.
            is_drawn: Shape (N,), which images were labelled by chance.
            is_mined: Shape (N,), which were labelled because they were mined.
            file: Where the signals are kept.

        Raises:
            ConfigError: the labels are of fewer than two classes, of which no probe can learn.
        """
        is_seed = is_drawn if is_mined is None else is_drawn | is_mined
        seed, rest = np.flatnonzero(is_seed), np.flatnonzero(~is_seed)
        _check_classes(number, self.truth[seed])
        ids = [self.ids[place] for place in rest]
        signals: dict[str, Floats] = {}
        if file is not None and file.exists():
            with np.load(file) as kept:
                signals = dict(kept)
        if not signals or not self._asked <= signals.keys():
            signals = {"random": random_signal(ids, random_seed=number), **self._signals(seed, rest, ~is_drawn[seed])}
            if file is not None:
                _keep(file, signals)
        of_described = {name: np.where(self.is_described[rest], values, np.nan) for name, values in signals.items()}
        of_rest = None if self._frames is None else self._frames.take(pa.array(rest))
        return Draw(number, seed, rest, ids, self.truth[rest], of_described, of_rest)

    def _kept_name(self, number: int) -> str:
        """Return where a draw is kept; signals of other members and passes are in a file of their own."""
        return "-".join(["draw", str(number), *map(str, model_facts(self.drawn_model))])

    def _signals(self, seed: Places, rest: Places, is_mined: npt.NDArray[np.bool_]) -> dict[str, Floats]:
        features, labels = self.evidence.features, self.truth[seed].tolist()
        uncertainty, likeliest = told_by_probes(self.drawn_model, features[seed], labels, features[rest])
        by_labels = rarity_by_labels(
            self.evidence.take(rest),
            self.evidence.take(seed),
            labels,
            self.unit_counts,
            around=Placed(self.surroundings, rest, seed),
            naming=self.naming,
            is_mined=is_mined,
            are_drawn_alone=are_drawn_alone(self._bench.project),
            few_under=few_shot_under(self._bench.project),
        )
        found = {
            **uncertainty,
            **{name: values[rest] for name, values in self.constant.items()},
            **{name: values for name, values in by_labels.items() if name in SIGNALS},
        }
        if "seed_distance" in self._asked:
            found["seed_distance"] = distance_from_labelled(self._reader, features[rest], features[seed])
        if "tail_first" in self._asked:
            found["tail_first"] = tail_first(likeliest, found["entropy"], Counter(labels))
        if "oracle" in self._asked:
            found["oracle"] = true_rarity(self.truth[rest].tolist(), self.class_counts)
        return found


def _costly(project: Project, signals: Collection[str]) -> set[str]:
    """Return the signals to be made, by name, that cost something or are not for every pool."""
    named = {name for one in project.settings.strategies.values() for name in one.signals} | set(signals)
    return {name for name in named if name in _ELSEWHERE or SIGNALS[name].needs in ("passes", "members", "oracle")}


def _check_classes(number: int, labels: npt.NDArray[np.str_]) -> None:
    if len(set(labels.tolist())) < 2:
        raise ConfigError(
            f"draw {number} of the seed: {counted(len(labels), 'image')} of one class, expected at least "
            f"2 classes to tell apart. Raise dataset.labels.seed_fraction, or take a pool of more classes."
        )


def _keep(file: Path, signals: Mapping[str, Floats]) -> None:
    with replacing(file) as beside, beside.open("wb") as opened:
        np.savez_compressed(opened, **signals)  # type: ignore[arg-type]


def _oracle(bench: Workbench, **drawn: float) -> Labels:
    """Return labels with a given `draw` of the seed, and its `seed_fraction`."""
    project = bench.project
    settings = project.settings.dataset.labels
    if settings is None or not settings.oracle:
        raise ConfigError(
            "a study draws the labelled seed again and again, so it needs labels of the whole pool: "
            "dataset.labels with `oracle: true` in vlmine.yaml."
        )
    if drawn:
        dataset = project.settings.dataset.model_copy(update={"labels": settings.model_copy(update=drawn)})
        project = Project(project.settings.model_copy(update={"dataset": dataset}), project.folder, project.home)
    labels = load_labels(project, bench.lake, bench.boxes)
    assert labels is not None  # noqa: S101 - its settings are there
    return labels


def novelty_of(reader: Reader, ids: Sequence[str]) -> Mapping[str, Floats]:
    """Return the published novelty of images, shape (N,) by pooling, NaN for images without keywords."""
    names = [f"novelty_{pooling}" for pooling in POOLINGS]
    rows = reader.read("novelty_scores", ["image_id", *names])
    places = pc.index_in(pa.array(ids, pa.string()), value_set=rows.column("image_id").combine_chunks())
    return {name: rows.column(name).take(places).to_numpy(zero_copy_only=False) for name in names}
