"""Stage `neighbour_scores`: how lonely an image is among all, and how far from the labelled ones."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from assets.evidence import half
from assets.stages import Product, StageRun
from vlmine_dagster.mining.density import embedding_density, keyword_density, seed_distance
from vlmine_dagster.tables import NEIGHBOUR_SCORES

Floats = npt.NDArray[np.float64]


def compute(run: StageRun) -> Product:
    """Make the signals that an experiment asks for; the columns of the others stay empty."""
    search = run.project.settings.neighbour_search
    wanted = run.project.settings.asked_signals("neighbour_scores", variant=run.variant)
    features = Features(run)
    pool = features.ids("pool")
    columns: dict[str, Any] = {"image_id": pool}
    if "embedding_sparsity" in wanted:
        is_pool = np.array([split == "pool" for split in features.splits.values()], dtype=bool)
        columns["embedding_sparsity"] = 0.0 - embedding_density(features.blocks, search=search)[is_pool]
    if "seed_distance" in wanted:
        pool_blocks, seed_blocks = (partial(features.blocks, split) for split in ("pool", "seed"))
        columns["seed_distance"] = seed_distance(pool_blocks, seed_blocks, search=search)
    if "keyword_sparsity" in wanted:
        columns["keyword_sparsity"] = _keyword_sparsity(run, features, pool)
    empty = [None] * len(pool)
    schema = NEIGHBOUR_SCORES.schema
    arrays = [pa.array(columns.get(field.name, empty), field.type, from_pandas=True) for field in schema]
    facts = {"scored": len(pool), "labelled seed images": len(features.ids("seed")), "signals": ", ".join(wanted)}
    return Product(pa.Table.from_arrays(arrays, schema=schema).sort_by("image_id"), facts)


class Features:
    """The encoder's features of seed and pool, read shard by shard, always in the same order.

    Attributes:
        splits: seed or pool, by image id, in that order.
    """

    def __init__(self, run: StageRun):
        self._run = run
        with run.connect("images", "embeddings") as connection:
            rows = connection.sql(
                """SELECT image_id, split FROM images SEMI JOIN embeddings USING (image_id)
                   WHERE outcome = 'ok' AND (split = 'pool' OR (split = 'seed' AND label IS NOT NULL))"""
            ).fetchall()
        self._known: dict[str, str] = dict(rows)
        self.splits = {name: self._known[name] for ids, _ in self._shards() for name in ids if name in self._known}

    def ids(self, split: str) -> list[str]:
        """Return the images of a split."""
        return [name for name, its in self.splits.items() if its == split]

    def blocks(self, split: str | None = None) -> Iterator[npt.NDArray[np.float16]]:
        """Yield the features of a split, or of both, shape (B, 1280) each."""
        for ids, rows in self._shards(with_features=True):
            wanted = [k for k, name in enumerate(ids) if name in self._known and split in (None, self._known[name])]
            if wanted:
                yield half(rows.take(pa.array(wanted)), "embedding")

    def _shards(self, *, with_features: bool = False) -> Iterator[tuple[list[str], pa.Table]]:
        columns = ["image_id", *(["embedding"] if with_features else [])]
        for shard in self._run.shards:
            rows = self._run.lake.read("embeddings", shard, columns=columns)
            yield rows.column("image_id").to_pylist(), rows


def _keyword_sparsity(run: StageRun, features: Features, pool: Sequence[str]) -> Floats:
    keywords: dict[str, list[str]] = {name: [] for name in features.splits}
    words = run.read("keywords", ["image_id", "keyword"])
    for name, word in zip(words.column("image_id").to_pylist(), words.column("keyword").to_pylist(), strict=True):
        if name in keywords:
            keywords[name].append(word)
    sparsity = dict(zip(keywords, 0.0 - keyword_density(list(keywords.values())), strict=True))
    return np.array([sparsity[name] for name in pool], dtype=np.float64)
