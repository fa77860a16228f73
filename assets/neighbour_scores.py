"""Stage `neighbour_scores`: how isolated an image is among all, and how far from the labelled ones."""

from vlmine_dagster.assets.rarity_scores import unless_asked
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.engine.stage import CORES_POOL, Part, Product, Reads, stage
from vlmine_dagster.engine.stage_run import StageRun


def _asked(part: Part) -> list[str]:
    return part.settings.asked_signals("neighbour_scores", variant=part.variant)


@stage(
    "neighbour_scores",
    group="score",
    kinds={"python", "parquet"},
    reads=[
        Reads(ITEMS, ("image_id", "label", "split", "outcome")),
        Reads("embeddings", ("image_id", "embedding")),
        Reads("keywords", ("image_id", "keyword"), when=lambda part: "keyword_sparsity" in _asked(part)),
    ],
    settings=lambda part: [_asked(part), part.settings.neighbour_search],
    skipped=lambda part: unless_asked("neighbour_scores", part),
    version=4,
    is_on_demand=True,
    pool=CORES_POOL,
)
def neighbour_scores(run: StageRun) -> Product:
    """How few images of the labelled set and the pool are like an image, and how far it is from the labelled set.

    One row per image that can be mined. Neighbours are sought over the encoder's features and over keywords, block by
    block. Only the signals that an experiment asks for are made, the columns of the others are empty.
    """
    from vlmine_dagster.scoring.evidence import SeedAndPool
    from vlmine_dagster.scoring.neighbours import neighbour_scores

    wanted = run.project.settings.asked_signals("neighbour_scores", variant=run.variant)
    seed_and_pool = SeedAndPool(run, is_described=False)
    rows = neighbour_scores(run, seed_and_pool, wanted)
    facts = {"scored": rows.num_rows, "labelled seed images": len(seed_and_pool.labels), "signals": ", ".join(wanted)}
    return Product(rows, facts)
