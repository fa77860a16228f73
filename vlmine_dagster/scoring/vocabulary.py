"""The columns of `vocab_counts`: in how many images of the whole pool each keyword occurs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.domain.counting import COUNTED, CountedUnit, counted
from vlmine_dagster.domain.errors import MissingInputError, MixedVariantsError
from vlmine_dagster.domain.hints import close_to
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.tables import VOCAB_COUNTS, Outcome
from vlmine_dagster.mining.advice import Advice, drift_advice, keyword_advice
from vlmine_dagster.mining.vocabulary import VocabularyHealth, vocabulary_health
from vlmine_dagster.scoring.copies import group_near_duplicates, uncounted_copies
from vlmine_dagster.scoring.reading import Reader

if TYPE_CHECKING:
    import duckdb

_WATCHED = 200  # keywords by which shards are compared
# Failures say nothing about a pool. Outcome ok means keywords, each once per image: so images are counted here, and
# their keywords need no DISTINCT, which would hold every image id. Other units are grouped first, which can spill.
_IMAGES = """SELECT count(*) FILTER (outcome = 'ok'), count(*) FROM keyword_answers {once} {kept}
             WHERE outcome IN ('ok', 'empty')"""
_BY_IMAGE = "SELECT keyword, count(*) AS image_count, count(*) AS unit_count FROM {words} GROUP BY keyword"
_BY_UNIT = """SELECT keyword, sum(image_count)::BIGINT AS image_count,
                     sum(CASE WHEN unit IS NULL THEN image_count ELSE 1 END)::BIGINT AS unit_count
              FROM (SELECT keyword, {key} AS unit, count(*) AS image_count
                    FROM {words} JOIN items units USING (image_id) GROUP BY ALL)
              GROUP BY keyword"""
# Near-duplicates are one image, which has all their keywords; only these are grouped.
_WEIGHTS = "SELECT image_id, sum(weight) AS weight FROM keywords JOIN weighed USING (keyword) GROUP BY image_id"
_ONE_OF_NEAR = """(SELECT image_id, keyword FROM keywords {once} ANTI JOIN grouped USING (image_id) UNION ALL
                   SELECT min(image_id), keyword FROM keywords {once} JOIN grouped USING (image_id)
                   GROUP BY kept_id, keyword) once"""
_COUNTS = """SELECT keyword, image_count, image_count / $images AS image_share, unit_count FROM ({counted})
             ORDER BY unit_count DESC, keyword"""


@dataclass(frozen=True)
class Vocabulary:
    """The keywords of a pool.

    Attributes:
        counts: Rows of `vocab_counts`, the commonest keyword first.
        health: What the vocabulary looks like.
    """

    counts: pa.Table
    health: VocabularyHealth


def count_vocabulary(reader: Reader, unit: CountedUnit = COUNTED["image"]) -> Vocabulary:
    """Count the keywords of the pool exactly; images of the same bytes are one image.

    Args:
        reader: Reads `keywords` (image_id, keyword, variant_hash), `keyword_answers` (image_id, outcome) and `items`
            (image_id, sha256, split, outcome, and the columns of the unit that `count_by` names).
        unit: What counts once per keyword.

    Raises:
        MixedVariantsError: shards were described or keyworded in different ways.
        MissingInputError: no image has a keyword.
    """
    with reader.connect("keywords", "keyword_answers", ITEMS) as connection:
        hashes = connection.sql("SELECT variant_hash FROM keywords GROUP BY 1 ORDER BY count(*) DESC").fetchall()
        if len(hashes) > 1:
            raise _mixed(reader, [row[0] for row in hashes])
        words, images, described = counted_words(reader, connection)
        counted = (_BY_IMAGE if unit.column is None else _BY_UNIT).format(words=words, key=unit.key_in("units"))
        query = _COUNTS.format(counted=counted)
        rows = connection.sql(query, params={"images": max(images, 1)}).to_arrow_table()
    if rows.num_rows == 0:
        raise MissingInputError(
            "vocab_counts: no image of the pool has a keyword. Look at the descriptions; with keyworder `rules` they "
            "must be in the language that it names."
        )
    health = vocabulary_health(_by_keyword(rows), image_count=described, images_with_keywords=images)
    return Vocabulary(rows.cast(VOCAB_COUNTS.schema), health)


def counted_words(reader: Reader, connection: "duckdb.DuckDBPyConnection") -> tuple[str, int, int]:
    """Return where keywords are counted, as SQL; the images with keywords; and the described images.

    Args:
        reader: Reads `duplicates`, if near ones count as one.
        connection: Views `keywords` (image_id, keyword), `keyword_answers` (image_id, outcome) and `items` (image_id,
            sha256, split, outcome). Of images with the same bytes, or of near ones, one is counted.
    """
    copies = uncounted_copies(reader, connection)
    connection.register("copies", copies)
    once = "ANTI JOIN copies USING (image_id)" if copies.num_rows else ""
    words, kept = f"keywords {once}", ""
    if group_near_duplicates(reader, connection):
        words, kept = _ONE_OF_NEAR.format(once=once), "ANTI JOIN near USING (image_id)"
    images, described = connection.sql(_IMAGES.format(once=once, kept=kept)).fetchall()[0]
    return words, images, described


def keyword_weights(
    reader: Reader, image_ids: pa.Array | pa.ChunkedArray, weights: Mapping[str, float]
) -> npt.NDArray[np.float64]:
    """Return the sum of the weights of each image's keywords, shape (N,); 0 where it has none of them.

    Args:
        reader: Reads `keywords` (image_id, keyword).
        image_ids: N ids.
        weights: Weight by keyword.
    """
    with reader.connect("keywords") as connection:
        names, values = pa.array(weights.keys(), pa.string()), pa.array(weights.values(), pa.float64())
        connection.register("weighed", pa.table({"keyword": names, "weight": values}))
        rows = connection.sql(_WEIGHTS).to_arrow_table()
    places = pc.index_in(image_ids, rows.column("image_id"))
    return np.asarray(pc.fill_null(rows.column("weight").take(places), 0.0).to_numpy())


def absent_keywords(listed: Sequence[str], known: Collection[str], *, where: str) -> list[str]:
    """Return a sentence for each keyword that somebody lists and no image has, which is perhaps a slip.

    Args:
        listed: The keywords that are listed.
        known: All that images have.
        where: Where they are listed.

    Examples:
        >>> absent_keywords(["website", "menu"], ["web site", "menu"], where="out_of_domain")
        ["out_of_domain: no image has the keyword 'website' (did you mean 'web site'?)"]
    """
    there = set(known)
    absent = [name for name in listed if name not in there]
    return [f"{where}: no image has the keyword {name!r}{close_to(name, known)}" for name in absent]


def commonest_and_rarest(counts: pa.Table, shown: int = 10) -> list[dict[str, Any]]:
    """Return the first and the last keywords of `vocab_counts`, for people."""
    rows = [*counts.slice(0, shown).to_pylist(), *counts.slice(max(counts.num_rows - shown, shown)).to_pylist()]
    return [{"keyword": row["keyword"], "images": row["image_count"]} for row in rows]


def published_health(counts: pa.Table) -> VocabularyHealth:
    """Return what a published vocabulary looks like; images without keywords are not known here, and count as none.

    Args:
        counts: Rows of `vocab_counts` (keyword, image_count, image_share), at least one.
    """
    first = counts.slice(0, 1).to_pylist()[0]
    images = round(first["image_count"] / first["image_share"])
    return vocabulary_health(_by_keyword(counts), image_count=images, images_with_keywords=images)


def keyword_trouble(counts: pa.Table) -> str | None:
    """Return why rarity by keywords means little in a pool and what to do, None where all is well.

    Args:
        counts: Rows of `vocab_counts` (keyword, image_count, image_share).
    """
    if not counts.num_rows:
        return None
    advice = keyword_advice(published_health(counts))
    return None if advice.is_met else f"The keywords do not capture this pool: {advice.text}."


def unit_counts(reader: Reader) -> dict[str, int]:
    """Return how many images, or other units of `count_by`, have each keyword over the whole pool, as published."""
    return _by_keyword(reader.read("vocab_counts", ["keyword", "unit_count"]), "unit_count")


def _by_keyword(counts: pa.Table, column: str = "image_count") -> dict[str, int]:
    return dict(zip(counts.column("keyword").to_pylist(), counts.column(column).to_pylist(), strict=True))


def vocabulary_drift(reader: Reader, counts: pa.Table) -> Advice:
    """Compare how often each shard and all others have the commonest keywords.

    Args:
        reader: Reads `keywords` (keyword) and `keyword_answers` (outcome).
        counts: Rows of `vocab_counts`, the commonest keyword first.
    """
    watched = counts.column("keyword").slice(0, _WATCHED).combine_chunks()
    by_shard = [_watched_counts(reader, shard, watched) for shard in reader.shards]
    answers = [reader.read("keyword_answers", ["outcome"], partitions=[shard]) for shard in reader.shards]
    sizes = [pc.sum(pc.equal(rows.column("outcome"), Outcome.OK.value)).as_py() or 0 for rows in answers]
    return drift_advice(
        np.array(by_shard, dtype=np.float64).reshape(len(reader.shards), len(watched)),
        list(reader.shards),
        watched.to_pylist(),
        np.array(sizes, dtype=np.float64),
    )


def _watched_counts(reader: Reader, shard: str, watched: pa.StringArray) -> npt.NDArray[np.int64]:
    """Return in how many images of a shard each watched keyword occurs."""
    words = reader.read("keywords", ["keyword"], partitions=[shard]).column("keyword")
    places = pc.drop_null(pc.index_in(words, value_set=watched)).to_numpy()
    return np.bincount(places, minlength=len(watched))


def _mixed(reader: Reader, hashes: Sequence[str]) -> MixedVariantsError:
    """Name the shards that were not made like most of the pool."""
    odd = []
    for shard in reader.shards:
        variants = reader.read("keywords", ["variant_hash"], partitions=[shard]).column("variant_hash")
        if set(variants.unique().to_pylist()) - {hashes[0]}:
            odd.append(shard)
    return MixedVariantsError(
        f"vocab_counts: {len(hashes)} ways to describe or keyword are mixed in this pool ({', '.join(hashes)}); "
        f"vlmine.yaml may have changed during a run. Run `vlmine run`, or materialize descriptions and keywords again "
        f"for {counted(len(odd), 'shard')}: {', '.join(odd[:10])}{' ...' if len(odd) > 10 else ''}."
    )
