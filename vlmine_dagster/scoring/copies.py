"""Images whose bytes another image has too: they are counted once and listed once."""

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


def uncounted_copies(connection: "duckdb.DuckDBPyConnection") -> pa.Table:
    """Return the images that are not counted, since another of the same bytes is.

    Args:
        connection: Views `items` (image_id, sha256, split, outcome) and `keyword_answers` (image_id, outcome).

    Returns:
        Column `image_id`. Of the same bytes one image remains: one that has keywords, the first by its id.
    """
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
    ranked = _RANKED.format(preferred="split = 'pool',")
    with reader.connect(ITEMS, "keyword_answers") as connection:
        return connection.sql(
            f"SELECT image_id, kept_id FROM ({ranked}) WHERE is_copy AND split = 'pool'"  # noqa: S608 - our own text
        ).to_arrow_table()


def copies_note(count: int) -> str:
    """Return what a list says of an image that stands for others, "" if it stands for none.

    Examples:
        >>> copies_note(7), copies_note(1), copies_note(0)
        (' · +7 copies', ' · +1 copy', '')
    """
    return f" · +{count:,} cop{'y' if count == 1 else 'ies'}" if count else ""
