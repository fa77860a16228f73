"""Study `driving`: do keywords of camera pictures find more of the rare objects in space than a detector's own doubt?

A sweep of the LiDAR is what is labelled, with all boxes in it. A detector is trained from scratch on the sweeps of a
few segments; then each list adds equally many sweeps, at most a few of a segment, and a new one is trained on both.
All lists of a draw share the labelled segments, the random seed of the training and the segments that judge. For the
list of those who know where the rare objects are, nothing is trained: it says how many tracks could be found at most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.mining.boxes_3d import Boxes3D, Precision, RareRule, matched, precision_of
from vlmine_dagster.mining.pareto import non_dominated_fronts
from vlmine_dagster.mining.significance import Interval, mean_interval, paired_bootstrap
from vlmine_dagster.mining.verdicts import FEWEST_TRAINED
from vlmine_dagster.resources.drives.contract import box_array
from vlmine_dagster.resources.drives.source import DriveSource
from vlmine_dagster.studies import QUESTIONS
from vlmine_dagster.studies.study import Arm, Findings, Row, Study, StudyRun, draw_steps

if TYPE_CHECKING:
    from vlmine_dagster.learning.pillar_detector import Detections, LabelledSweep, PillarNet

BASE, RANDOM, DOUBT, KEYWORDS, BOTH, KNOWN = (
    "labelled segments alone",
    "random",
    "detector's doubt",
    "camera keywords",
    "both",
    "rare objects known",
)
LISTS = (RANDOM, DOUBT, KEYWORDS, BOTH, KNOWN)
RULES = (
    RareRule(types=("vehicle",), longer_than_m=7),
    RareRule(kinds=("articulated lorry", "excavator", "pushchair", "wheelchair", "horse")),
)
TYPES = {"vehicle": 0.3, "pedestrian": 0.1, "cyclist": 0.1}
"""Classes of the detector, and the overlap in space from which an object counts as found."""
RINGS_M = ((0, 20), (20, 38))

JUDGING_SHARE, LABELLED_SHARE = 1 / 3, 1 / 8
SWEEPS_PER_LIST, PER_SEGMENT = 16, 2
_SUREST = 10
_RAREST = 3

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Sweep:
    """A sweep of the LiDAR with its boxes of `TYPES`.

    Attributes:
        segment: Its segment.
        labelled: Points, boxes and classes.
        rare: Which boxes are rare, by rule.
        tracks: The track of each box.
        novelty: Mean of the highest novelties of the objects that cameras saw at that moment; 0 where they saw none.
    """

    segment: str
    labelled: "LabelledSweep"
    rare: tuple[npt.NDArray[np.bool_], ...]
    tracks: tuple[str, ...]
    novelty: float


class _World:
    """All sweeps of a project, read once."""

    def __init__(self, run: StudyRun):
        source = run.bench.source
        if not isinstance(source, DriveSource):
            kind = run.bench.project.settings.dataset.kind
            raise ConfigError(
                f"the study driving needs a data set of driving (waymo, nuscenes, argoverse2, kitti), not {kind}."
            )
        self.segments = source.shards()
        self.sweeps = [sweep for shard in self.segments for sweep in _sweeps(source, shard, _novelties(run, shard))]
        if not self.sweeps:
            raise ConfigError("the study driving: no segment has sweeps of a LiDAR.")

    @cached_property
    def judging(self) -> list[str]:
        """The segments that judge, the same in all draws."""
        order = np.random.default_rng(0).permutation(len(self.segments))
        return [self.segments[place] for place in order[: max(1, round(len(order) * JUDGING_SHARE))]]

    def of(self, segments: Sequence[str]) -> list[_Sweep]:
        """Return the sweeps of segments."""
        wanted = set(segments)
        return [sweep for sweep in self.sweeps if sweep.segment in wanted]


def _novelties(run: StudyRun, shard: str) -> dict[int, float]:
    """Return the novelty of each moment of a segment: the mean of its objects' three highest."""
    lake = run.bench.lake
    objects = lake.read("objects", shard, columns=("object_id", "timestamp_s")).to_pydict()
    scores = lake.read("novelty_scores", shard, columns=("image_id", "novelty_min")).to_pydict()
    score_of = dict(zip(scores["image_id"], scores["novelty_min"], strict=True))
    by_moment: dict[int, list[float]] = {}
    for name, time in zip(objects["object_id"], objects["timestamp_s"], strict=True):
        if name in score_of and time is not None:
            by_moment.setdefault(round(time * 1e6), []).append(score_of[name])
    return {time: float(np.mean(sorted(values)[-_RAREST:])) for time, values in by_moment.items()}


def _sweeps(source: DriveSource, shard: str, novelty: Mapping[int, float]) -> list[_Sweep]:
    from vlmine_dagster.learning.pillar_detector import LabelledSweep

    names = list(TYPES)
    rows = source.boxes(shard).to_pydict()
    is_of_types = np.isin(rows["type_name"], names)
    boxes = box_array(source.boxes(shard))
    rare = [rule.holds(rows) for rule in RULES]
    times = np.asarray(rows["timestamp_us"], np.int64)
    found = []
    for sweep in source.sweeps(shard):
        here = np.flatnonzero(is_of_types & (times == sweep.timestamp_us))
        classes = np.asarray([names.index(rows["type_name"][place]) for place in here], np.int64)
        tracks = tuple(rows["track_id"][place] for place in here)
        labelled = LabelledSweep(sweep.points, boxes[here], classes)
        found.append(
            _Sweep(shard, labelled, tuple(mask[here] for mask in rare), tracks, novelty.get(sweep.timestamp_us, 0.0))
        )
    return found


def _world(run: StudyRun) -> _World:
    if "world" not in run.memory:
        run.memory["world"] = _World(run)
    world: _World = run.memory["world"]
    return world


def _work(run: StudyRun, step: str) -> list[Row]:
    """Do a draw: train on a few labelled segments, list the rest in each way, train again, judge."""
    world, number = _world(run), int(step.removeprefix("draw-"))
    draw = np.random.default_rng([24, number])
    judging = world.of(world.judging)
    others = [segment for segment in world.segments if segment not in set(world.judging)]
    chosen = draw.permutation(len(others))[: max(1, round(len(world.segments) * LABELLED_SHARE))]
    base = world.of([others[place] for place in chosen])
    pool = world.of([segment for place, segment in enumerate(others) if place not in set(chosen.tolist())])
    epochs = run.bench.project.settings.retraining.epochs
    first = _trained(base, epochs, number)
    rows = _judged(BASE, first, judging)
    for name, order in _orders(first, pool, draw).items():
        mined = _listed(pool, order)
        rows += _found_tracks(name, mined)
        if name != KNOWN:
            rows += _judged(name, _trained([*base, *mined], epochs, number), judging)
    return rows


def _trained(sweeps: Sequence[_Sweep], epochs: int, random_seed: int) -> "PillarNet":
    from vlmine_dagster.learning.pillar_detector import PillarRecipe, fit_pillars

    labelled = [sweep.labelled for sweep in sweeps]
    return fit_pillars(labelled, PillarRecipe(len(TYPES), epochs=epochs), random_seed=random_seed)


def doubt_of(scores: Floats) -> float:
    """Return how much a detector doubts what it sees in a sweep: mean entropy in nats of its ten most doubtful boxes.

    Examples:
        >>> round(doubt_of(np.array([0.5, 1.0])), 4)
        0.3466
    """
    likely = np.clip(np.asarray(scores, np.float64), 1e-6, 1 - 1e-6)
    entropy = -(likely * np.log(likely) + (1 - likely) * np.log(1 - likely))
    return float(np.sort(entropy)[-_SUREST:].mean().round(9)) if len(entropy) else 0.0


def _orders(net: "PillarNet", pool: Sequence[_Sweep], draw: np.random.Generator) -> dict[str, list[int]]:
    """Return the places of the pool's sweeps, best first, by list; equal ones in one random order."""
    shuffled = draw.permutation(len(pool))
    doubt = np.array([doubt_of(found.scores) for found in _detected(net, pool)])
    novelty = np.array([sweep.novelty for sweep in pool])
    counts = np.array([sum(int(mask.sum()) for mask in sweep.rare) for sweep in pool])
    fronts = non_dominated_fronts(np.stack([doubt, novelty], axis=1))
    ranks = sum(np.argsort(np.argsort(-values, kind="stable"), kind="stable") for values in (doubt, novelty))
    keys = {
        RANDOM: np.zeros(len(pool)),
        DOUBT: -doubt,
        KEYWORDS: -novelty,
        BOTH: fronts + ranks / (2 * len(pool) + 1),
        KNOWN: -counts.astype(np.float64),
    }
    return {name: shuffled[np.argsort(key[shuffled], kind="stable")].tolist() for name, key in keys.items()}


def _listed(pool: Sequence[_Sweep], order: Sequence[int]) -> list[_Sweep]:
    """Return the first sweeps of an order, at most a few of a segment."""
    taken: dict[str, int] = {}
    found: list[_Sweep] = []
    for place in order:
        segment = pool[place].segment
        if taken.get(segment, 0) < PER_SEGMENT and len(found) < SWEEPS_PER_LIST:
            taken[segment] = taken.get(segment, 0) + 1
            found.append(pool[place])
    return found


def _detected(net: "PillarNet", sweeps: Sequence[_Sweep]) -> "list[Detections]":
    from vlmine_dagster.learning.pillar_detector import detect_pillars

    return detect_pillars(net, [sweep.labelled.points for sweep in sweeps])


def _found_tracks(name: str, mined: Sequence[_Sweep]) -> list[Row]:
    """Return how many rare tracks a list's sweeps hold, by each rule."""
    rows: list[Row] = []
    for number, rule in enumerate(RULES):
        pairs = (pair for sweep in mined for pair in zip(sweep.tracks, sweep.rare[number], strict=True))
        tracks = {track for track, is_rare in pairs if is_rare}
        rows.append({"list": name, "of": f"rare tracks: {rule.text}", "value": len(tracks)})
    return rows


def _judged(name: str, net: "PillarNet", judging: Sequence[_Sweep]) -> list[Row]:
    """Return rows of the average precision of one detector, by class and by what counts."""
    found = _detected(net, judging)
    rows: list[Row] = []
    for place, type_name in enumerate(TYPES):
        masks = [sweep.labelled.classes == place for sweep in judging]
        boxes = np.concatenate([sweep.labelled.boxes[mask] for sweep, mask in zip(judging, masks, strict=True)])
        truth = Boxes3D(_moments(masks), boxes, np.empty(0))
        rare = [
            np.concatenate([sweep.rare[number][mask] for sweep, mask in zip(judging, masks, strict=True)])
            for number in range(len(RULES))
        ]
        claimed = [one.classes == place for one in found]
        pairs = list(zip(found, claimed, strict=True))
        claims = Boxes3D(
            _moments(claimed),
            np.concatenate([one.boxes[mask] for one, mask in pairs]),
            np.concatenate([one.scores[mask] for one, mask in pairs]),
        )
        rows += _class_rows(name, type_name, truth, claims, rare)
    return rows


def _class_rows(
    name: str, type_name: str, truth: Boxes3D, claims: Boxes3D, rare: Sequence[npt.NDArray[np.bool_]]
) -> list[Row]:
    """Return rows of one class: rare and common objects by each rule, then all by distance.

    A claim that finds nothing is held against the rare ones, by a rule of length, only if it is that long itself.
    """
    pairs = matched(truth, claims, min_iou=TYPES[type_name])
    far, claimed_far = (np.hypot(boxes.boxes[:, 0], boxes.boxes[:, 1]) for boxes in (truth, claims))
    near, claimed_near = far < RINGS_M[-1][1], claimed_far < RINGS_M[-1][1]
    rows: list[Row] = []
    for rule, is_rare in zip(RULES, rare, strict=True):
        like_rare = claims.boxes[:, 3] > (rule.longer_than_m or 0)
        like_common = ~like_rare | (rule.longer_than_m is None)
        for what, counts, like in (("rare", is_rare, like_rare), ("common", ~is_rare, like_common)):
            found = precision_of(pairs, near & counts, claimed_near & like)
            rows += _precision_rows(name, f"{type_name}, {what}: {rule.text}", found)
    for low, high in RINGS_M:
        found = precision_of(pairs, (far >= low) & (far < high), (claimed_far >= low) & (claimed_far < high))
        rows += _precision_rows(name, f"{type_name}, {low} to {high} m", found)
    return rows


def _precision_rows(name: str, of: str, found: Precision) -> list[Row]:
    if not found.count:
        return []
    return [
        {"list": name, "of": f"{measure} of {of}", "value": value, "count": found.count}
        for measure, value in (("AP", found.ap), ("APH", found.aph))
    ]


def _moments(masks: Sequence[npt.NDArray[np.bool_]]) -> npt.NDArray[np.int64]:
    return np.repeat(np.arange(len(masks)), [int(mask.sum()) for mask in masks]).astype(np.int64)


def _conclude(run: StudyRun, rows: Sequence[Row]) -> Findings:
    values: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        values.setdefault((row["of"], row["list"]), {})[row["step"]] = row["value"]
    measures = list(dict.fromkeys(of for of, _ in values))
    names = [name for name in (BASE, *LISTS) if any(one == name for _, one in values)]

    def text(of: str, name: str) -> str:
        found = values.get((of, name))
        if not found:
            return ""
        interval = mean_interval(list(found.values()))
        return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"

    groups = {
        "Rare tracks in the sweeps that a list labels": "rare tracks",
        "Average precision in space (AP), mean over draws and 95% interval": "AP ",
        "The same, weighed by heading (APH)": "APH ",
    }
    tables = {
        title: [{"of": of, **{name: text(of, name) for name in names}} for of in measures if of.startswith(start)]
        for title, start in groups.items()
    }
    arms = []
    for name in names:
        means = {
            _metric(of): float(np.mean(list(found.values()))) for (of, one), found in values.items() if one == name
        }
        arms.append(Arm(name, {"list": name}, means))
    return Findings([*_setting(run), *_answers(values)], tables, arms)


def _setting(run: StudyRun) -> list[str]:
    world = _world(run)
    overlaps = ", ".join(f"{name} {iou:g}" for name, iou in TYPES.items())
    return [
        f"{len(world.segments)} segments of {len(world.sweeps)} sweeps, {len(world.judging)} of them for testing; each "
        f"list adds {SWEEPS_PER_LIST} sweeps, at most {PER_SEGMENT} of a segment; found means an overlap in space of "
        f"{overlaps}",
        *(f"rare means: {rule.text}" for rule in RULES),
    ]


def _answers(values: Mapping[tuple[str, str], Mapping[str, float]]) -> list[str]:
    """Return what the paired draws say of rare tracks and of the average precision of rare vehicles."""
    asked = [
        *(f"rare tracks: {rule.text}" for rule in RULES),
        f"AP of vehicle, rare: {RULES[0].text}",
    ]
    words = []
    for of in asked:
        for better, worse in ((KEYWORDS, DOUBT), (BOTH, DOUBT), (BOTH, KEYWORDS), (KEYWORDS, RANDOM), (DOUBT, RANDOM)):
            one, other = values.get((of, better), {}), values.get((of, worse), {})
            steps = sorted(one.keys() & other.keys())
            if steps:
                gain = paired_bootstrap([one[step] for step in steps], [other[step] for step in steps])
                span = f"{gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
                words.append(f"{of}: {better} minus {worse} {span}, {_verdict(gain)}")
    return words


def _verdict(gain: Interval) -> str:
    """Say whether a difference is shown.

    Examples:
        >>> _verdict(Interval(0.2, 0.1, 0.3, 2)), _verdict(Interval(0.2, 0.1, 0.3, 10))
        ('only 2 draws, 10 are needed', 'significant over 10 draws')
    """
    if gain.n < FEWEST_TRAINED:
        return f"only {counted(gain.n, 'draw')}, {FEWEST_TRAINED} are needed"
    return f"{'' if gain.excludes_zero else 'not '}significant over {counted(gain.n, 'draw')}"


def _metric(of: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in of)[:200]


STUDY = Study(
    name="driving",
    question=QUESTIONS["driving"],
    reads=("objects", "novelty_scores"),
    steps=draw_steps,
    work=_work,
    conclude=_conclude,
    settings=lambda bench: [bench.project.settings.retraining.epochs, SWEEPS_PER_LIST, [rule.text for rule in RULES]],
    draws=10,
)
