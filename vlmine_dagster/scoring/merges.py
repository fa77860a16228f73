"""The rows of `vocabulary`: merges of keywords with how often each is said."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from vlmine_dagster.domain.counting import LEFT_OUT
from vlmine_dagster.domain.tables import VOCABULARY
from vlmine_dagster.mining.advice import Advice, listed_advice
from vlmine_dagster.mining.merges import version_of
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.scoring.vocabulary_file import read_merges

if TYPE_CHECKING:
    import duckdb

_SAID = "SELECT keyword, count(*) FROM keywords GROUP BY keyword"


def said_counts(connection: "duckdb.DuckDBPyConnection") -> dict[str, int]:
    """Return in how many images each keyword is said, copies and near-duplicates too.

    Args:
        connection: View `keywords` (image_id, keyword).
    """
    return dict(connection.sql(_SAID).fetchall())


def vocabulary_rows(reader: Reader) -> tuple[pa.Table, Mapping[str, int]]:
    """Return the rows of `vocabulary`, and in how many images each keyword of the pool is said.

    Args:
        reader: Reads `keywords` (image_id, keyword) as they were said.

    Raises:
        ConfigError: a line of the file cannot be counted through.
    """
    merges = read_merges(reader.project.vocabulary_file)
    with reader.connect("keywords") as connection:
        image_counts = said_counts(connection)
    version = version_of(merges)
    rows = [
        {
            "keyword": one.keyword,
            "merged_into": one.merged_into,
            "image_count": image_counts.get(one.keyword, 0),
            "version": version,
        }
        for one in merges
    ]
    return pa.Table.from_pylist(rows, VOCABULARY.schema), image_counts


def unknown_words(rows: pa.Table, image_counts: Mapping[str, int]) -> Advice:
    """Tell which keywords of the vocabulary no image says: they may be misspelled, or of images that are gone."""
    words = dict.fromkeys([*rows.column("keyword").to_pylist(), *rows.column("merged_into").to_pylist()])
    return listed_advice(
        [word for word in words if word not in image_counts and word != LEFT_OUT],
        one="keyword of vocabulary.csv occurs in no image",
        several="keywords of vocabulary.csv occur in no image",
        good="every keyword of vocabulary.csv occurs in some image",
    )


def merged_words(reader: Reader, words: Sequence[str]) -> list[str]:
    """Return words as the vocabulary counts them, each once, without those that it leaves out.

    Where the project has no vocabulary, they are returned as they are.

    Args:
        reader: Reads `vocabulary` (keyword, merged_into), where there is one.
        words: Keywords of a text.
    """
    if not reader.needs(VOCABULARY.name):
        return list(words)
    rows = reader.read(VOCABULARY.name, ["keyword", "merged_into"])
    merges = dict(zip(rows.column("keyword").to_pylist(), rows.column("merged_into").to_pylist(), strict=True))
    counted = dict.fromkeys(merges.get(word, word) for word in words)
    return [word for word in counted if word != LEFT_OUT]
