"""Junk in a project: the columns that tell it, the rows of `junk`, and the lane of a list."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.junk import PIXEL_MEASURES, READ_OF_IMAGES, Junk
from vlmine_dagster.domain.tables import JUNK
from vlmine_dagster.domain.verdicts import Verdict
from vlmine_dagster.mining.judging import standing_verdicts
from vlmine_dagster.mining.junk import SIDE, JunkFound, find_junk, measures_of
from vlmine_dagster.resources.intake import Measure
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.scoring.vocabulary import absent_keywords, keyword_weights

PICTURE_MEASURE = Measure(SIDE, lambda pixels: asdict(measures_of(pixels)))
"""What `images` measures of a photo."""

_MEASURED = f"""
SELECT {", ".join(READ_OF_IMAGES)} FROM images WHERE outcome = 'ok' AND split IN ('pool', 'seed') ORDER BY image_id
"""  # noqa: S608


def junk_rows(reader: Reader) -> tuple[pa.Table, JunkFound]:
    """Return the images of the pool that are junk, sorted by id, and how they were found.

    Args:
        reader: Reads `images`, and `keywords` where the project lists some as out of domain.
    """
    rows = _measured(reader)
    found = _found(rows, _foreign_keywords(reader, rows.column("image_id")))
    chosen = np.flatnonzero(found.kinds >= 0)
    kinds = [list(Junk)[number] for number in found.kinds[chosen].tolist()]
    table = pa.table(
        {
            "image_id": rows.column("image_id").take(pa.array(chosen)),
            "kind": pa.array([kind.value for kind in kinds], pa.string()),
            "value": pa.array(found.values[chosen], pa.float64()),
            "limit": pa.array([found.limits[kind] for kind in kinds], pa.float64()),
            "typical": pa.array([found.typical[kind] for kind in kinds], pa.float64()),
        },
        JUNK.schema,
    )
    return table, found


def junk_by_pixels(reader: Reader) -> set[str]:
    """Return the images of the pool that are junk whatever their keywords are.

    Args:
        reader: Reads `images`.
    """
    rows = _measured(reader)
    found = _found(rows, np.zeros(rows.num_rows))
    return set(rows.column("image_id").filter(pa.array(found.kinds >= 0)).to_pylist())


def _measured(reader: Reader) -> pa.Table:
    """Return the measures of the images that can be mined or are labelled, sorted by id."""
    with reader.connect("images") as connection:
        return connection.sql(_MEASURED).to_arrow_table()


def _found(rows: pa.Table, foreign_keywords: npt.NDArray[np.float64]) -> JunkFound:
    split = rows.column("split").to_numpy(zero_copy_only=False)
    measures = {**_measures(rows), "foreign_keywords": foreign_keywords}
    return find_junk(measures, is_labelled=split == "seed", is_mined=split == "pool")


def _measures(rows: pa.Table) -> dict[str, npt.NDArray[np.float64]]:
    def column(name: str) -> npt.NDArray[np.float64]:
        values: npt.NDArray[np.float64] = rows.column(name).to_numpy(zero_copy_only=False).astype(np.float64)
        return values

    sides = np.sort([column("width"), column("height")], axis=0)
    return {**{name: column(name) for name in PIXEL_MEASURES}, "shape": sides[0] / sides[1]}


def _foreign_keywords(reader: Reader, image_ids: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Return how many keywords of each image the project lists as out of domain."""
    listed = reader.project.settings.out_of_domain
    if not listed:
        return np.zeros(len(image_ids))
    with reader.connect("keywords") as connection:
        known = [name for (name,) in connection.sql("SELECT DISTINCT keyword FROM keywords").fetchall()]
    for text in absent_keywords(listed, known, where="out_of_domain"):
        reader.log.warning(text)
    return keyword_weights(reader, image_ids, dict.fromkeys(listed, 1.0))


def junk_counts(rows: pa.Table) -> dict[str, int]:
    """Return how many images are junk of each kind, the commonest kind first.

    Args:
        rows: Column `kind`.
    """
    counts: list[dict[str, Any]] = rows.column("kind").value_counts().to_pylist()
    found = {str(one["values"]): int(one["counts"]) for one in counts}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def junk_text(counts: Mapping[str, int]) -> str:
    """Return in words how many images are junk of each kind.

    Examples:
        >>> junk_text({"blurred": 12, "too dark": 1200})
        '1,212 images are in the junk lane: 1,200 too dark, 12 blurred'
        >>> junk_text({"blurred": 1})
        '1 image is in the junk lane: 1 blurred'
    """
    total = sum(counts.values())
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items(), key=lambda item: -item[1]))
    return f"{counted(total, 'image is', 'images are')} in the junk lane: {kinds}"


def junk_kinds(reader: Reader) -> dict[str, str]:
    """Return what is wrong with each image that is junk and that no reviewer called anything else.

    Args:
        reader: Reads `junk` (image_id, kind), and `verdicts`, if the list learns from them.
    """
    rows = reader.read("junk", ["image_id", "kind"])
    kinds = dict(zip(rows.column("image_id").to_pylist(), rows.column("kind").to_pylist(), strict=True))
    if not kinds or not reader.needs("verdicts"):
        return kinds
    judged = reader.read("verdicts", ["image_id", "reviewer", "verdict"]).to_pylist()
    standing = standing_verdicts((row["image_id"], row["reviewer"], Verdict(row["verdict"])) for row in judged)
    return {name: kind for name, kind in kinds.items() if standing.get(name, Verdict.JUNK) is Verdict.JUNK}


def junk_lane(reader: Reader, image_ids: pa.ChunkedArray) -> dict[int, str]:
    """Return the images of a list that are in its junk lane: what is wrong with each, by its place.

    An image that reviewers called anything else but junk is not in it; where all are junk, none is.

    Args:
        reader: Reads `junk` (image_id, kind), and `verdicts`, if the list learns from them.
        image_ids: The images that can be mined.
    """
    kinds = junk_kinds(reader)
    places = np.flatnonzero(pc.is_in(image_ids, pa.array(kinds, pa.string())).to_numpy(zero_copy_only=False))
    if len(places) == len(image_ids):
        return {}
    names = image_ids.take(pa.array(places)).to_pylist()
    return {place: kinds[name] for place, name in zip(places.tolist(), names, strict=True)}
