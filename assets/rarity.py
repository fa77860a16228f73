"""Stage `rarity_scores`: what the labelled seed, the tags and the neighbourhood say about rarity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from assets.stages import Product, StageRun
from vlmine_dagster.mining.density import semantic_density
from vlmine_dagster.mining.rarity import (
    class_rank_rarity,
    expected_rarity,
    few_shot_probability,
    keyword_value,
    soft_novelty,
)
from vlmine_dagster.tables import EMBEDDINGS, RARITY_SCORES

_DEFAULT_FEW_UNDER = 20

Floats = npt.NDArray[np.float64]


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


def compute(run: StageRun) -> Product:
    """Join what the seed, the tags and the neighbourhood say about each image of the pool."""
    ids, labels, evidence = _known(run)
    is_seed = np.array([label is not None for label in labels], dtype=bool)
    seed, pool = np.flatnonzero(is_seed), np.flatnonzero(~is_seed)
    counts = run.read("vocab_counts", ["keyword", "image_count"])
    image_counts = dict(
        zip(counts.column("keyword").to_pylist(), counts.column("image_count").to_pylist(), strict=True)
    )
    settings = run.project.settings.dataset.labels
    told = told_by_seed(
        evidence.take(pool),
        evidence.take(seed),
        [label for label in labels if label is not None],
        image_counts,
        few_under=settings.few_under if settings is not None else _DEFAULT_FEW_UNDER,
    )
    columns = {
        "image_id": [ids[place] for place in pool],
        **told,
        "sparsity": -semantic_density(evidence.tag_probabilities)[pool],
        "soft_novelty": soft_novelty(evidence.tag_probabilities)[pool],
    }
    arrays = {name: pa.array(values, from_pandas=True) for name, values in columns.items()}
    return Product(
        pa.table(arrays).cast(RARITY_SCORES.schema), {"labelled seed images": len(seed), "scored": len(pool)}
    )


def told_by_seed(
    pool: Evidence, seed: Evidence, labels: Sequence[str], image_counts: Mapping[str, int], *, few_under: int
) -> dict[str, Floats]:
    """Return the three signals that the labelled seed gives, NaN where it has fewer than two classes.

    Two probes are fitted on the seed, on the features and on the square roots of the tag probabilities; the number of
    a class's labels tells how likely it is few-shot. See `mining.rarity` for the formulas.

    Returns:
        expected_rarity, class_rank_rarity, keyword_value: shape (N,), higher is rarer.
    """
    from vlmine_dagster.learning.prediction import predict_probabilities
    from vlmine_dagster.learning.training import fit_probe

    names, numbers = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    if len(names) < 2 or not len(pool.keywords):
        unknown = np.full(len(pool.keywords), np.nan)
        return {"expected_rarity": unknown, "class_rank_rarity": unknown, "keyword_value": unknown}
    posteriors = [
        predict_probabilities(fit_probe(known, numbers, class_count=len(names)), asked)
        for known, asked in (
            (seed.features, pool.features),
            (np.sqrt(seed.tag_probabilities), np.sqrt(pool.tag_probabilities)),
        )
    ]
    seed_counts = np.bincount(numbers)
    fraction = len(labels) / (len(labels) + len(pool.keywords))
    few = few_shot_probability(seed_counts, seed_fraction=fraction, few_under=few_under)
    return {
        "expected_rarity": expected_rarity(posteriors, few),
        "class_rank_rarity": class_rank_rarity(posteriors, few, seed_counts, seed_fraction=fraction),
        "keyword_value": keyword_value(
            pool.keywords, seed.keywords, few[numbers], image_counts, common_count=few_under
        ),
    }


def _known(run: StageRun) -> tuple[list[str], list[str | None], Evidence]:
    """Return ids, seed labels (None in the pool) and evidence of seed and pool, by image id.

    An image of the pool whose description or keywords failed is left out: nobody knows what it shows.
    """
    with run.connect("images", "embeddings", "keywords", "keyword_answers") as connection:
        rows = connection.sql(
            """SELECT image_id, CASE WHEN split = 'seed' THEN label END AS label, embedding, tag_probabilities
               FROM images JOIN embeddings USING (image_id)
               WHERE outcome = 'ok' AND (
                   (split = 'pool' AND image_id IN (
                       SELECT image_id FROM keyword_answers WHERE outcome IN ('ok', 'empty')))
                   OR (split = 'seed' AND label IS NOT NULL))
               ORDER BY image_id"""
        ).to_arrow_table()
        words = connection.sql("SELECT image_id, keyword FROM keywords ORDER BY image_id, keyword").to_arrow_table()
    ids = rows.column("image_id").to_pylist()
    keywords: dict[str, list[str]] = {name: [] for name in ids}
    for name, word in zip(words.column("image_id").to_pylist(), words.column("keyword").to_pylist(), strict=True):
        if name in keywords:
            keywords[name].append(word)
    evidence = Evidence(half(rows, "embedding"), half(rows, "tag_probabilities"), list(keywords.values()))
    return ids, rows.column("label").to_pylist(), evidence


def half(rows: pa.Table, column: str) -> npt.NDArray[np.float16]:
    """Return a vector column as an array of shape (N, size), float16: half the memory, and enough for a probe."""
    size = EMBEDDINGS.column(column).type.list_size
    flat = rows.column(column).combine_chunks().flatten() if rows.num_rows else pa.array([], pa.float16())
    return np.asarray(flat.to_numpy(zero_copy_only=False), dtype=np.float16).reshape(-1, size)
