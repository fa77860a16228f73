"""Stage `vocab_counts`: in how many images of the whole pool each keyword occurs."""

from typing import Any

import pyarrow as pa

from vlmine_dagster.engine.checks import VARIANT_CHECK
from vlmine_dagster.engine.facts import table_fact
from vlmine_dagster.engine.stages import Product, StageRun
from vlmine_dagster.mining.advice import Advice, keyword_advice
from vlmine_dagster.scoring.vocabulary import count_vocabulary, vocabulary_drift


def compute(run: StageRun) -> Product:
    """Count the keywords of the pool exactly, and judge whether they capture it."""
    vocabulary = count_vocabulary(run)
    facts = {name: value for name, value in vars(vocabulary.health).items() if value is not None}
    return Product(
        vocabulary.counts,
        {**facts, "shards": f"{len(run.shards)} used", "commonest and rarest": table_fact(_preview(vocabulary.counts))},
        advice={
            "keywords_capture_the_pool": keyword_advice(vocabulary.health),
            "no_drift": vocabulary_drift(run, vocabulary.counts),
            VARIANT_CHECK: Advice(True, "all shards were described and keyworded alike"),
        },
    )


def _preview(rows: pa.Table) -> list[dict[str, Any]]:
    shown = [*rows.slice(0, 10).to_pylist(), *rows.slice(max(rows.num_rows - 10, 10)).to_pylist()]
    return [{"keyword": row["keyword"], "images": row["image_count"]} for row in shown]
