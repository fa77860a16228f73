"""A detector's boxes in space against the data set's: how good it is at rare objects, and what it is unsure about."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vlmine_dagster.geometry.overlap import box_iou_matrix
from vlmine_dagster.mining.boxes_3d import Boxes3D, Precision, RareRule, matched, precision_of
from vlmine_dagster.resources.drives.contract import BOX_SIDES, box_array
from vlmine_dagster.resources.sources import image_id

if TYPE_CHECKING:
    import pyarrow as pa

    from vlmine_dagster.resources.drives.source import DriveSource
    from vlmine_dagster.resources.lake import Lake

RINGS_M = ((0.0, 30.0), (30.0, 50.0), (50.0, float("inf")))
"""Distances by which objects are judged, as Waymo has them."""
USUAL_OVERLAPS: Mapping[str, float] = {"vehicle": 0.7}
"""Overlap in space from which an object counts as found, as Waymo has it; 0.5 for all other classes."""
_OTHER_OVERLAP = 0.5
_SAME_OBJECT = 0.1

Mask = npt.NDArray[np.bool_]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Judged:
    """How well some objects of a class are detected.

    Attributes:
        type_name: The class.
        of: Which of its objects: all, rare, common, or those at a distance.
        min_iou: Overlap in space from which one counts as found.
        precision: AP, APH and the number of objects.
    """

    type_name: str
    of: str
    min_iou: float
    precision: Precision


def track_keywords(lake: "Lake", shards: Sequence[str]) -> dict[tuple[str, str], set[str]]:
    """Return the keywords of each track, by segment and track: those of all its crops."""
    found: dict[tuple[str, str], set[str]] = {}
    for shard in shards:
        objects = lake.read("objects", shard, columns=("object_id", "track_id"))
        tracks = dict(zip(*(column.to_pylist() for column in objects.columns), strict=True))
        for row in lake.read("keywords", shard, columns=("image_id", "keyword")).to_pylist():
            if (track := tracks.get(row["image_id"])) is not None:
                found.setdefault((shard, track), set()).add(row["keyword"])
    return found


def judged_detections(
    source: "DriveSource",
    detections: "pa.Table",
    rule: RareRule,
    *,
    min_iou: float | None = None,
    keywords: Mapping[tuple[str, str], Collection[str]] | None = None,
) -> list[Judged]:
    """Judge detections by the boxes of the segments that they are about.

    Args:
        source: The boxes.
        detections: Rows of `DETECTIONS`; segments that the data set lacks are not counted.
        rule: Which objects are rare.
        min_iou: Overlap for all classes; None takes `USUAL_OVERLAPS`.
        keywords: Those of tracks (`track_keywords`), for rules of a keyword.
    """
    keywords_of_track = keywords or {}
    segment_names = set(source.shards())
    segments = [name for name in dict.fromkeys(detections.column("segment").to_pylist()) if name in segment_names]
    moments: dict[tuple[str, int], int] = {}
    truth = [
        row
        | {"moment": moments.setdefault((segment, row["timestamp_us"]), len(moments))}
        | {"keywords": keywords_of_track.get((segment, row["track_id"]), ())}
        for segment in segments
        for row in source.boxes(segment).to_pylist()
    ]
    claims = [
        row | {"moment": moments[segment, row["timestamp_us"]]}
        for row in detections.to_pylist()
        if (segment := row["segment"], row["timestamp_us"]) in moments
    ]
    found: list[Judged] = []
    for type_name in sorted({row["type_name"] for row in truth}):
        overlap = min_iou if min_iou is not None else USUAL_OVERLAPS.get(type_name, _OTHER_OVERLAP)
        mine, theirs = ([row for row in rows if row["type_name"] == type_name] for rows in (truth, claims))
        found += _judged_class(type_name, mine, theirs, rule, overlap)
    return found


def _judged_class(
    type_name: str,
    truth: Sequence[Mapping[str, Any]],
    claims: Sequence[Mapping[str, Any]],
    rule: RareRule,
    overlap: float,
) -> list[Judged]:
    true_boxes, claimed = _boxes(truth), _boxes(claims)
    pairs = matched(true_boxes, claimed, min_iou=overlap)
    rare = rule.holds({name: [row[name] for row in truth] for name in truth[0]})
    long = claimed.boxes[:, 3] > (rule.longer_than_m or 0)
    far, claimed_far = (np.hypot(one.boxes[:, 0], one.boxes[:, 1]) for one in (true_boxes, claimed))
    parts: dict[str, tuple[Mask, Mask]] = {
        "all": (np.ones(len(truth), bool), np.ones(len(claims), bool)),
        f"rare ({rule.text})": (rare, long),
        "common": (~rare, ~long | (rule.longer_than_m is None)),
    }
    for low, high in RINGS_M:
        name = f"{low:g} to {high:g} m" if np.isfinite(high) else f"beyond {low:g} m"
        parts[name] = ((far >= low) & (far < high), (claimed_far >= low) & (claimed_far < high))
    judged = [Judged(type_name, of, overlap, precision_of(pairs, *masks)) for of, masks in parts.items()]
    return [one for one in judged if one.precision.count]


def _boxes(rows: Sequence[Row]) -> Boxes3D:
    boxes = np.array([[row[name] for name in BOX_SIDES] for row in rows], np.float64).reshape(-1, 7)
    scores = np.array([row.get("score", 0.0) for row in rows], np.float64)
    return Boxes3D(np.array([row["moment"] for row in rows], np.int64), boxes, scores)


def object_scores(source: "DriveSource", lake: "Lake", detections: "pa.Table") -> dict[str, float]:
    """Return the score that a detector gives each object of the pool: that of the box that overlaps it most, else 0.

    Args:
        source: The data set; its frames say when a picture was taken that is of no sequence.
        lake: Holds `objects`.
        detections: Rows of `DETECTIONS`.

    Returns:
        By object id; objects without a box in space are left out.
    """
    by_moment: dict[tuple[str, int], list[int]] = {}
    segments, times = detections.column("segment").to_pylist(), detections.column("timestamp_us").to_pylist()
    for place, moment in enumerate(zip(segments, times, strict=True)):
        by_moment.setdefault(moment, []).append(place)
    boxes, scores = box_array(detections), detections.column("score").to_numpy()
    found: dict[str, float] = {}
    for shard in source.shards():
        frames = source.layout.frames(shard)
        keys = (image_id(shard, key) for key in frames.column("key").to_pylist())
        taken = dict(zip(keys, frames.column("timestamp_us").to_pylist(), strict=True))
        columns = ("object_id", "image_id", "timestamp_s", "attributes", "outcome")
        for row in lake.read("objects", shard, columns=columns).to_pylist():
            attributes = json.loads(row["attributes"] or "{}")
            seconds = row["timestamp_s"]
            time = taken.get(row["image_id"]) if seconds is None else round(seconds * 1e6)
            if row["outcome"] == "ok" and "center_x" in attributes and time is not None:
                places = by_moment.get((shard, time), [])
                found[row["object_id"]] = _best_score(attributes, boxes[places], scores[places])
    return found


def _best_score(
    attributes: Mapping[str, Any], boxes: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]
) -> float:
    if not len(boxes):
        return 0.0
    overlap = box_iou_matrix([[attributes[name] for name in BOX_SIDES]], boxes)[0]
    best = int(overlap.argmax())
    return float(scores[best]) if overlap[best] >= _SAME_OBJECT else 0.0


def prediction_table(scores: Mapping[str, float], others: Mapping[str, float] | None = None) -> "pa.Table":
    """Return scores as the task model `predictions` reads them: the probabilities that an object is found and missed.

    Its entropy and margin are largest and smallest where the score is a half. Of two detectors, the mean counts.

    Args:
        scores: By object.
        others: Of a second detector, by the same objects.
    """
    import pyarrow as pa

    names = sorted(scores)
    likely = np.array([scores[name] for name in names])
    if others is not None:
        likely = (likely + np.array([others.get(name, 0.0) for name in names])) / 2
    return pa.table({"image_id": names, "found": likely, "missed": 1 - likely})


def disagreements(scores: Mapping[str, float], others: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """Return object, score and other score of objects that two detectors see differently, the most different first."""
    pairs = [(name, score, others.get(name, 0.0)) for name, score in scores.items()]
    return sorted((pair for pair in pairs if pair[1] != pair[2]), key=lambda pair: (-abs(pair[1] - pair[2]), pair[0]))
