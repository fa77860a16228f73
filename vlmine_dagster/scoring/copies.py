"""Images whose bytes another image has too, or which show its picture: they are counted once and listed once."""

from typing import TYPE_CHECKING

import pyarrow as pa

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.scoring.reading import Reader

if TYPE_CHECKING:
    import duckdb

# Hashes of 64 bits find the candidates in little memory; among these the whole SHA-256 decides.
_SHARED = """SELECT hash(sha256) AS h FROM items WHERE outcome = 'ok' GROUP BY 1 HAVING count(*) > 1"""
_RANKED = f"""
    SELECT image_id, split,
           first_value(image_id) OVER same AS kept_id,
           row_number() OVER same > 1 AS is_copy
    FROM (SELECT image_id, split, sha256 FROM items SEMI JOIN ({_SHARED}) shared ON hash(sha256) = shared.h
          WHERE outcome = 'ok')
    LEFT JOIN keyword_answers USING (image_id)
    WINDOW same AS (PARTITION BY sha256 ORDER BY {{preferred}}
                    keyword_answers.outcome IS NOT DISTINCT FROM 'ok' DESC, image_id
                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)"""  # noqa: S608 - our own text

# A near-duplicate of an image that cannot be mined, since its description failed, stays: it can be.
_NEAR = """
    SELECT image_id, kept_id FROM duplicates WHERE kept_id IN (
        SELECT image_id FROM items LEFT JOIN keyword_answers USING (image_id)
        WHERE split <> 'pool' OR keyword_answers.outcome IN ('ok', 'empty'))"""


def uncounted_copies(reader: Reader, connection: "duckdb.DuckDBPyConnection") -> pa.Table:
    """Return the images that are not counted, since another of the same bytes is.

    Args:
        reader: Its project says whether every file counts.
        connection: Views `items` (image_id, sha256, split, outcome) and `keyword_answers` (image_id, outcome).

    Returns:
        Column `image_id`. Of the same bytes one image remains: one that has keywords, the first by its id.
    """
    if reader.project.settings.dedupe == "off":
        return _nothing("image_id")
    ranked = _RANKED.format(preferred="")
    return connection.sql(f"SELECT image_id FROM ({ranked}) WHERE is_copy").to_arrow_table()  # noqa: S608 - our own text


def unlisted_copies(reader: Reader) -> pa.Table:
    """Return the images of the pool that are not listed, since another of the same bytes is, or has a split already.

    Args:
        reader: Reads `items` (image_id, sha256, split, outcome) and `keyword_answers` (image_id, outcome).

    Returns:
        Columns `image_id` and `kept_id`: the image that stands for it. What is labelled or judges comes before what can
        be mined: the same bytes are not labelled twice, and no test image is mined under another name.
    """
    if reader.project.settings.dedupe == "off":
        return _nothing("image_id", "kept_id")
    ranked = _RANKED.format(preferred="split = 'pool',")
    with reader.connect(ITEMS, "keyword_answers") as connection:
        return connection.sql(
            f"SELECT image_id, kept_id FROM ({ranked}) WHERE is_copy AND split = 'pool'"  # noqa: S608 - our own text
        ).to_arrow_table()


def group_near_duplicates(reader: Reader, connection: "duckdb.DuckDBPyConnection") -> bool:
    """Make views of the near-duplicates that count as one image; return whether there are any.

    Args:
        reader: Reads `duplicates` (image_id, kept_id), if near ones count as one.
        connection: View `keyword_answers` (image_id, outcome). It gets `grouped` (image_id, kept_id), all images of
            groups with the one that stands for them, and `near` (image_id), those for which another described one does.
    """
    if not reader.needs("duplicates"):
        return False
    pairs = reader.read("duplicates", ["image_id", "kept_id"])
    connection.register("pairs", pairs)
    connection.sql(
        """CREATE TEMP VIEW grouped AS SELECT image_id, kept_id FROM pairs UNION SELECT kept_id, kept_id FROM pairs;
           CREATE TEMP VIEW near AS SELECT image_id FROM pairs
           WHERE kept_id IN (SELECT image_id FROM keyword_answers WHERE outcome IN ('ok', 'empty'))"""
    )
    return bool(pairs.num_rows)


def unlisted_duplicates(reader: Reader) -> pa.Table:
    """Return what `unlisted_copies` does, and with `dedupe: near` images of the same picture too.

    Args:
        reader: Reads what that does, and `duplicates` (image_id, kept_id), if near ones count as one.

    Returns:
        Columns `image_id`, `kept_id` and `is_near`, whether their bytes differ. Nobody in `kept_id` is left out itself.
    """
    copies = unlisted_copies(reader)
    rows = dict(zip(copies.column("image_id").to_pylist(), copies.column("kept_id").to_pylist(), strict=True))
    near: dict[str, str] = {}
    if reader.needs("duplicates"):
        with reader.connect("duplicates", "keyword_answers", ITEMS) as connection:
            near = {name: kept for name, kept in connection.sql(_NEAR).fetchall() if name not in rows}
    stands = {**rows, **near}
    kept_ids = [_end_of(name, stands) for name in stands]
    return pa.table(
        {
            "image_id": pa.array(stands, pa.string()),
            "kept_id": pa.array(kept_ids, pa.string()),
            "is_near": pa.array([name in near for name in stands], pa.bool_()),
        }
    ).filter(pa.array([name != kept for name, kept in zip(stands, kept_ids, strict=True)], pa.bool_()))


def _end_of(name: str, stands: dict[str, str]) -> str:
    """Return who stands for an image in the end; of a circle the first by id."""
    seen = [name]
    while (following := stands.get(seen[-1])) is not None:
        if following in seen:
            return min(seen[seen.index(following) :])
        seen.append(following)
    return seen[-1]


def similar_note(count: int) -> str:
    """Return what a list says of an image that stands for near-duplicates, "" if it stands for none.

    Examples:
        >>> similar_note(7), similar_note(0)
        (' · +7 similar', '')
    """
    return f" · +{count:,} similar" if count else ""


def copies_note(count: int) -> str:
    """Return what a list says of an image that stands for others, "" if it stands for none.

    Examples:
        >>> copies_note(7), copies_note(1), copies_note(0)
        (' · +7 copies', ' · +1 copy', '')
    """
    return f" · +{count:,} cop{'y' if count == 1 else 'ies'}" if count else ""


def _nothing(*columns: str) -> pa.Table:
    return pa.table({name: pa.array([], pa.string()) for name in columns})
