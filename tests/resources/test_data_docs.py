"""Great Expectations' own project under the home: what is kept, who can open it, and what its pages load."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import great_expectations as gx
import pyarrow as pa
import pytest

from vlmine_dagster.domain.tables import VOCAB_COUNTS
from vlmine_dagster.resources.data_docs import Archive, build_index
from vlmine_dagster.resources.expectations import failed_critically, validate


def counts(row_count: int = 300, **columns):
    good = {
        "keyword": [f"word{k}" for k in range(row_count)],
        "image_count": list(range(1, row_count + 1)),
        "image_share": [0.5] * row_count,
        "unit_count": list(range(1, row_count + 1)),
    }
    return pa.table({**good, **columns}, schema=VOCAB_COUNTS.schema)


def results(home: Path) -> dict[tuple[str, ...], object]:
    store = gx.get_context(mode="file", project_root_dir=home).validation_results_store
    return {key.to_tuple(): store.get(key) for key in store.list_keys()}


def test_a_finding_says_how_many_rows_it_evaluated():
    findings = validate("vocab_counts", counts())
    assert {(finding.row_count, finding.evaluated_count) for finding in findings} == {(300, 2)}
    assert findings[0].coverage == "evaluated on 2 of 300 rows, which decide for all"

    broken = validate("vocab_counts", counts(image_share=[1.5] + [0.5] * 299))
    assert {(finding.row_count, finding.evaluated_count) for finding in broken} == {(300, 300)}
    assert broken[0].coverage == "evaluated on all 300 rows"


def test_great_expectations_opens_the_suite_and_the_result(tmp_path):
    validate("vocab_counts", counts(), archive=Archive(tmp_path, "pool", run_id="run-7"))

    suite = gx.get_context(mode="file", project_root_dir=tmp_path).suites.get("vocab_counts")
    assert {one.expectation_type for one in suite.expectations} == {
        "expect_column_values_to_not_be_null",
        "expect_column_values_to_be_between",
        "expect_column_values_to_be_unique",
    }
    ((key, result),) = results(tmp_path).items()
    assert (key[0], key[1], key[3]) == ("vocab_counts", "pool", "default")
    assert result.success
    spec = result.meta["batch_spec"]
    assert (spec["rows in the table"], spec["rows evaluated"], spec["Dagster run"]) == (300, 2, "run-7")
    assert spec["evaluated"] == "the rows with the extreme values, which decide for all rows"
    assert "analytics_enabled: false" in (tmp_path / "gx/great_expectations.yml").read_text()


def test_of_a_partition_the_latest_result_is_kept_and_others_stay(tmp_path):
    for partition in ("shard/a", "shard~a", "shard/a"):
        validate("vocab_counts", counts(), archive=Archive(tmp_path, partition))
    validate("vocab_counts", counts(image_count=[0] * 300), archive=Archive(tmp_path, "shard/a"))
    validate("vocab_counts", counts(), archive=Archive(tmp_path, "shard/a", variant="brief"))

    kept = {(key[1], key[3]): result.success for key, result in results(tmp_path).items()}
    assert kept == {("shard~a", "default"): False, ("shard~a", "brief"): True, ("shard%7Ea", "default"): True}
    assert len(list(tmp_path.rglob("validations/**/*.html"))) == 3


def test_a_table_validated_in_parts_keeps_each_part(tmp_path, monkeypatch):
    monkeypatch.setattr("vlmine_dagster.resources.expectations._ROWS_A_PART", 200)
    findings = validate("vocab_counts", counts(image_count=[0] * 300), archive=Archive(tmp_path, "pool"))

    assert {finding.evaluated_count for finding in findings} == {300}
    assert sorted(key[3] for key in results(tmp_path)) == ["default part 1", "default part 2"]

    validate("vocab_counts", counts(), archive=Archive(tmp_path, "pool"))
    assert [key[3] for key in results(tmp_path)] == ["default"]


def test_pages_are_written_at_once_and_load_nothing(tmp_path):
    rows = counts(keyword=["<script>alert(1)</script>"] * 300)
    (broken,) = failed_critically(validate("vocab_counts", rows, archive=Archive(tmp_path, "pool")))

    page = Path(broken.page_path)
    assert "Failed" in page.read_text()
    index = build_index(tmp_path)
    assert index is not None
    pages = [path.read_text() for path in page.parents[4].rglob("*.html")]
    assert len(pages) == 3
    for text in pages:
        assert not re.search(r"<script|<iframe|@import|url\(|(src|srcset)=", text)
        assert not re.search(r"<link[^>]*href", text)
        assert "default-src 'none'" in text
    links = re.findall(r'href="([^"#]+)"', Path(unquote(index.removeprefix("file://"))).read_text())
    assert {(page.parents[4] / link).is_file() for link in links} == {True}


def test_a_home_without_results_has_no_index(tmp_path):
    assert build_index(tmp_path) is None


@pytest.mark.slow
def test_two_processes_keep_their_results_in_one_home(tmp_path):
    code = """if True:
        import sys
        from pathlib import Path
        from test_data_docs import counts, Archive, validate
        for k in range(5):
            validate("vocab_counts", counts(), archive=Archive(Path(sys.argv[1]), f"{sys.argv[2]}-{k}"))
    """
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name], cwd=Path(__file__).parent)
        for name in ("a", "b")
    ]
    assert [process.wait() for process in running] == [0, 0]
    build_index(tmp_path)

    assert sorted(key[1] for key in results(tmp_path)) == [f"{name}-{k}" for name in "ab" for k in range(5)]
    index = (tmp_path / "gx/uncommitted/data_docs/local_site/index.html").read_text()
    assert all(f"<td>{name}-{k}</td>" in index for name in "ab" for k in range(5))
