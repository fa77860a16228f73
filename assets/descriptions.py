"""Stage `descriptions`: what the describer says about each image."""

from typing import Any

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.engine.stage import ModelConfig, Part, Product, Reads, stage
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.resources.workbench import Workbench


def _pool(part: Part) -> str | None:
    return part.settings.variant(part.variant).describer.capabilities.pool


def _reads_tags(part: Part) -> bool:
    return part.settings.variant(part.variant).describer.capabilities.reads == "encodings"


def _asks_model(part: Part) -> bool:
    return part.settings.variant(part.variant).describer.capabilities.asks_model


def _fingerprint(bench: Workbench, part: Part) -> list[Any]:
    from vlmine_dagster.describing.providers import describer_of
    from vlmine_dagster.describing.unseen_pool import unseen_mark
    from vlmine_dagster.resources.describers import ModelDescriber

    describer = describer_of(bench, part.variant)
    mark = unseen_mark(part.project, describer, part.partition) if isinstance(describer, ModelDescriber) else ""
    return [describer.fingerprint, *([mark] if mark else [])]


@stage(
    "descriptions",
    group="describe",
    kinds={"python", "parquet", "ai"},
    reads=[
        Reads(ITEMS, ("image_id", "sha256", "outcome", "split")),
        Reads("embeddings", ("image_id", "tag_probabilities"), when=_reads_tags),
        Reads("shard_duplicates", ("image_id",), when=_asks_model, where=lambda settings: settings.describes_once),
    ],
    settings=lambda part: [part.settings.variant(part.variant).describer.results_depend_on()],
    fingerprints=_fingerprint,
    is_extraction=True,
    pool=_pool,
    config=ModelConfig,
)
def descriptions(run: StageRun) -> Product:
    """One model answer about each readable image of a shard; images that judge models (splits val, test) are left out.

    One row per answer with its outcome, tokens, latency and price. Only `ok` answers go on. With `dedupe: near` a model
    is asked about one image of each picture; the others are `taken_over`.
    """
    from vlmine_dagster.describing.unseen import failures_when_seen, feature_reader, without_unseen
    from vlmine_dagster.engine.facts import endpoint_facts, table_fact
    from vlmine_dagster.resources import extraction
    from vlmine_dagster.resources.describers import ModelDescriber
    from vlmine_dagster.resources.intake import ASK_AGAIN, outcome_counts, refuse_failures
    from vlmine_dagster.scoring.vectors import vectors_by_id

    describer, previous = run.describer, run.previous()
    images = extraction.described_images(run.read(ITEMS))
    taken_over = extraction.taken_over(images, run)
    wanted = {name: digest for name, digest in images.items() if name not in taken_over}
    if isinstance(describer, ModelDescriber) and previous is not None and previous.is_of_same_inputs:
        # answers that were pruned from the cache cost nothing again
        describer.restore(list(extraction.kept_replies(previous.read(), describer.fingerprint, wanted)))
    progress = run.progress(len(wanted))
    reads = run.project.settings.variant(run.variant).describer.capabilities.reads
    load = extraction.loader(
        reads, run.requests, run.partition, lambda: vectors_by_id(run.read("embeddings"), "tag_probabilities")
    )
    rows, bill = extraction.describe(
        describer, wanted, load, progress=progress, is_failure_retried=run.is_failure_retried
    )
    pixels = run.project.settings.dataset.max_pixels
    if isinstance(describer, ModelDescriber):
        features = feature_reader(run.encoder, run.encoder_inputs, [run.partition], max_pixels=pixels)
        rows = without_unseen(describer, rows, wanted, features, shard=run.partition, log=run.log)
    rows = extraction.with_taken_over(rows, taken_over, describer.fingerprint)
    share = run.project.settings.dataset.max_failure_share
    refuse_failures(failures_when_seen(rows), where=f"descriptions[{run.partition}]", max_share=share, advice=ASK_AGAIN)
    facts = {"outcomes": outcome_counts(rows), "images/s": progress.rate, **bill.facts()}
    facts["preview"] = table_fact(extraction.preview(rows))
    if isinstance(describer, ModelDescriber):
        facts |= {"asked": describer.model.label, "ran on": describer.model.where}
        facts |= endpoint_facts(describer.model, run.log)
    return Product(rows, facts)
