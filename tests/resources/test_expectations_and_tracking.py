import logging
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import great_expectations.expectations as gxe
import numpy as np
import pyarrow as pa
import pytest
from conftest import plain_rows

from vlmine_dagster.domain.errors import TrackingError
from vlmine_dagster.domain.tables import EMBEDDINGS, KEYWORD_ANSWERS, TABLES, VOCAB_COUNTS, Outcome
from vlmine_dagster.resources import expectations
from vlmine_dagster.resources.describers import Description
from vlmine_dagster.resources.expectations import failed_critically, summarize_findings, validate
from vlmine_dagster.resources.progress import Progress, Step, listening
from vlmine_dagster.resources.rows import Bill
from vlmine_dagster.resources.tracking import Source, Tracking
from vlmine_dagster.settings.plain_paths import plain_path


def counts(**columns):
    good = {"keyword": ["a", "b"], "image_count": [2, 1], "image_share": [1.0, 0.5], "unit_count": [2, 1]}
    return pa.table({**good, **columns}, schema=VOCAB_COUNTS.schema)


def test_configurations_are_not_kept_outside_a_validation():
    validate("images", plain_rows(TABLES["images"], image_id=["a/1"]))

    rule = gxe.ExpectColumnValuesToNotBeNull(column="image_id")
    assert rule.configuration is not rule.configuration


@pytest.mark.parametrize("table", ["images", "keywords", "vocab_counts", "pareto_set"])
def test_a_suite_that_is_worked_out_once_finds_what_great_expectations_finds_anew(table):
    contract = TABLES[table]
    names = [f"a/{number}" for number in range(9)]
    good = plain_rows(contract, **{contract.key[0]: names})
    place = good.schema.get_field_index(contract.key[0])
    repeated = good.set_column(place, contract.key[0], pa.array([None, *["a/1"] * 8]))
    short = good.drop_columns([next(c.name for c in contract.columns if c.name not in contract.key)])
    for rows in (good, repeated, short, good.slice(0, 0)):
        frame = rows.to_pandas()
        once = expectations.suite_of(table).evaluate(frame)
        anew = expectations.validated_anew(table, frame)
        if rows is short:
            assert once is None and not anew.success
            continue
        for result in (once, anew):
            result.meta.pop("batch_spec", None)
            result.meta.pop("batch_markers", None)
        assert once.to_json_dict() == anew.to_json_dict()
        assert once.success == (rows is not repeated)
    (broken, *_) = failed_critically(validate(table, short))
    assert "does not exist" in broken.rule


def test_a_good_table_breaks_nothing():
    findings = validate("vocab_counts", counts())

    assert findings
    assert all(finding.is_met for finding in findings)
    assert failed_critically(findings) == []


@pytest.mark.parametrize(
    ("columns", "check", "example"),
    [
        ({"keyword": ["a", "a"]}, "key_is_unique", "'a'"),
        ({"image_count": [2, 0]}, "values_in_range", "0"),
        ({"image_share": [1.0, 1.5]}, "values_in_range", "1.5"),
    ],
)
def test_what_breaks_a_rule_is_counted_and_shown(columns, check, example):
    (broken,) = failed_critically(validate("vocab_counts", counts(**columns)))

    assert broken.check == check
    assert broken.broken_count >= 1
    assert broken.row_count == 2
    assert example in broken.examples
    assert "broken by" in summarize_findings([broken])


def test_a_missing_value_is_found():
    (broken,) = failed_critically(validate("vocab_counts", pa.table({**counts().to_pydict(), "keyword": ["a", None]})))

    assert broken.check == "no_missing_values"


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr("vlmine_dagster.resources.expectations._ROWS_A_PART", 4)


def test_a_table_that_is_validated_in_parts_hides_no_repeat_and_no_bad_value(small_parts):
    names = [f"word{k}" for k in range(30)]
    rows = counts(
        keyword=[*names, "word7"], image_count=[*range(1, 31), 0], image_share=[0.5] * 31, unit_count=[1] * 31
    )

    found = {finding.check: finding for finding in failed_critically(validate("vocab_counts", rows))}

    assert set(found) == {"key_is_unique", "values_in_range"}
    assert (found["key_is_unique"].broken_count, found["key_is_unique"].row_count) == (2, 31)
    assert found["values_in_range"].broken_count == 1
    assert found["values_in_range"].examples == ("0",)


@pytest.mark.parametrize(("failed_count", "is_met"), [(2, True), (3, False)])
def test_a_share_is_one_of_all_rows_though_parts_differ(small_parts, failed_count, is_met):
    outcomes = ["corrupt"] * failed_count + ["ok"] * (40 - failed_count)
    usage = {"prompt_tokens": 0, "output_tokens": 0, "latency_s": 0.0, "cost_usd": None, "is_estimated": False}
    plain = {**usage, "failure": None, "variant_hash": "v"}
    columns = {"outcome": outcomes, **{name: [value] * 40 for name, value in plain.items()}}
    rows = pa.table({"image_id": [f"i{k}" for k in range(40)], **columns}, schema=KEYWORD_ANSWERS.schema)

    (quality,) = [finding for finding in validate("keyword_answers", rows) if finding.check == "quality"]

    assert quality.is_met == is_met
    assert (quality.broken_count, quality.row_count) == (failed_count, 40)


def test_a_vector_that_is_not_finite_is_found():
    vectors = np.ones((2, 1280), np.float16)
    vectors[1, 7] = np.nan
    column = EMBEDDINGS.column("embedding").type
    tags = EMBEDDINGS.column("tag_probabilities").type
    rows = pa.table(
        {
            "image_id": ["a", "b"],
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), type=column),
            "tag_probabilities": pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(2000, np.float16)), type=tags),
        }
    )

    (broken,) = failed_critically(validate("embeddings", rows))

    assert "embedding is finite" in broken.rule
    assert broken.broken_count == 1


def test_many_findings_are_cut():
    (finding,) = failed_critically(validate("vocab_counts", counts(keyword=["a", "a"])))

    assert summarize_findings([finding] * 5).endswith("(and 2 more)")


@pytest.fixture
def tracking(finished) -> Tracking:
    return finished.bench.tracking


def test_a_run_that_raises_is_marked_failed(tracking):
    with pytest.raises(ZeroDivisionError), tracking.run("broken", tags={"vlmine.experiment": "x"}) as run:
        raise ZeroDivisionError

    assert tracking.client.get_run(run.run_id).info.status == "FAILED"


def test_curves_come_back_by_step_and_unknown_values_are_left_out(tracking):
    tags = {"vlmine.experiment": "mine", "vlmine.asset": "pareto_set"}
    with tracking.run("mine", tags=tags) as run:
        run.curves([("recall", 20, 0.5), ("recall", 10, 0.25), ("recall", 30, float("nan"))])
        run.params({"long": "x" * 10_000})
        run.artifact("plots/a.txt", b"hello")
        run.dataset(Source("pool", "s3://bucket/pool", "0123", 7))

    assert tracking.latest(experiment="mine", asset="pareto_set") == run.run_id
    assert tracking.history(run.run_id, ["recall", "absent"]) == {"recall": [(10, 0.25), (20, 0.5)]}
    assert tracking.client.list_artifacts(run.run_id, "plots")[0].path == "plots/a.txt"
    assert tracking.url(run.run_id).startswith("http://127.0.0.1:5000/#/experiments/")
    assert unquote(tracking.comparison_url(["a", "b"])).endswith(
        f'/#/compare-runs?runs=["a","b"]&experiments=["{tracking.experiment_id}"]'
    )
    assert unquote(tracking.curves_url(["a", "b"])).endswith(
        f"/{tracking.experiment_id}/runs?searchFilter=attributes.run_id IN ('a','b')&compareRunsMode=CHART"
    )


def test_mlflow_keeps_its_chatter_out_of_the_terminal():
    import mlflow

    logger = logging.getLogger("mlflow.store.db.utils")  # tells of fresh tables
    assert mlflow.__version__ and not logger.isEnabledFor(logging.INFO)


def test_nobody_has_run_what_nobody_has_run(tracking):
    assert tracking.latest(experiment="nothing", asset="pareto_set") is None


def test_a_server_that_is_gone_is_named_without_its_password(finished, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    with pytest.raises(TrackingError, match=r"MLflow at http://127.0.0.1:9: .*Check MLFLOW_TRACKING_URI") as error:
        Tracking(finished.project).connect()

    assert "secret" not in str(error.value)


@pytest.mark.parametrize("value", ["http://h.example:5000\n", ' "http://h.example:5000" ', "http://h.example:5000"])
def test_an_address_of_mlflow_is_taken_without_what_was_pasted_around_it(finished, monkeypatch, value):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", value)
    found = Tracking(finished.project)

    assert (found.uri, found.is_server, found.is_local) == ("http://h.example:5000", True, False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", " \n")
    assert Tracking(finished.project).is_local


def test_progress_reaches_a_listener_with_rate_and_time_left():
    steps: list[Step] = []

    with listening(steps.append):
        progress = Progress("work", total=4)
        progress.add(1)
        progress.add(1, "1 failed")

    assert [step.done for step in steps] == [1, 2]
    assert progress.rate > 0
    text = str(Step("work", "images", 50, 100, 10.0, "$0.10"))
    assert text == "work: 50 of 100 images, 5 images/s, 10 s left, $0.10"
    assert "1 h 00 min left" in str(Step("work", "images", 1, 3601, 1.0))
    assert "1 min 05 s left" in str(Step("work", "images", 1, 66, 1.0))


def test_progress_is_logged_at_a_sane_rate(monkeypatch):
    lines = []

    class Log:
        def info(self, text: str) -> None:
            lines.append(text)

    clock = iter([0.0, 1.0, 20.0, 21.0])
    monkeypatch.setattr("vlmine_dagster.resources.progress.time.monotonic", lambda: next(clock))
    progress = Progress("work", log=Log())
    for _ in range(3):
        progress.add(1)

    assert lines == ["work: 2 images, 0.1 images/s"]


def test_artifacts_of_a_database_lie_in_the_home_and_not_in_the_working_folder(finished, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{plain_path(tmp_path) / 'other.db'}")
    tracking = Tracking(finished.project)

    tracking.connect()

    made = tracking.client.get_experiment(tracking.experiment_id)
    place = Path(unquote(urlsplit(made.artifact_location).path))  # through a link where the folder's name is odd
    assert made.artifact_location.startswith("file:///")
    assert place.resolve() == (finished.folder / ".vlmine/mlflow/artifacts").resolve()


def test_a_driver_that_is_missing_is_named(finished, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql+pg8000://me:secret@db/mlflow")

    with pytest.raises(TrackingError, match=r"pip install 'vlmine-dagster\[postgres\]'") as told:
        Tracking(finished.project).connect()

    assert "secret" not in str(told.value)


def test_behind_the_progress_stand_tokens_money_and_failures():
    answers = [
        Description("a", "x", prompt_tokens=90, output_tokens=10, cost_usd=0.5),
        Description("b", None, outcome=Outcome.REFUSED, prompt_tokens=90, cost_usd=0.25),
    ]
    bill = Bill()
    assert str(bill) == ""
    for answer in answers:
        bill.add(answer)
    steps = []
    with listening(steps.append):
        Progress("descriptions[a]", total=4).add(2, str(bill))

    assert re.fullmatch(
        r"descriptions\[a\]: 2 of 4 images, [\d,]+ images/s, .*left, [\d,]+ tokens/s, \$0.7500, 1 failed",
        str(steps[-1]),
    )
    assert bill.facts() == {"prompt_tokens": 180, "output_tokens": 10, "cost_usd": 0.75}
    bill.add(Description("c", "x", prompt_tokens=1, cost_usd=None))
    assert "price unknown" in str(bill)
    assert bill.facts()["cost_usd"] == "unknown"
