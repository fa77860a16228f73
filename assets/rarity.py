"""Stage `rarity_scores`: what the labelled set, the names of classes and the tags say about rarity."""

from vlmine_dagster.engine.stages import Product, StageRun
from vlmine_dagster.scoring.evidence import SeedAndPool
from vlmine_dagster.scoring.labelled import labelled_when_mined
from vlmine_dagster.scoring.rarity import naming_of, rarity_scores


def compute(run: StageRun) -> Product:
    """Join what the labelled set, the tags and the neighbourhood say about each image of the pool."""
    known = SeedAndPool(run)
    labels = run.bench.labels
    is_mined = labelled_when_mined(labels, known.seed_ids, run.shards)
    naming = naming_of(run.project, labels, run.bench.encoder.classes, run.variant)
    scratch = run.project.state_folder("scratch")
    rows = rarity_scores(run, known, naming=naming, is_mined=is_mined, scratch=scratch)
    facts = {"labelled by chance": int((~is_mined).sum()), "labelled when mined": int(is_mined.sum())}
    return Product(rows, {**facts, "scored": rows.num_rows})
