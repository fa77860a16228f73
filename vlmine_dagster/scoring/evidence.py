"""What is known about images, read shard by shard: that of millions is never in memory at once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.tables import EMBEDDINGS, Outcome
from vlmine_dagster.resources.cuts import by_shard
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.scoring.vectors import matrix

_BLOCK = 10_000  # images, 45 MB of features and tags

_VECTORS = ("embedding", "tag_probabilities")
_IMAGES = """
SELECT image_id, CASE WHEN split = 'seed' THEN label END AS label
FROM items SEMI JOIN embeddings USING (image_id)
WHERE outcome = 'ok' AND (
    (split = 'pool' AND {described}) OR (split = 'seed' AND label IS NOT NULL))
ORDER BY image_id
"""

DESCRIBED = (Outcome.OK.value, Outcome.EMPTY.value)
"""Outcomes of `keyword_answers` of images that can be mined: what is described and yields no keyword is known."""

IS_DESCRIBED = f"items.image_id IN (SELECT image_id FROM keyword_answers WHERE outcome IN {DESCRIBED})"  # noqa: S608
"""Tells, in a query over `items`, whether an image can be mined."""

Halves = npt.NDArray[np.float16]
ChosenIds = Callable[[], Iterator[tuple[str, pa.ChunkedArray]]]
"""Yields shards with the ids of some of their images, in the same order at each call."""


class EvidenceBlocks(Protocol):
    """Evidence of N images, block by block, in the same order whenever it is asked for."""

    def __len__(self) -> int:
        """Return N."""
        ...

    def blocks(self) -> "Iterator[Evidence]":
        """Yield the images, some at a time."""
        ...


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known about N images.

    Attributes:
        features: Shape (N, 1280), the encoder's features.
        tag_probabilities: Shape (N, 1000).
        keywords: N lists.
    """

    features: npt.NDArray[Any]
    tag_probabilities: npt.NDArray[Any]
    keywords: Sequence[Sequence[str]]

    def take(self, places: npt.NDArray[np.int64]) -> "Evidence":
        """Return some of the images."""
        words = [self.keywords[place] for place in places.tolist()]
        return Evidence(self.features[places], self.tag_probabilities[places], words)

    def __len__(self) -> int:
        """Return N."""
        return len(self.keywords)

    def blocks(self) -> "Iterator[Evidence]":
        """Yield all at once."""
        yield self


class StoredEvidence:
    """Published evidence of N images, in the order of their shards.

    Args:
        reader: Reads `embeddings` (image_id and the vectors that are asked for) and `keywords` (image_id, keyword).
        images: The images.
        count: N.
    """

    def __init__(self, reader: Reader, images: ChosenIds, count: int):
        self._reader, self._images, self._count = reader, images, count

    def __len__(self) -> int:
        """Return N."""
        return self._count

    def blocks(self) -> Iterator[Evidence]:
        """Yield evidence of some images at a time."""
        for shard, ids in self._images():
            keywords = self._keywords(shard, ids)
            for rows in self._rows(shard, ids, *_VECTORS):
                features, tags = (matrix(rows, name, np.float16) for name in _VECTORS)
                yield Evidence(features, tags, [keywords[name] for name in rows.column("image_id").to_pylist()])

    def together(self) -> Evidence:
        """Return evidence of all images at once."""
        nothing = EMBEDDINGS.schema.empty_table()
        features, tags = (matrix(nothing, name, np.float16) for name in _VECTORS)
        parts = [Evidence(features, tags, []), *self.blocks()]
        return Evidence(
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.tag_probabilities for part in parts]),
            [words for part in parts for words in part.keywords],
        )

    def vectors(self, column: str) -> Iterator[Halves]:
        """Yield a vector column of `embeddings`, shape (B, size) each."""
        for shard, ids in self._images():
            for rows in self._rows(shard, ids, column):
                yield matrix(rows, column, np.float16)

    def keywords(self) -> Iterator[list[str]]:
        """Yield the keywords of each image."""
        for shard, ids in self._images():
            yield from self._keywords(shard, ids).values()

    def _rows(self, shard: str, ids: pa.ChunkedArray, *columns: str) -> Iterator[pa.Table]:
        if not len(ids):
            return
        rows = self._reader.read("embeddings", ["image_id", *columns], partitions=[shard])
        places = pc.index_in(ids, value_set=rows.column("image_id").combine_chunks())
        for start in range(0, len(places), _BLOCK):
            yield rows.take(places.slice(start, _BLOCK))

    def _keywords(self, shard: str, ids: pa.ChunkedArray) -> dict[str, list[str]]:
        keywords: dict[str, list[str]] = {name: [] for name in ids.to_pylist()}
        rows = self._reader.read("keywords", ["image_id", "keyword"], partitions=[shard])
        for name, word in zip(rows.column("image_id").to_pylist(), rows.column("keyword").to_pylist(), strict=True):
            if name in keywords:
                keywords[name].append(word)
        return keywords


class SeedAndPool:
    """The images of the labelled set and of the pool that can be judged, shard by shard and by image id within.

    Args:
        reader: Reads `images` (image_id, label, split, outcome), `embeddings`, and what its evidence is asked for.
        is_described: Whether to leave out images of the pool whose description or keywords failed, so that nobody
            knows what they show. Reads `keyword_answers` (image_id, outcome).

    Attributes:
        everything: Evidence of the N images of the pool and the M labelled ones.
        pool: That of the pool.
        seed: That of the labelled ones.
        ids: Ids of the images of the pool.
        seed_ids: Ids of the labelled images.
        labels: Their classes.
        is_pool: Shape (N + M,), of all images in order, whether it is of the pool.
    """

    def __init__(self, reader: Reader, *, is_described: bool = True):
        self._images: dict[str, pa.Table] = {}
        query = _IMAGES.format(described=IS_DESCRIBED if is_described else "true")
        tables = (ITEMS, "embeddings", *(["keyword_answers"] if is_described else []))
        for shards in reader.batches(ITEMS):
            with reader.connect(*tables, partitions=shards) as connection:
                self._images |= by_shard(connection.sql(query).to_arrow_table(), shards)
        images = pa.concat_tables(self._images.values())
        seed = images.filter(pc.is_valid(images.column("label")))
        self.is_pool = np.asarray(pc.is_null(images.column("label")).to_numpy())
        self.ids = images.filter(pa.array(self.is_pool)).column("image_id")
        self.seed_ids: list[str] = seed.column("image_id").to_pylist()
        self.labels: list[str] = seed.column("label").to_pylist()
        self.everything = StoredEvidence(reader, lambda: self._chosen(None), len(self.is_pool))
        self.pool = StoredEvidence(reader, lambda: self._chosen(False), len(self.ids))
        self.seed = StoredEvidence(reader, lambda: self._chosen(True), len(self.labels))

    def _chosen(self, is_seed: bool | None) -> Iterator[tuple[str, pa.ChunkedArray]]:
        for shard, images in self._images.items():
            is_labelled = pc.is_valid(images.column("label"))
            chosen = images if is_seed is None else images.filter(pc.equal(is_labelled, is_seed))
            yield shard, chosen.column("image_id")
