import numpy as np
import pytest

from vlmine_dagster.resources.spill import ColumnSpill


def test_columns_come_back_in_the_order_in_which_rows_were_written(tmp_path):
    rows = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)

    with ColumnSpill(3, 50, tmp_path) as spill:
        for start in (0, 7, 30):
            spill.write(rows[start : {0: 7, 7: 30, 30: 50}[start]])
        found = np.column_stack(list(spill.columns()))

    assert np.array_equal(found, rows)
    assert list(tmp_path.iterdir()) == []


def test_the_file_goes_when_the_work_fails(tmp_path):
    with pytest.raises(ValueError, match="could not convert"), ColumnSpill(1, 2, tmp_path) as spill:
        spill.write(np.array([["no number"]]))

    assert list(tmp_path.iterdir()) == []


def test_without_columns_nothing_comes_back():
    with ColumnSpill(0, 5) as spill:
        spill.write(np.empty((5, 0)))
        assert list(spill.columns()) == []
