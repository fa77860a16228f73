"""Stage `vocab_counts`: in how many images of the whole pool each keyword occurs."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.stages import Product, Reads, Stage, StageRun
from vlmine_dagster.errors import MissingInputError, MixedVariantsError
from vlmine_dagster.mining.vocabulary import vocabulary_health
from vlmine_dagster.tables import VOCAB_COUNTS

_DESCRIBED = "SELECT count(*) FROM keyword_answers WHERE outcome IN ('ok', 'empty')"  # failures say nothing of a pool


def compute(run: StageRun) -> Product:
    """How many images of the whole pool yield each keyword, counted exactly by DuckDB over all shards.

    A row is a keyword. Refuses a pool whose shards were described or keyworded in different ways.
    """
    with run.connect("keywords", "keyword_answers") as connection:
        hashes = connection.sql("SELECT variant_hash FROM keywords GROUP BY 1 ORDER BY count(*) DESC").fetchall()
        if len(hashes) > 1:
            raise _mixed(run, [row[0] for row in hashes])
        images = connection.sql("SELECT count(DISTINCT image_id) FROM keywords").fetchall()[0][0]
        described = connection.sql(_DESCRIBED).fetchall()[0][0]
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
        {**facts, "shards": f"{len(run.shards)} used", "commonest and rarest": _preview(rows)},
    )


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


def _preview(rows: pa.Table) -> Any:
    shown = [*rows.slice(0, 10).to_pylist(), *rows.slice(max(rows.num_rows - 10, 10)).to_pylist()]
    lines = [f"| {row['keyword'].replace('|', ' ')} | {row['image_count']} |" for row in shown]
    return dg.MetadataValue.md("\n".join(["| keyword | images |", "| --- | ---: |", *lines]))


STAGE = Stage(
    table="vocab_counts",
    group="score",
    kinds=frozenset({"duckdb", "parquet"}),
    compute=compute,
    reads=(
        Reads("keywords", ("image_id", "keyword", "variant_hash")),
        Reads("keyword_answers", ("image_id", "outcome")),
    ),
    is_variant=True,
)
