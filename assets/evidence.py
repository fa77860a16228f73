"""What is known of the images of seed and pool, read shard by shard: that of millions is never in memory at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.domain.tables import EMBEDDINGS
from vlmine_dagster.engine.cuts import by_shard
from vlmine_dagster.engine.stages import StageRun

_BLOCK = 10_000  # images, 45 MB of features and tags

_VECTORS = ("embedding", "tag_probabilities")
_IMAGES = """
SELECT image_id, CASE WHEN split = 'seed' THEN label END AS label
FROM images SEMI JOIN embeddings USING (image_id)
WHERE outcome = 'ok' AND (
    (split = 'pool' AND {described}) OR (split = 'seed' AND label IS NOT NULL))
ORDER BY image_id
"""
_DESCRIBED = "image_id IN (SELECT image_id FROM keyword_answers WHERE outcome IN ('ok', 'empty'))"


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
    """What is known of N images.

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


class SeedAndPool:
    """The images of seed and pool that can be judged, shard by shard and by image id within.

    `blocks` yields what is known of those of the pool, `seed` of the labelled ones.

    Args:
        run: The stage at work.
        is_described: Whether to leave out images of the pool whose description or keywords failed: nobody knows what
            they show.

    Attributes:
        ids: Ids of the N images of the pool.
        seed_ids: Ids of the M labelled images.
        labels: Their classes.
        is_pool: Shape (N + M,), of all images in order, whether it is of the pool.
    """

    def __init__(self, run: StageRun, *, is_described: bool = True):
        self._run = run
        self._images: dict[str, pa.Table] = {}
        query = _IMAGES.format(described=_DESCRIBED if is_described else "true")
        tables = ("images", "embeddings", *(["keyword_answers"] if is_described else []))
        for shards in run.shard_batches("images"):
            with run.connect(*tables, shards=shards) as connection:
                self._images |= by_shard(connection.sql(query).to_arrow_table(), shards)
        images = pa.concat_tables(self._images.values())
        seed = images.filter(pc.is_valid(images.column("label")))
        self.is_pool = np.asarray(pc.is_null(images.column("label")).to_numpy())
        self.ids = images.filter(pa.array(self.is_pool)).column("image_id")
        self.seed_ids: list[str] = seed.column("image_id").to_pylist()
        self.labels: list[str] = seed.column("label").to_pylist()

    def __len__(self) -> int:
        """Return N."""
        return len(self.ids)

    def blocks(self) -> Iterator[Evidence]:
        """Yield evidence of the pool."""
        return self._evidence(is_seed=False)

    def seed(self) -> Evidence:
        """Return evidence of the seed, all of it."""
        parts = [_nothing(), *self._evidence(is_seed=True)]
        return Evidence(
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.tag_probabilities for part in parts]),
            [words for part in parts for words in part.keywords],
        )

    def vectors(self, column: str, *, is_seed: bool | None = None) -> Iterator[npt.NDArray[np.float16]]:
        """Yield a column of `embeddings`, shape (B, size) each: of the seed, of the pool, or of both if None."""
        for shard, images in self._chosen(is_seed):
            for rows in self._vectors(shard, images, column):
                yield half(rows, column)

    def keywords(self) -> Iterator[list[str]]:
        """Yield the keywords of each image of seed and pool."""
        for shard, images in self._chosen(None):
            yield from self._keywords(shard, images).values()

    def _chosen(self, is_seed: bool | None) -> Iterator[tuple[str, pa.Table]]:
        for shard, images in self._images.items():
            label = images.column("label")
            yield shard, images if is_seed is None else images.filter(pc.equal(pc.is_valid(label), is_seed))

    def _evidence(self, *, is_seed: bool) -> Iterator[Evidence]:
        for shard, chosen in self._chosen(is_seed):
            keywords = self._keywords(shard, chosen)
            for rows in self._vectors(shard, chosen, *_VECTORS):
                names = rows.column("image_id").to_pylist()
                features, tags = (half(rows, name) for name in _VECTORS)
                yield Evidence(features, tags, [keywords[name] for name in names])

    def _vectors(self, shard: str, images: pa.Table, *names: str) -> Iterator[pa.Table]:
        """Yield some vectors of some images of a shard."""
        if not images.num_rows:
            return
        rows = self._run.lake.read("embeddings", shard, columns=["image_id", *names])
        places = pc.index_in(images.column("image_id"), value_set=rows.column("image_id").combine_chunks())
        for start in range(0, len(places), _BLOCK):
            yield rows.take(places.slice(start, _BLOCK))

    def _keywords(self, shard: str, images: pa.Table) -> dict[str, list[str]]:
        keywords: dict[str, list[str]] = {name: [] for name in images.column("image_id").to_pylist()}
        variant = self._run.variant_of("keywords")
        rows = self._run.lake.read("keywords", shard, columns=["image_id", "keyword"], variant=variant)
        for name, word in zip(rows.column("image_id").to_pylist(), rows.column("keyword").to_pylist(), strict=True):
            if name in keywords:
                keywords[name].append(word)
        return keywords


def half(rows: pa.Table, column: str) -> npt.NDArray[np.float16]:
    """Return a vector column as an array of shape (N, size), float16: half the memory, and enough for a probe."""
    size = EMBEDDINGS.column(column).type.list_size
    flat = rows.column(column).combine_chunks().flatten() if rows.num_rows else pa.array([], pa.float16())
    return np.asarray(flat.to_numpy(zero_copy_only=False), dtype=np.float16).reshape(-1, size)


def _nothing() -> Evidence:
    none = EMBEDDINGS.schema.empty_table()
    features, tags = (half(none, name) for name in _VECTORS)
    return Evidence(features, tags, [])
