"""Stage `rarity_scores`: what the labelled set, the names of classes and the tags say about rarity."""

from typing import Any

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.signals import SIGNALS, signals_of
from vlmine_dagster.engine.stage import ACCELERATOR_POOL, Part, Product, Reads, stage
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.resources.workbench import Workbench


def unless_asked(table: str, part: Part) -> str | None:
    """Return why a table of signals is not made: no experiment asks for any of them."""
    if part.settings.asked_signals(table, variant=part.variant):
        return None
    return f"no experiment of vlmine.yaml uses any of {', '.join(signals_of(SIGNALS, table))}"


def _few_under(part: Part) -> int | None:
    labels = part.settings.dataset.labels
    return None if labels is None else labels.few_under


def _is_unlabelled_asked(part: Part) -> bool:
    return "unlabelled_rarity" in part.settings.asked_signals("rarity_scores", variant=part.variant)


def _labels(bench: Workbench, _part: Part) -> list[Any]:
    return [None if bench.labels is None else bench.labels.fingerprint]


@stage(
    "rarity_scores",
    group="score",
    kinds={"pytorch", "duckdb", "parquet"},
    reads=[
        Reads(ITEMS, ("image_id", "label", "split", "outcome")),
        Reads(ITEMS, ("sequence_id",), when=lambda part: part.settings.dataset.has_sequences),
        Reads("embeddings", ("image_id", "embedding", "tag_probabilities")),
        Reads("keywords", ("image_id", "keyword")),
        Reads("keyword_answers", ("image_id", "outcome")),
        Reads("vocab_counts", ("keyword", "unit_count")),
    ],
    settings=lambda part: [_few_under(part), part.settings.neighbour_search, _is_unlabelled_asked(part)],
    fingerprints=_labels,
    skipped=lambda part: unless_asked("rarity_scores", part),
    is_on_demand=True,
    pool=ACCELERATOR_POOL,
    version=11,
)
def rarity_scores(run: StageRun) -> Product:
    """How rare each image of the pool may be, by more than its rarest keyword.

    One row per image that can be mined. From the labelled set and the names of classes: the probability that it is of a
    few-shot class, its place in the lists of rare classes, the class whose list it tops, and the value of its keywords;
    without labels these are empty. From tags and features: how few images look like it, how isolated it is among its
    neighbours, how rare what is seen in it is, and how much tags count in this pool. Higher is rarer in every number.
    """
    from vlmine_dagster.scoring.evidence import SeedAndPool
    from vlmine_dagster.scoring.labelled import labelled_when_mined
    from vlmine_dagster.scoring.names import naming_of
    from vlmine_dagster.scoring.rarity import rarity_scores
    from vlmine_dagster.scoring.sequences import sequences_of

    seed_and_pool = SeedAndPool(run)
    is_mined = labelled_when_mined(
        run.labels, seed_and_pool.seed_ids, run.shards, sequences=sequences_of(run, seed_and_pool.seed_ids)
    )
    naming = naming_of(run.project, run.labels, run.encoder.classes, run.variant)
    scratch = run.project.state_folder("scratch")
    asked = run.project.settings.asked_signals("rarity_scores", variant=run.variant)
    rows = rarity_scores(run, seed_and_pool, naming=naming, is_mined=is_mined, asked=asked, scratch=scratch)
    facts = {"labelled by chance": int((~is_mined).sum()), "labelled when mined": int(is_mined.sum())}
    return Product(rows, {**facts, "scored": rows.num_rows})
