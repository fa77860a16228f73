"""The columns of `neighbour_scores`: how lonely an image is among all, and how far from the labelled ones."""

from collections.abc import Callable, Collection, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vlmine_dagster.domain.tables import NEIGHBOUR_SCORES
from vlmine_dagster.mining.density import embedding_density, keyword_density, seed_distance
from vlmine_dagster.mining.neighbours import Blocks
from vlmine_dagster.scoring.evidence import SeedAndPool
from vlmine_dagster.scoring.reading import Reader

Floats = npt.NDArray[np.float64]
Vectors = npt.ArrayLike | Blocks


def neighbour_scores(reader: Reader, seed_and_pool: SeedAndPool, wanted: Collection[str]) -> pa.Table:
    """Return `neighbour_scores` of the pool, by image id.

    Args:
        reader: Tells how neighbours are searched for.
        seed_and_pool: The images.
        wanted: Signals to make; the columns of the others stay empty.
    """
    features = (
        partial(one.vectors, "embedding") for one in (seed_and_pool.everything, seed_and_pool.pool, seed_and_pool.seed)
    )
    everything, pool, seed = features
    columns = {
        name: values[seed_and_pool.is_pool]
        for name, values in loneliness(
            reader, wanted, everything, lambda: list(seed_and_pool.everything.keywords())
        ).items()
    }
    if "seed_distance" in wanted:
        columns["seed_distance"] = distance_from_labelled(reader, pool, seed)
    empty = [None] * len(seed_and_pool.ids)
    arrays = {name: pa.array(columns.get(name, empty), from_pandas=True) for name in NEIGHBOUR_SCORES.schema.names[1:]}
    return pa.table({"image_id": seed_and_pool.ids, **arrays}).cast(NEIGHBOUR_SCORES.schema).sort_by("image_id")


def loneliness(
    reader: Reader, wanted: Collection[str], features: Vectors, keywords: Callable[[], Sequence[Sequence[str]]]
) -> dict[str, Floats]:
    """Return how few images are like each of N, higher is lonelier; only the signals that are wanted.

    Args:
        reader: Tells how neighbours are searched for.
        wanted: Names of signals; others than these two are ignored.
        features: Shape (N, D), or a function that reads them block by block.
        keywords: Returns N lists; called only where they are needed.
    """
    search = reader.project.settings.neighbour_search
    columns = {}
    if "embedding_sparsity" in wanted:
        columns["embedding_sparsity"] = 0.0 - embedding_density(features, search=search)
    if "keyword_sparsity" in wanted:
        columns["keyword_sparsity"] = 0.0 - keyword_density(keywords())
    return columns


def distance_from_labelled(reader: Reader, features: Vectors, labelled: Vectors) -> Floats:
    """Return how far images are from the nearest labelled one, shape (N,).

    Args:
        reader: Tells how neighbours are searched for.
        features: Shape (N, D), or a function that reads them block by block.
        labelled: Likewise, of the labelled images.
    """
    return seed_distance(features, labelled, search=reader.project.settings.neighbour_search)
