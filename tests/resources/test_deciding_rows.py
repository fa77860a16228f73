import numpy as np
import pyarrow as pa
import pytest

from vlmine_dagster.domain.tables import IMAGES, KEYWORDS, NOVELTY_SCORES, TABLES
from vlmine_dagster.resources.deciding_rows import deciding_rows
from vlmine_dagster.resources.expectations import validate


def scores(count):
    draw = np.random.default_rng(count)
    counts = draw.integers(1, 1000, count)
    columns = {
        "image_id": [f"pool/{place}" for place in range(count)],
        "min_count": counts,
        "mean_count": counts * 1.5,
        "novelty_min": 1 / counts,
        "novelty_mean": 1 / (counts * 1.5),
        "rarest_keyword": [f"word{count}" for count in counts.tolist()],
    }
    return pa.table(columns, schema=NOVELTY_SCORES.schema)


def changed(rows, name, place, value):
    values = rows.column(name).to_pylist()
    values[place] = value
    return rows.set_column(rows.column_names.index(name), name, pa.array(values, rows.schema.field(name).type))


def test_a_few_rows_of_many_are_looked_at():
    rows = scores(5000)

    found = deciding_rows(NOVELTY_SCORES, rows)

    assert found.num_rows <= 8
    assert max(found.column("min_count").to_pylist()) == max(rows.column("min_count").to_pylist())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_count", 0),
        ("mean_count", float("nan")),
        ("mean_count", None),
        ("novelty_min", 1.5),
        ("novelty_mean", -0.1),
        ("novelty_mean", float("inf")),
        ("rarest_keyword", None),
        ("image_id", "pool/7"),
        ("image_id", None),
    ],
)
@pytest.mark.parametrize("place", [0, 250, 499])
def test_one_bad_row_is_found_wherever_it_stands(name, value, place):
    rows = changed(scores(500), name, place, value)

    broken = [finding for finding in validate("novelty_scores", rows) if not finding.is_met]

    assert [finding.rule.rpartition(" ")[2] for finding in broken] == [name]
    assert broken[0].broken_count == (2 if value == "pool/7" else 1)


def test_good_rows_are_not_looked_at_twice(monkeypatch):
    monkeypatch.setattr("vlmine_dagster.resources.expectations._parts", None)

    findings = validate("novelty_scores", scores(500))

    assert all(finding.is_met and finding.row_count == 500 for finding in findings)


def test_a_pair_of_columns_repeats_only_together():
    rows = pa.table({"image_id": list("aab"), "keyword": list("xyx"), "variant_hash": ["v"] * 3})
    assert deciding_rows(KEYWORDS, rows).num_rows == 0

    again = pa.table({"image_id": list("aaba"), "keyword": list("xyxy"), "variant_hash": ["v"] * 4})
    assert deciding_rows(KEYWORDS, again).column("image_id").to_pylist() == ["a", "a"]


def test_each_category_is_looked_at():
    rows = pa.table({"image_id": list("abcd"), "split": ["pool", "seed", "pool", "tset"], "outcome": ["ok"] * 4})

    assert deciding_rows(IMAGES, rows).column("split").to_pylist() == ["pool", "seed", "tset"]


@pytest.mark.parametrize("table", [name for name, contract in TABLES.items() if contract.opens_to is None])
def test_nothing_breaks_no_rule(table):
    assert all(finding.is_met for finding in validate(table, TABLES[table].schema.empty_table()))
