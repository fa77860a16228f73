"""Stage `vocab_counts`: in how many images of the whole pool each keyword occurs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from vlmine_dagster.domain.errors import MissingInputError, MixedVariantsError
from vlmine_dagster.domain.tables import VOCAB_COUNTS
from vlmine_dagster.engine.checks import VARIANT_CHECK
from vlmine_dagster.engine.facts import table_fact
from vlmine_dagster.engine.stages import Product, StageRun
from vlmine_dagster.mining.advice import Advice, drift_advice, keyword_advice
from vlmine_dagster.mining.vocabulary import vocabulary_health

_WATCHED = 200  # keywords by which shards are compared
# Failures say nothing of a pool. Outcome ok means keywords, each once an image: so images are counted here, and their
# keywords need no DISTINCT, which would hold every image id.
_IMAGES = """SELECT count(*) FILTER (outcome = 'ok'), count(*) FROM keyword_answers WHERE outcome IN ('ok', 'empty')"""


def compute(run: StageRun) -> Product:
    """Count the keywords of the pool exactly, and judge whether they capture it."""
    with run.connect("keywords", "keyword_answers") as connection:
        hashes = connection.sql("SELECT variant_hash FROM keywords GROUP BY 1 ORDER BY count(*) DESC").fetchall()
        if len(hashes) > 1:
            raise _mixed(run, [row[0] for row in hashes])
        images, described = connection.sql(_IMAGES).fetchall()[0]
        rows = connection.sql(
            """SELECT keyword, count(*) AS image_count, count(*) / $images AS image_share
               FROM keywords GROUP BY keyword ORDER BY image_count DESC, keyword""",
            params={"images": max(images, 1)},
        ).to_arrow_table()
    if rows.num_rows == 0:
        raise MissingInputError(
            "vocab_counts: no image of the pool has a keyword. Look at the descriptions; with keyworder `rules` they "
            "must be in the language that it names."
        )
    counts = dict(zip(rows.column("keyword").to_pylist(), rows.column("image_count").to_pylist(), strict=True))
    health = vocabulary_health(counts, image_count=described, images_with_keywords=images)
    facts = {name: value for name, value in vars(health).items() if value is not None}
    return Product(
        rows.cast(VOCAB_COUNTS.schema),
        {**facts, "shards": f"{len(run.shards)} used", "commonest and rarest": table_fact(_preview(rows))},
        advice={
            "keywords_capture_the_pool": keyword_advice(health),
            "no_drift": _drift(run, rows.column("keyword").slice(0, _WATCHED).to_pylist()),
            VARIANT_CHECK: Advice(True, "all shards were described and keyworded alike"),
        },
    )


def _drift(run: StageRun, words: Sequence[str]) -> Advice:
    """Compare how often each shard and all others have the commonest keywords."""
    shard_by_file = {
        table: run.lake.files(table, run.shards, variant=run.variant) for table in ("keywords", "keyword_answers")
    }
    keywords, answers = (run.lake.scan(list(files)) for files in shard_by_file.values())
    counts, sizes = np.zeros((len(run.shards), len(words))), np.zeros(len(run.shards))
    places = {shard: place for place, shard in enumerate(run.shards)}
    with run.lake.connect() as connection:
        connection.register("watched", pa.table({"keyword": words, "place": np.arange(len(words))}))
        query = f"SELECT filename, place, count(*) FROM {keywords} JOIN watched USING (keyword) GROUP BY ALL"  # noqa: S608 - our own paths, quoted
        for file, place, count in connection.execute(query).fetchall():
            counts[places[shard_by_file["keywords"][file]], place] = count
        query = f"SELECT filename, count(*) FROM {answers} WHERE outcome = 'ok' GROUP BY 1"  # noqa: S608
        for file, count in connection.execute(query).fetchall():
            sizes[places[shard_by_file["keyword_answers"][file]]] = count
    return drift_advice(counts, list(run.shards), words, sizes)


def _mixed(run: StageRun, hashes: Sequence[str]) -> MixedVariantsError:
    """Name the shards that were not made like most of the pool."""
    odd = []
    for shard in run.shards:
        found = run.lake.read("keywords", shard, columns=["variant_hash"], variant=run.variant)
        if set(found.column("variant_hash").unique().to_pylist()) - {hashes[0]}:
            odd.append(shard)
    return MixedVariantsError(
        f"vocab_counts: {len(hashes)} ways to describe or keyword are mixed in this pool ({', '.join(hashes)}). "
        f"Materialize descriptions and keywords again for {len(odd)} shards: "
        f"{', '.join(odd[:10])}{' ...' if len(odd) > 10 else ''}."
    )


def _preview(rows: pa.Table) -> list[dict[str, Any]]:
    shown = [*rows.slice(0, 10).to_pylist(), *rows.slice(max(rows.num_rows - 10, 10)).to_pylist()]
    return [{"keyword": row["keyword"], "images": row["image_count"]} for row in shown]
