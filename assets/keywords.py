"""Stage `keywords`: descriptions cut down to what they name."""

from typing import Any

import pyarrow as pa

from vlmine_dagster.describing.providers import keyworder_of
from vlmine_dagster.domain.tables import KEYWORD_ANSWERS, KEYWORDS, Outcome
from vlmine_dagster.engine.catalog import DESCRIPTION_COLUMNS
from vlmine_dagster.engine.stages import Product, StageRun
from vlmine_dagster.resources.describers import Description, Tag
from vlmine_dagster.resources.intake import ASK_AGAIN, outcome_counts, refuse_failures
from vlmine_dagster.resources.keyworders import ModelKeyworder
from vlmine_dagster.resources.rows import Bill, RowBuffer, answer_row
from vlmine_dagster.settings import settings_hash


def compute(run: StageRun) -> Product:
    """Turn the descriptions of a shard into keywords, each once an image."""
    described = run.read("descriptions", list(DESCRIPTION_COLUMNS))
    usable = [_description(row) for row in described.to_pylist() if row["outcome"] == Outcome.OK]
    keyworder = keyworder_of(run.bench, run.variant)
    digest = settings_hash(sorted(described.column("variant_hash").unique().to_pylist()), keyworder.fingerprint)
    progress, bill = run.progress(len(usable), "descriptions"), Bill()
    words, answers = RowBuffer(KEYWORDS.schema), RowBuffer(KEYWORD_ANSWERS.schema)
    for answer in keyworder.extract(usable, is_failure_retried=run.is_failure_retried):
        for word in answer.keywords:
            words.add({"image_id": answer.image_id, "keyword": word, "variant_hash": digest})
        answers.add(answer_row(answer, digest))
        bill.add(answer)
        progress.add(1, str(bill))
    table = words.table().sort_by([("image_id", "ascending"), ("keyword", "ascending")])
    told = answers.table().sort_by("image_id")
    _refuse(run, told)
    counts = outcome_counts(told)
    facts = {
        "images described": told.num_rows,
        "images without keywords": told.num_rows - counts.get("ok", 0),
        "keywords an image": round(table.num_rows / told.num_rows, 2) if told.num_rows else 0.0,
        "outcomes": counts,
        "variant_hash": digest,
        **bill.facts(),
    }
    if isinstance(keyworder, ModelKeyworder):
        facts |= {"asked": keyworder.model.label, "ran on": keyworder.model.where}
    return Product(table, facts, companions={"keyword_answers": told})


def _refuse(run: StageRun, told: pa.Table) -> None:
    """Refuse a shard in which too many calls failed; a description that names nothing is no failed call."""
    empty = pa.compute.equal(told.column("outcome"), Outcome.EMPTY.value)
    share = run.project.settings.dataset.max_failure_share
    answered = told.set_column(
        told.column_names.index("failure"),
        "failure",
        pa.compute.if_else(empty, pa.scalar(None, pa.string()), told.column("failure")),
    )
    refuse_failures(answered, where=f"keywords[{run.partition}]", max_share=share, advice=ASK_AGAIN)


def _description(row: dict[str, Any]) -> Description:
    tags = None if row["tags"] is None else tuple(Tag(tag["tag"], tag["probability"]) for tag in row["tags"])
    return Description(row["image_id"], row["description"], tags)
