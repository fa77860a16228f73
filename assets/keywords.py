"""Stage `keywords`: descriptions cut down to what they name."""

from typing import Any

from vlmine_dagster.engine.stage import ModelConfig, Part, Product, Reads, stage
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import settings_hash


def _pool(part: Part) -> str | None:
    return part.settings.variant(part.variant).keyworder.capabilities.pool


def _asks_model(part: Part) -> bool:
    return part.settings.variant(part.variant).keyworder.capabilities.asks_model


def _fingerprint(bench: Workbench, part: Part) -> list[Any]:
    from vlmine_dagster.describing.providers import keyworder_of

    return [keyworder_of(bench, part.variant).fingerprint]


@stage(
    "keywords",
    companions=("keyword_answers",),
    group="describe",
    kinds={"python", "parquet"},
    reads=[
        Reads("descriptions", ("image_id", "description", "tags", "outcome", "variant_hash")),
        Reads("shard_duplicates", ("image_id",), when=_asks_model, where=lambda settings: settings.describes_once),
    ],
    settings=lambda part: [part.settings.variant(part.variant).keyworder.results_depend_on()],
    fingerprints=_fingerprint,
    version=2,
    pool=_pool,
    config=ModelConfig,
)
def keywords(run: StageRun) -> Product:
    """The keywords of each described image of a shard, each once per image.

    One row per (image, keyword). Images whose description yields nothing have no row: they are unknown, not rare. What
    became of each, with tokens and price, is in the table `keyword_answers`.
    """
    from vlmine_dagster.engine.facts import endpoint_facts
    from vlmine_dagster.resources import extraction
    from vlmine_dagster.resources.intake import ASK_AGAIN, outcome_counts, refuse_failures
    from vlmine_dagster.resources.keyworders import ModelKeyworder

    keyworder, described = run.keyworder, run.read("descriptions")
    usable = extraction.usable_descriptions(described)
    taken_over = extraction.taken_over([one.image_id for one in usable], run)
    usable = [one for one in usable if one.image_id not in taken_over]
    digest = settings_hash(sorted(described.column("variant_hash").unique().to_pylist()), keyworder.fingerprint)
    found = extraction.extract(
        keyworder,
        usable,
        digest,
        progress=run.progress(len(usable), "descriptions"),
        is_failure_retried=run.is_failure_retried,
    )
    share = run.project.settings.dataset.max_failure_share
    where = f"keywords[{run.partition}]"
    refuse_failures(found.answers_without_empty, where=where, max_share=share, advice=ASK_AGAIN)
    answers = extraction.with_taken_over(found.answers, taken_over, digest)
    facts = {**found.facts(), "outcomes": outcome_counts(answers), "variant_hash": digest, **found.bill.facts()}
    if isinstance(keyworder, ModelKeyworder):
        facts |= {"asked": keyworder.model.label, "ran on": keyworder.model.where}
        facts |= endpoint_facts(keyworder.model, run.log)
    return Product(found.keywords, facts, companions={"keyword_answers": answers})
