"""Homes are compared by what their tables hold."""

from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from conftest import plain_rows

from benchmarks.compare_homes import differences, main
from vlmine_dagster.domain.tables import TABLES, WHOLE_POOL
from vlmine_dagster.resources.lake import Lake


@pytest.fixture
def homes(tmp_path) -> tuple[Path, Path]:
    """Two homes with the same counts in another order."""
    for name, words in {"before": ["cat", "dog"], "after": ["dog", "cat"]}.items():
        counts = plain_rows(TABLES["vocab_counts"], keyword=words, image_count=[3, 3])
        Lake(str(tmp_path / name / "lake")).publish("vocab_counts", WHOLE_POOL, counts, inputs="")
    return tmp_path / "before", tmp_path / "after"


def test_equal_rows_in_another_order_are_no_difference(homes):
    done = CliRunner().invoke(main, [str(home) for home in homes])

    assert (done.exit_code, done.output) == (0, "1 files compared, 0 differences\n")


def test_another_value_a_lost_row_and_a_lost_table_are_told(homes):
    before, after = homes
    lake = Lake(str(after / "lake"))
    rows = lake.read("vocab_counts", WHOLE_POOL)
    lake.publish("vocab_counts", WHOLE_POOL, rows.set_column(1, "image_count", pa.array([3, 9])), inputs="")
    Lake(str(before / "lake")).publish("keywords", "a", plain_rows(TABLES["keywords"], keyword=["cat"]), inputs="")

    assert list(differences(before, after)) == [
        "keywords/a.parquet: only in the first",
        "vocab_counts/pool.parquet: image_count differs in 1 of 2 rows, such as [(3, 9)]",
    ]
    lake.publish("vocab_counts", WHOLE_POOL, rows.slice(1), inputs="")
    assert list(differences(before, after))[1:] == ["vocab_counts/pool.parquet: 2 rows and 1"]
    assert CliRunner().invoke(main, [str(before), str(after)]).exit_code == 1
