"""Stage `novelty_scores`: how rare the keywords of each image are."""

from vlmine_dagster.engine.stages import Product, StageRun
from vlmine_dagster.scoring.novelty import novelty_scores


def compute(run: StageRun) -> Product:
    """Score images by 1 / min and 1 / mean of their keywords' counts over the pool."""
    return Product(novelty_scores(run))
