"""Stage `vocab_counts`: in how many images of the whole pool, or other units, each keyword occurs."""

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.engine.checks import VARIANT_CHECK
from vlmine_dagster.engine.stage import Part, Product, Reads, stage
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.mining.limits import MOST_DRIFT


def _asks_model(part: Part) -> bool:
    return part.settings.variant(part.variant).describer.capabilities.asks_model


@stage(
    "vocab_counts",
    group="score",
    kinds={"duckdb", "parquet"},
    reads=[
        Reads("keywords", ("image_id", "keyword", "variant_hash")),
        Reads("keyword_answers", ("image_id", "outcome")),
        Reads(ITEMS, ("image_id", "sha256", "split", "outcome")),
        Reads("descriptions", ("image_id", "description", "outcome"), when=_asks_model),
        Reads("duplicates", ("image_id", "kept_id"), when=lambda part: part.settings.dedupe == "near"),
        Reads(
            ITEMS,
            lambda part: part.settings.counted.columns,
            when=lambda part: bool(part.settings.counted.columns),
        ),
    ],
    settings=lambda part: [part.settings.counted.noun, *part.settings.counts_every_file],
    version=2,
    checks={
        "keywords_capture_the_pool": "Most images have several keywords, no keyword describes most images, and not "
        "nearly all keywords occur once: otherwise rarity means little.",
        "no_drift": f"No shard's keywords differ from the others' by more than chance and {MOST_DRIFT:.0%}.",
        VARIANT_CHECK: "All shards were described and keyworded in the same way; a mixed pool is not counted.",
    },
)
def vocab_counts(run: StageRun) -> Product:
    """How many images of the whole pool yield each keyword, counted exactly by DuckDB over all shards.

    One row per keyword. With `count_by: sequence` a keyword counts once per sequence in `unit_count`, of which rarity
    is made, however many of its frames show it. Refuses a pool whose shards were described or keyworded in different
    ways, and one whose pictures a model did not get: too many of a shard, or unlike images of many shards with the
    same answer.
    """
    from vlmine_dagster.engine.facts import table_fact
    from vlmine_dagster.mining.advice import Advice, keyword_advice
    from vlmine_dagster.scoring.vocabulary import commonest_and_rarest, count_vocabulary, vocabulary_drift

    if run.needs("descriptions"):
        _refuse_unseen(run)
    unit = run.project.settings.counted
    vocabulary = count_vocabulary(run, unit)
    shown = table_fact(commonest_and_rarest(vocabulary.counts))
    used = {"counted by": unit.noun, "shards": f"{len(run.shards)} used", "commonest and rarest": shown}
    return Product(
        vocabulary.counts,
        {**vocabulary.health.facts, **used},
        advice={
            "keywords_capture_the_pool": keyword_advice(vocabulary.health),
            "no_drift": vocabulary_drift(run, vocabulary.counts),
            VARIANT_CHECK: Advice(True, "all shards were described and keyworded in the same way"),
        },
    )


def _refuse_unseen(run: StageRun) -> None:
    from vlmine_dagster.describing.unseen import feature_reader
    from vlmine_dagster.describing.unseen_pool import refuse_unseen
    from vlmine_dagster.resources.describers import ModelDescriber
    from vlmine_dagster.scoring.shared_answers import refuse_unseen_shards, shared_answers

    refuse_unseen_shards(run, max_share=run.project.settings.dataset.max_failure_share)
    describer = run.describer
    shared = shared_answers(run)
    if shared and isinstance(describer, ModelDescriber):
        pixels = run.project.settings.dataset.max_pixels
        features = feature_reader(run.encoder, run.encoder_inputs, run.shards, max_pixels=pixels)
        refuse_unseen(shared, describer, features, project=run.project, shards=run.shards)
