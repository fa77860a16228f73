"""Study `detector`: average precision of a small detector after labelling the images of each experiment's list.

The detector is a head on the encoder's feature maps, trained from scratch on the labelled set and the first images of a
list. Images of the split `test` judge it; without such a split every draw keeps a third of the pool for that.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ConfigError, PictureError
from vlmine_dagster.domain.tables import Outcome, Split
from vlmine_dagster.mining.detection import FREQUENCIES, class_frequency
from vlmine_dagster.mining.selection import budget_count
from vlmine_dagster.mining.verdicts import FEWEST_TRAINED, comparison_sentences
from vlmine_dagster.reporting.study_charts import budget_curves_png
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import LabelSettings
from vlmine_dagster.studies import QUESTIONS
from vlmine_dagster.studies.detection import list_versions
from vlmine_dagster.studies.draws import ArmCurves, difference_table, headline_of, reference_of, share_name
from vlmine_dagster.studies.study import Arm, Findings, Row, Study, StudyRun, draw_steps

if TYPE_CHECKING:
    from vlmine_dagster.learning.average_precision import TrueBox
    from vlmine_dagster.learning.centre_detector import Box, Scene
    from vlmine_dagster.resources.feature_maps import FeatureMap

METRICS = {f"{name}_ap": f"average precision of {name} classes" for name in (*FREQUENCIES, "all")}
_COMPARED = ("rare_ap", "all_ap")
_IMAGE_COLUMNS = ("image_id", "sequence_id", "split", "outcome")
_COLUMNS = ("image_id", "x", "y", "width", "height", "class_name", "attributes", "split", "outcome")
_HELD_OUT = 1 / 3
_MOST_JUDGES = 1000


@dataclass(frozen=True)
class _Object:
    label: str
    box: "Box"
    is_crowd: bool


class _Images:
    """The images of a project with their objects and what the encoder sees in them.

    Attributes:
        objects: By image.
        seed: Images of the labelled set.
        pool: Images that can be mined, in the order of their ids.
        test: Images that judge, by the split of that name; empty where there is none.
        classes: Classes of the pool and the labelled set.
        frequency: Group of each class.
    """

    def __init__(self, bench: Workbench):
        if bench.project.settings.objects is None:
            raise ConfigError("the study detector needs boxes with classes of all images: set objects.boxes.")
        self._bench, self._maps = bench, dict[str, "FeatureMap"]()
        self._shard_of: dict[str, str] = {}
        self._sequence_of: dict[str, str] = {}
        splits: dict[str, str] = {}
        for shard in bench.source.shards():
            for row in bench.lake.read("images", shard, columns=_IMAGE_COLUMNS).to_pylist():
                if row["outcome"] == Outcome.OK:
                    self._sequence_of[row["image_id"]] = row["sequence_id"] or row["image_id"]
                    self._shard_of[row["image_id"]], splits[row["image_id"]] = shard, row["split"]
        self.objects: dict[str, list[_Object]] = {name: [] for name in splits}
        for row in bench.lake.read_all("objects", bench.source.shards(), columns=_COLUMNS).to_pylist():
            name = row["image_id"]
            if name not in splits or row["class_name"] is None or row["outcome"] not in (Outcome.OK, Outcome.TOO_SMALL):
                continue
            if row["split"] != Split.POOL:
                splits[name] = row["split"]
            box = (row["x"], row["y"], row["width"], row["height"])
            is_crowd = bool(json.loads(row["attributes"] or "{}").get("is_crowd"))
            self.objects[name].append(_Object(row["class_name"], box, is_crowd))
        self.seed, self.pool, self.test = (
            sorted(name for name, split in splits.items() if split == wanted)
            for wanted in (Split.SEED, Split.POOL, Split.TEST)
        )
        held = {
            (one.label, name) for name in (*self.seed, *self.pool) for one in self.objects[name] if not one.is_crowd
        }
        counts: dict[str, int] = {}
        for label, _ in held:
            counts[label] = counts.get(label, 0) + 1
        self.classes = sorted(counts)
        if not self.classes or not self.seed:
            raise ConfigError(
                "the study detector: no labelled image has a box with a class. Set dataset.labels.boxes, and see "
                "`vlmine status`."
            )
        labels = bench.project.settings.dataset.labels or LabelSettings()
        self.frequency = class_frequency(counts, rare_under=labels.few_under, frequent_over=labels.many_over)

    def judges(self, draw: int) -> list[str]:
        """Return the images that judge in a draw: those of the split `test`, else a third of the pool.

        Frames of a sequence judge together, and none of a sequence of which one is labelled.
        """
        if self.test:
            order = np.random.default_rng([22, draw]).permutation(len(self.test))
            return sorted(self.test[place] for place in order[:_MOST_JUDGES])
        labelled = {self._sequence_of[name] for name in self.seed}
        free = {name: one for name in self.pool if (one := self._sequence_of[name]) not in labelled}
        if not free:
            raise ConfigError(
                "the study detector: each sequence has a labelled frame, so no image is left to test on. Put the "
                "labels of some sequences into the split test."
            )
        return drawn_whole(free, count=min(round(_HELD_OUT * len(self.pool)), _MOST_JUDGES), draw=draw)

    def scenes(self, names: Sequence[str]) -> list["Scene"]:
        """Return images as a detector learns from them; crowds teach nothing."""
        from vlmine_dagster.learning.centre_detector import Scene

        seen = self.seen(names)
        objects = {name: [one for one in self.objects[name] if not one.is_crowd] for name in seen}
        return [
            Scene(seen[name], [one.box for one in found], [self.classes.index(one.label) for one in found])
            for name, found in objects.items()
        ]

    def truth(self, names: Sequence[str]) -> list["TrueBox"]:
        """Return the objects of images as the evaluation reads them; classes that nobody could learn are left out."""
        from vlmine_dagster.learning.average_precision import TrueBox

        return [
            TrueBox(name, one.label, one.box, one.is_crowd)
            for name in names
            for one in self.objects[name]
            if one.label in self.frequency
        ]

    def seen(self, names: Sequence[str]) -> Mapping[str, "FeatureMap"]:
        """Return the feature maps of images; each is made once."""
        missing: dict[str, set[str]] = {}
        for name in names:
            if name not in self._maps:
                missing.setdefault(self._shard_of[name], set()).add(name)
        for shard, wanted in missing.items():
            self._maps.update(self._read(shard, wanted))
        return {name: self._maps[name] for name in names}

    def _read(self, shard: str, wanted: Collection[str]) -> Iterator[tuple[str, "FeatureMap"]]:
        from vlmine_dagster.resources.feature_maps import FeatureMaps
        from vlmine_dagster.resources.sources import image_id

        maps = FeatureMaps(max_pixels=self._bench.project.settings.dataset.max_pixels)
        keys = {name.removeprefix(f"{shard}/") for name in wanted}
        found = ((image_id(shard, raw.key), raw.data) for raw in self._bench.source.read(shard, keys=keys))
        try:
            yield from maps.of((name, data) for name, data in found if name in wanted)
        except PictureError as error:
            raise PictureError(f"study detector: a picture of {shard} changed since the run: {error}") from error


def drawn_whole(sequences: Mapping[str, str], *, count: int, draw: int) -> list[str]:
    """Return images of whole sequences, drawn in turn as long as there is room for them.

    Args:
        sequences: The sequence of each image.
        count: Most images.
        draw: Another number draws others.

    Examples:
        >>> drawn_whole({"a1": "a", "a2": "a", "b1": "b", "c1": "c"}, count=2, draw=0)
        ['b1', 'c1']
    """
    frames: dict[str, list[str]] = {}
    for name in sorted(sequences):
        frames.setdefault(sequences[name], []).append(name)
    found: list[str] = []
    names = list(frames)
    for place in np.random.default_rng([22, draw]).permutation(len(frames)):
        more = frames[names[place]]
        if len(found) + len(more) <= count:
            found += more
    return sorted(found)


def _work(run: StudyRun, step: str) -> list[Row]:
    """Train once on the labelled set alone, and once per list and budget; all from the same initial weights."""
    images: _Images = run.memory.setdefault("images", None) or _Images(run.bench)
    run.memory["images"] = images
    settings, number = run.bench.project.settings, int(step.removeprefix("draw-"))
    judges = images.judges(number)
    left = [name for name in images.pool if name not in set(judges)]
    amounts = {share: budget_count(share, len(left)) for share in settings.retraining.budgets}
    rows: list[Row] = []
    alone = _judged(images, images.seed, judges, random_seed=number)
    for arm in settings.experiments:
        ranked = _ranked(run, arm, set(left))
        for share, amount in {0.0: 0, **amounts}.items():
            found = (
                alone if not amount else _judged(images, [*images.seed, *ranked[:amount]], judges, random_seed=number)
            )
            rows.append({"draw": number, "arm": arm, "budget": share, "mined": amount, **found})
    return rows


def _ranked(run: StudyRun, arm: str, left: Collection[str]) -> list[str]:
    """Return the images of a list, each where its first object is, without those that judge."""
    listed = run.bench.lake.read("pareto_set", arm, columns=("image_id", "rank")).sort_by("rank")
    part_of = run.bench.project.settings.items.part_of
    images = dict.fromkeys(part_of(name) for name in listed.column("image_id").to_pylist())
    return [name for name in images if name in left]


def _judged(images: _Images, labelled: Sequence[str], judges: Sequence[str], *, random_seed: int) -> dict[str, float]:
    """Train on some images and return the mean average precision of each group of classes; NaN where none is there."""
    from vlmine_dagster.learning.average_precision import FoundBox, average_precision
    from vlmine_dagster.learning.centre_detector import detect, fit_detector
    from vlmine_dagster.resources.feature_maps import MAP_STRIDE

    scenes = images.scenes(labelled)
    detector = fit_detector(scenes, class_count=len(images.classes), stride=MAP_STRIDE, random_seed=random_seed)
    found = [
        FoundBox(name, images.classes[label], box, score)
        for name, box, label, score in detect(detector, images.seen(judges))
    ]
    precision = average_precision(judges, images.truth(judges), found)
    groups: dict[str, list[float]] = {name: [] for name in (*FREQUENCIES, "all")}
    for label, value in precision.items():
        groups[images.frequency[label]].append(value)
        groups["all"].append(value)
    return {f"{name}_ap": float(np.mean(values)) if values else float("nan") for name, values in groups.items()}


def _conclude(run: StudyRun, rows: Sequence[Row]) -> Findings:
    settings = run.bench.project.settings
    headline = headline_of(settings)
    tables, plots = {}, {}
    usable = {metric: name for metric, name in METRICS.items() if not any(np.isnan(row[metric]) for row in rows)}
    words = [
        f"{name} is unknown: in some draw no held-out image has one"
        for metric, name in METRICS.items()
        if metric not in usable
    ]
    for metric, name in usable.items():
        curves = ArmCurves(rows, metric, start=None)
        title = f"{name[0].upper()}{name[1:]}"
        tables[f"{title}, mean ± standard deviation over {counted(len(curves.draws), 'draw')}"] = curves.spread_table()
        plots[f"{metric}.png"] = budget_curves_png(curves.bands(), y_name=name, is_from_zero=False)
        if metric not in _COMPARED:
            continue
        for reference in dict.fromkeys([reference_of(curves.arms), *(arm for arm in curves.arms if arm == "random")]):
            compared = curves.compared(reference, fewest=FEWEST_TRAINED)
            tables[f"{title} minus {reference}, paired, 95% interval; * is significant"] = difference_table(compared)
            if metric == _COMPARED[0]:
                words += comparison_sentences(
                    compared[share_name(headline)],
                    where=f"at {share_name(headline)}",
                    more=f"has a higher {name} than",
                    less=f"has a lower {name} than",
                )
    words.append(
        "lists are of one labelled set: draws vary the held-out images, the initial weights and the order of training"
    )
    return Findings(words, tables, _arms(rows, usable), plots)


def _arms(rows: Sequence[Row], metrics: Collection[str]) -> list[Arm]:
    curves = {metric: ArmCurves(rows, metric, start=None) for metric in metrics}
    return [
        Arm(
            arm,
            {"arm": arm},
            {},
            [
                (metric, found.mined(budget), float(np.mean(found.values(arm, budget))))
                for metric, found in curves.items()
                for budget in found.budgets
            ],
        )
        for arm in dict.fromkeys(row["arm"] for row in rows)
    ]


STUDY = Study(
    name="detector",
    question=QUESTIONS["detector"],
    reads=("images", "objects"),
    steps=draw_steps,
    work=_work,
    conclude=_conclude,
    settings=list_versions,
    draws=FEWEST_TRAINED,
    version=2,
)
