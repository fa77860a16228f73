"""From a shard's files to rows of `images`: every image opened and checked, good or bad."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import MissingInputError, TooManyFailuresError
from vlmine_dagster.domain.tables import IMAGES, Outcome, Split
from vlmine_dagster.resources.labels import Labels
from vlmine_dagster.resources.media.contract import Medium
from vlmine_dagster.resources.media.photo import PHOTO
from vlmine_dagster.resources.ordered import core_count, map_in_order
from vlmine_dagster.resources.pictures import PictureFacts, decode_picture, exif_orientation
from vlmine_dagster.resources.sources import ImageSource, RawImage, image_id, shard_of
from vlmine_dagster.resources.sources.sequences import moment_of
from vlmine_dagster.settings.sequences import SequenceSettings

FIX_FILES = "Fix the files, or raise max_failure_share in vlmine.yaml."
ASK_AGAIN = (
    "What was paid for is kept. Fix the cause, then `vlmine run --retry-failed`; or raise max_failure_share in "
    "vlmine.yaml."
)


@dataclass(frozen=True)
class Measure:
    """What is measured of a picture while it is decoded anyway.

    Attributes:
        side: Longest side of the reduced picture that `columns` gets.
        columns: Returns columns of `images` for the pixels of an upright RGB picture, shape (H, W, 3).
    """

    side: int
    columns: Callable[[npt.NDArray[np.uint8]], Mapping[str, Any]]


def inspect_shard(
    source: ImageSource,
    shard: str,
    *,
    labels: Labels | None,
    max_pixels: int,
    medium: Medium = PHOTO,
    sequences: SequenceSettings | None = None,
    measure: Measure | None = None,
    on_progress: Callable[[int], None] = lambda _count: None,
) -> pa.Table:
    """Open and check every image of a shard.

    Args:
        source: The images.
        shard: Which of them.
        labels: What the miner may know of them, None without labels.
        max_pixels: Larger pictures are refused.
        medium: What the images are.
        sequences: How frames are recognized by their names; None where the source says, or nobody.
        measure: What else is measured of each picture; None: nothing.
        on_progress: Called with the number of images that were opened since.

    Returns:
        Rows of `images`, sorted by image id.
    """

    def row(raw: RawImage) -> dict[str, Any]:
        return _row(
            raw, medium, shard=shard, labels=labels, max_pixels=max_pixels, sequences=sequences, measure=measure
        )

    rows = []
    for found in map_in_order(row, source.read(shard), workers=core_count()):
        rows.append(found)
        on_progress(1)
    rows.sort(key=lambda found: str(found["image_id"]))
    return pa.Table.from_pylist(rows, schema=IMAGES.schema)


def relabelled(rows: pa.Table, shard: str, labels: Labels | None) -> pa.Table:
    """Return rows of `images` of a shard with the labels and splits of now; no picture is opened."""
    frames = zip(rows.column("image_id").to_pylist(), rows.column("sequence_id").to_pylist(), strict=True)
    shown = [_shown(labels, name, name[len(shard) + 1 :], sequence) for name, sequence in frames]
    columns = {"label": [label for label, _ in shown], "split": [split.value for _, split in shown]}
    for name, values in columns.items():
        place = IMAGES.schema.get_field_index(name)
        rows = rows.set_column(place, IMAGES.schema.field(name), pa.array(values, IMAGES.schema.field(name).type))
    return rows


def _shown(labels: Labels | None, name: str, key: str, sequence: str | None) -> tuple[str | None, Split]:
    return (None, Split.POOL) if labels is None else labels.visible(name, key, sequence)


def _row(
    raw: RawImage,
    medium: Medium,
    *,
    shard: str,
    labels: Labels | None,
    max_pixels: int,
    sequences: SequenceSettings | None,
    measure: Measure | None,
) -> dict[str, Any]:
    name = image_id(shard, raw.key)
    moment = raw.moment or moment_of(sequences, name, raw.key)
    sequence = None if moment is None else moment.sequence
    if raw.failure is None:
        facts = medium.facts(raw.data, max_pixels=max_pixels, reduced_side=None if measure is None else measure.side)
    else:
        facts = PictureFacts(None, None, Outcome.CORRUPT, raw.failure)
    label, split = _shown(labels, name, raw.key, sequence)
    return {
        "image_id": name,
        "uri": raw.uri,
        "sha256": medium.digest(raw.data),
        "width": facts.width,
        "height": facts.height,
        **({} if measure is None or facts.reduced is None else measure.columns(facts.reduced)),
        "n_bytes": len(raw.data),
        "sequence_id": sequence,
        "frame_index": None if moment is None else moment.frame,
        "timestamp_s": None if moment is None else moment.time_s,
        "attributes": json.dumps(raw.attributes, ensure_ascii=False, sort_keys=True) if raw.attributes else None,
        "label": label,
        "split": split.value,
        "outcome": facts.outcome.value,
        "failure": facts.failure,
    }


def outcome_counts(rows: pa.Table) -> dict[str, int]:
    """Return how many rows have each outcome, the commonest first."""
    return dict(Counter(rows.column("outcome").to_pylist()).most_common())


def refuse_failures(
    rows: pa.Table,
    *,
    where: str,
    max_share: float,
    advice: str = FIX_FILES,
) -> None:
    """Refuse a table in which too many rows failed.

    Args:
        rows: Rows with a failure, or null, each.
        where: Table and shard, for the message.
        max_share: Share of failures that passes.
        advice: What to do.

    Raises:
        TooManyFailuresError: more than `max_share` of the rows are not ok; the message holds the three commonest
            reasons.
    """
    failures = [str(reason) for reason in rows.column("failure").to_pylist() if reason is not None]
    if rows.num_rows == 0 or len(failures) / rows.num_rows <= max_share:
        return
    commonest = "; ".join(f"{count} x {reason.rstrip('.')}" for reason, count in Counter(failures).most_common(3))
    raise TooManyFailuresError(
        f"{where}: {len(failures)} of {rows.num_rows} images failed, more than max_failure_share {max_share:g}. "
        f"Commonest: {commonest}. {advice}"
    )


def read_bytes(source: ImageSource, shard: str, image_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield (image_id, encoded bytes) of some images of one shard, in the order of the files."""
    keys = {name[len(shard) + 1 :] for name in image_ids}
    for raw in source.read(shard, keys=keys):
        if raw.failure is None:
            yield image_id(shard, raw.key), raw.data


def exif_orientations(source: ImageSource, shard: str, image_ids: Sequence[str], *, max_pixels: int) -> dict[str, int]:
    """Return the EXIF orientation (1 to 8) of some images of one shard by image_id; those that are gone are left out.

    Raises:
        PictureError: one cannot be decoded. Ask for images whose outcome was ok: its file has changed since.
    """
    found = read_bytes(source, shard, image_ids)
    return {name: exif_orientation(data, max_pixels=max_pixels) for name, data in found}


def by_shard(image_ids: Sequence[str], shards: Sequence[str]) -> dict[str, list[str]]:
    """Group image ids by their shard."""
    groups: dict[str, list[str]] = {}
    known = frozenset(shards)
    for name in image_ids:
        groups.setdefault(shard_of(name, known), []).append(name)
    return groups


def load_pictures(
    source: ImageSource, image_ids: Sequence[str], *, max_pixels: int, smallest_side: int | None = None
) -> Iterator[tuple[str, Image.Image]]:
    """Yield (image_id, RGB picture) of images of any shards, shard by shard; those that are gone are left out.

    Raises:
        PictureError: one cannot be decoded. Ask for images whose outcome was ok: its file has changed since.
    """
    for shard, names in by_shard(image_ids, source.shards()).items():
        for name, data in read_bytes(source, shard, names):
            yield name, decode_picture(data, max_pixels=max_pixels, smallest_side=smallest_side)


def load_pixels(source: ImageSource, image_ids: Sequence[str], *, max_pixels: int, side: int) -> npt.NDArray[np.uint8]:
    """Return images squeezed to squares.

    Returns:
        Shape (N, side, side, 3), uint8, RGB, in the order of `image_ids`.

    Raises:
        MissingInputError: an image is gone from the dataset.
    """
    places = {name: place for place, name in enumerate(image_ids)}
    pixels = np.zeros((len(image_ids), side, side, 3), np.uint8)
    for name, picture in load_pictures(source, image_ids, max_pixels=max_pixels, smallest_side=side):
        pixels[places.pop(name)] = np.asarray(picture.resize((side, side), Image.Resampling.BOX, reducing_gap=2.0))
    refuse_gone(places)
    return pixels


def refuse_gone(image_ids: Collection[str]) -> None:
    """Refuse to go on without images that were asked for and not found.

    Raises:
        MissingInputError: there are any.
    """
    if image_ids:
        raise MissingInputError(
            f"{counted(len(image_ids), 'image is', 'images are')} no longer in the dataset, such as "
            f"{next(iter(image_ids))}. Materialize images for their shards again."
        )
