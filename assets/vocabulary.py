"""Stage `vocab_counts`: in how many images of the whole pool each keyword occurs."""

from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa

from assets.stages import Product, Reads, Stage, StageRun
from vlmine_dagster.errors import MissingInputError, MixedVariantsError
from vlmine_dagster.mining.vocabulary import vocabulary_health
from vlmine_dagster.tables import VOCAB_COUNTS


def compute(run: StageRun) -> Product:
    """How many images of the whole pool yield each keyword, counted exactly by DuckDB over all shards.

    A row is a keyword. Refuses a pool whose shards were described or keyworded in different ways.
    """
    with run.connect("keywords", "descriptions") as connection:
        _refuse_mixed(connection)
        images = connection.sql("SELECT count(DISTINCT image_id) FROM keywords").fetchone() or (0,)
        described = connection.sql("SELECT count(*) FROM descriptions WHERE outcome = 'ok'").fetchone() or (0,)
        rows = connection.sql(
            """SELECT keyword, count(*) AS image_count, count(*) / $images AS image_share
               FROM keywords GROUP BY keyword ORDER BY image_count DESC, keyword""",
            params={"images": max(images[0], 1)},
        ).to_arrow_table()
    if rows.num_rows == 0:
        raise MissingInputError(
            "vocab_counts: no image of the pool has a keyword. Look at the descriptions; with keyworder `rules` they "
            "must be in the language that it names."
        )
    counts = dict(zip(rows.column("keyword").to_pylist(), rows.column("image_count").to_pylist(), strict=True))
    health = vocabulary_health(counts, image_count=described[0], images_with_keywords=images[0])
    facts = {name: value for name, value in vars(health).items() if value is not None}
    return Product(
        rows.cast(VOCAB_COUNTS.schema),
        {**facts, "shards": f"{len(run.shards)} used", "commonest and rarest": _preview(rows)},
    )


def _refuse_mixed(connection: duckdb.DuckDBPyConnection) -> None:
    """Refuse a pool with more than one variant hash, naming shards of the smaller parties."""
    parties = connection.sql(
        """SELECT variant_hash, list(DISTINCT shard ORDER BY shard) AS shards, count(*) AS keywords
           FROM (SELECT variant_hash, regexp_extract(image_id, '^(.*)/', 1) AS shard FROM keywords)
           GROUP BY variant_hash ORDER BY keywords DESC"""
    ).fetchall()
    if len(parties) > 1:
        shards = sorted({shard for _, found, _ in parties[1:] for shard in found})
        raise MixedVariantsError(
            f"vocab_counts: {len(parties)} ways to describe or keyword are mixed in this pool "
            f"({', '.join(party[0] for party in parties)}). Materialize descriptions and keywords again for: "
            f"{', '.join(shards[:10])}{' ...' if len(shards) > 10 else ''}."
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
    reads=(Reads("keywords", ("image_id", "keyword", "variant_hash")), Reads("descriptions", ("image_id", "outcome"))),
    is_variant=True,
)
