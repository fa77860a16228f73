"""The rows of `duplicates`: images that another one stands for, since both show one picture."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.domain.errors import PictureError
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.tables import DUPLICATES, JUDGES, SHARD_DUPLICATES, Split
from vlmine_dagster.mining.near_duplicates import (
    LEAST_COSINE,
    SIDE,
    Greys,
    candidate_pairs,
    kept_of,
    pixel_pairs,
    same_pictures,
)
from vlmine_dagster.resources.cuts import by_shard
from vlmine_dagster.resources.ordered import core_count, map_in_order
from vlmine_dagster.resources.sources import ImageSource, RawImage
from vlmine_dagster.scoring.junk import junk_by_pixels
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.scoring.vectors import matrix
from vlmine_dagster.settings.junk import why_no_junk_lane

SMALL_POOL = 1000
"""Images up to which the pixels of each are compared with those of its nearest, however near these are: the spread of
few images says little."""
PIXEL_POOL = 20_000
"""Images up to which all pictures are read, and compared by their pixels too: minutes above that."""

_DECODED = 4
"""A JPEG is decoded to at least this many times the side of the reduced picture: reduced by the decoder to little more
than that side, it has other grey values than a PNG of the same pixels."""

_STOOD_FOR = frozenset({Split.POOL, Split.SEED})  # what judges models stands for itself

_SPLITS = "SELECT image_id, split FROM items WHERE outcome = 'ok'"


def duplicate_rows(reader: Reader, pictures: ImageSource, *, max_pixels: int) -> pa.Table:
    """Return the images of the pool and of the labelled set that another image stands for, sorted by id.

    What is labelled or judges comes before what can be mined: no image of the pool stands for it. Then come images that
    are not junk by their pixels, then the first by id.

    Args:
        reader: Reads `items` (image_id, split, outcome) and `embeddings` (image_id, embedding), and `images`, where
            lists have a junk lane.
        pictures: The pictures of items; only those of candidates are read.
        max_pixels: Larger pictures are not decoded.
    """
    with reader.connect(ITEMS) as connection:
        splits: dict[str, str] = dict(connection.sql(_SPLITS).fetchall())
    names: list[str] = []
    for shard in reader.shards:
        names += reader.read("embeddings", ["image_id"], partitions=[shard]).column(0).to_pylist()
    if len(names) < 2:
        return DUPLICATES.schema.empty_table()
    least = LEAST_COSINE if len(names) > SMALL_POOL else -1.0
    search = reader.project.settings.neighbour_search
    pairs = {(one, other) for one, other, _ in candidate_pairs(lambda: _vectors(reader), least=least, search=search)}
    places = {name: place for place, name in enumerate(names) if name in splits}
    found = _confirmed(pairs, places, pictures, reader.shards, max_pixels=max_pixels)
    junk = junk_by_pixels(reader) if why_no_junk_lane(reader.project.settings) is None else set()

    def rank(place: int) -> tuple[bool, bool, str]:
        name = names[place]
        return splits.get(name, Split.POOL) == Split.POOL, name in junk, name

    return _table(names, splits, found, kept_of(found, sorted(range(len(names)), key=rank)))


def _confirmed(
    pairs: set[tuple[int, int]],
    places: Mapping[str, int],
    pictures: ImageSource,
    shards: Sequence[str],
    *,
    max_pixels: int,
) -> dict[tuple[int, int], float]:
    """Return the pairs whose pixels are those of one picture, with their correlation.

    Args:
        pairs: Candidates by features, as places.
        places: Place of each image that can be read, by id.
        pictures: The pictures. Of a small pool all are read, and are candidates by their pixels too.
        shards: Their shards.
        max_pixels: Larger pictures are not decoded.
    """
    chosen = {place for pair in pairs for place in pair}
    is_whole = len(places) <= PIXEL_POOL
    wanted = [name for name, place in places.items() if is_whole or place in chosen]
    names, greys = _greys(pictures, wanted, shards, max_pixels=max_pixels)
    read = [places[name] for name in names]
    if is_whole:
        alike = ((read[one], read[other]) for one, other in pixel_pairs(greys))
        pairs = pairs | {(min(pair), max(pair)) for pair in alike}
    at = {place: number for number, place in enumerate(read)}
    there = sorted(pair for pair in pairs if pair[0] in at and pair[1] in at)
    agreed, is_one = same_pictures(greys, [(at[one], at[other]) for one, other in there])
    return {pair: same for pair, same, one in zip(there, agreed.tolist(), is_one.tolist(), strict=True) if one}


def described_by_others(reader: Reader, shards: Sequence[str]) -> pa.Table:
    """Return the near-duplicates of some shards that need no description of their own: the image that is kept has one.

    Images that judge models are not described, so what they stand for is.

    Args:
        reader: Reads `duplicates` (image_id, kept_id, kept_split).
        shards: The shards.
    """
    rows = reader.read("duplicates", ["image_id", "kept_id", "kept_split"])
    is_described = pc.invert(pc.is_in(rows.column("kept_split"), pa.array(sorted(JUDGES), pa.string())))
    cuts = by_shard(rows.filter(is_described).select(["image_id", "kept_id"]), reader.shards)
    return pa.concat_tables([SHARD_DUPLICATES.schema.empty_table(), *(cuts[shard] for shard in shards)])


def _table(
    names: Sequence[str],
    splits: Mapping[str, str],
    found: Mapping[tuple[int, int], float],
    kept: Mapping[int, int],
) -> pa.Table:
    rows = [
        {
            "image_id": names[place],
            "kept_id": names[other],
            "kept_split": splits[names[other]],
            "similarity": min(1.0, found[min(place, other), max(place, other)]),
        }
        for place, other in kept.items()
        if splits[names[place]] in _STOOD_FOR
    ]
    return pa.Table.from_pylist(rows, DUPLICATES.schema).sort_by("image_id")


def _vectors(reader: Reader) -> Iterable[npt.NDArray[Any]]:
    for shard in reader.shards:
        yield matrix(reader.read("embeddings", ["image_id", "embedding"], partitions=[shard]), "embedding")


def _greys(
    pictures: ImageSource, wanted: Iterable[str], shards: Sequence[str], *, max_pixels: int
) -> tuple[list[str], Greys]:
    """Return the ids and the pictures as 48 x 48 grey values; those that cannot be read any more are left out."""
    names: list[str] = []
    greys: list[Greys] = []
    for shard, some in by_shard(pa.table({"image_id": pa.array(sorted(wanted), pa.string())}), shards).items():
        if some.num_rows:  # a shard without candidates is not opened
            for key, grey in _read(pictures, shard, some.column(0).to_pylist(), max_pixels=max_pixels):
                names.append(f"{shard}/{key}")
                greys.append(grey)
    return names, np.stack(greys) if greys else np.empty((0, SIDE, SIDE), np.uint8)


def reduced_grey(data: bytes, *, max_pixels: int) -> Greys:
    """Decode an image to 48 x 48 grey values, nearly the same ones whichever format holds it.

    Args:
        data: The encoded image.
        max_pixels: Larger pictures are not decoded.

    Raises:
        PictureError: it cannot be decoded.
    """
    from PIL import Image

    from vlmine_dagster.resources.pictures import decode_picture

    picture = decode_picture(data, max_pixels=max_pixels, smallest_side=_DECODED * SIDE)
    return np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.uint8)


def _read(pictures: ImageSource, shard: str, names: Sequence[str], *, max_pixels: int) -> Iterator[tuple[str, Greys]]:
    """Yield the key and the reduced picture of some images of a shard; pictures are decoded on every core."""

    def reduced(raw: RawImage) -> tuple[str, Greys | None]:
        if raw.failure:
            return raw.key, None
        try:
            return raw.key, reduced_grey(raw.data, max_pixels=max_pixels)
        except PictureError:
            return raw.key, None

    found = pictures.read(shard, keys={name[len(shard) + 1 :] for name in names})
    for key, grey in map_in_order(reduced, found, workers=core_count()):
        if grey is not None:
            yield key, grey
