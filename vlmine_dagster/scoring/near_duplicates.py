"""The rows of `duplicates`: images that another one stands for, since both show one picture."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vlmine_dagster.domain.errors import PictureError
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.tables import DUPLICATES
from vlmine_dagster.mining.near_duplicates import (
    LEAST_CORRELATION,
    LEAST_COSINE,
    SIDE,
    Grey,
    candidate_pairs,
    kept_of,
    same_picture,
)
from vlmine_dagster.resources.cuts import by_shard
from vlmine_dagster.resources.sources import ImageSource
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.scoring.vectors import matrix

SMALL_POOL = 1000
"""Images up to which the pixels of each are compared with those of its nearest, however near these are: the spread of
few images says little."""

_SPLITS = "SELECT image_id, split = 'pool' AS is_mined FROM items WHERE outcome = 'ok'"


def duplicate_rows(reader: Reader, pictures: ImageSource, *, max_pixels: int) -> pa.Table:
    """Return the images of the pool that another image stands for, sorted by id.

    Args:
        reader: Reads `items` (image_id, split, outcome) and `embeddings` (image_id, embedding).
        pictures: The pictures of items; only those of candidates are read.
        max_pixels: Larger pictures are not decoded.
    """
    with reader.connect(ITEMS) as connection:
        is_mined: dict[str, bool] = dict(connection.sql(_SPLITS).fetchall())
    names: list[str] = []
    for shard in reader.shards:
        names += reader.read("embeddings", ["image_id"], partitions=[shard]).column(0).to_pylist()
    if len(names) < 2:
        return DUPLICATES.schema.empty_table()
    least = LEAST_COSINE if len(names) > SMALL_POOL else -1.0
    search = reader.project.settings.neighbour_search
    pairs = list(candidate_pairs(lambda: _vectors(reader), least=least, search=search))
    wanted = {names[place] for one, other, _ in pairs for place in (one, other) if names[place] in is_mined}
    greys = _greys(pictures, wanted, reader.shards, max_pixels=max_pixels)
    found = {
        (one, other): same
        for one, other, _ in pairs
        if names[one] in greys
        and names[other] in greys
        and (same := same_picture(greys[names[one]], greys[names[other]])) >= LEAST_CORRELATION
    }
    order = sorted(range(len(names)), key=lambda place: (is_mined.get(names[place], True), names[place]))
    return _table(names, is_mined, found, kept_of(found, order))


def _table(
    names: Sequence[str],
    is_mined: Mapping[str, bool],
    found: Mapping[tuple[int, int], float],
    kept: Mapping[int, int],
) -> pa.Table:
    rows = [
        {
            "image_id": names[place],
            "kept_id": names[other],
            "similarity": min(1.0, found[min(place, other), max(place, other)]),
        }
        for place, other in kept.items()
        if is_mined[names[place]]
    ]
    return pa.Table.from_pylist(rows, DUPLICATES.schema).sort_by("image_id")


def _vectors(reader: Reader) -> Iterable[npt.NDArray[Any]]:
    for shard in reader.shards:
        yield matrix(reader.read("embeddings", ["image_id", "embedding"], partitions=[shard]), "embedding")


def _greys(pictures: ImageSource, wanted: Iterable[str], shards: Sequence[str], *, max_pixels: int) -> dict[str, Grey]:
    """Return the pictures as 48 x 48 grey values by image id; those that cannot be read any more are left out."""
    found: dict[str, Grey] = {}
    for shard, some in by_shard(pa.table({"image_id": pa.array(sorted(wanted), pa.string())}), shards).items():
        if some.num_rows:  # a shard without candidates is not opened
            names = some.column(0).to_pylist()
            found |= {f"{shard}/{key}": grey for key, grey in _read(pictures, shard, names, max_pixels=max_pixels)}
    return found


def _read(pictures: ImageSource, shard: str, names: Sequence[str], *, max_pixels: int) -> Iterator[tuple[str, Grey]]:
    from PIL import Image

    from vlmine_dagster.resources.pictures import decode_picture

    for raw in pictures.read(shard, keys={name[len(shard) + 1 :] for name in names}):
        if raw.failure:
            continue
        try:
            picture = decode_picture(raw.data, max_pixels=max_pixels, smallest_side=SIDE)
        except PictureError:
            continue
        small = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        yield raw.key, np.asarray(small, dtype=np.float32)
