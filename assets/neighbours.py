"""Stage `neighbour_scores`: how lonely an image is among all, and how far from the labelled ones."""

from functools import partial
from typing import Any

import pyarrow as pa

from vlmine_dagster.assets.evidence import SeedAndPool
from vlmine_dagster.domain.tables import NEIGHBOUR_SCORES
from vlmine_dagster.engine.stages import Product, StageRun
from vlmine_dagster.mining.density import embedding_density, keyword_density, seed_distance


def compute(run: StageRun) -> Product:
    """Make the signals that an experiment asks for; the columns of the others stay empty."""
    search = run.project.settings.neighbour_search
    wanted = run.project.settings.asked_signals("neighbour_scores", variant=run.variant)
    known = SeedAndPool(run, is_described=False)
    features = partial(known.vectors, "embedding")
    columns: dict[str, Any] = {}
    if "embedding_sparsity" in wanted:
        columns["embedding_sparsity"] = 0.0 - embedding_density(features, search=search)[known.is_pool]
    if "seed_distance" in wanted:
        pool_blocks, seed_blocks = (partial(features, is_seed=is_seed) for is_seed in (False, True))
        columns["seed_distance"] = seed_distance(pool_blocks, seed_blocks, search=search)
    if "keyword_sparsity" in wanted:
        columns["keyword_sparsity"] = 0.0 - keyword_density(list(known.keywords()))[known.is_pool]
    empty = [None] * len(known)
    arrays = {name: pa.array(columns.get(name, empty), from_pandas=True) for name in NEIGHBOUR_SCORES.schema.names[1:]}
    rows = pa.table({"image_id": known.ids, **arrays}).cast(NEIGHBOUR_SCORES.schema)
    facts = {"scored": len(known), "labelled seed images": len(known.labels), "signals": ", ".join(wanted)}
    return Product(rows.sort_by("image_id"), facts)
