"""What MLflow tells of experiments, when it was told more than once."""

from conftest import BUDGETS, Made

from vlmine_dagster.cli.comparison import compare


def test_a_list_that_is_judged_again_by_other_budgets_shows_those_alone(finished: Made):
    before = {row["experiment"]: row for row in compare(finished.bench)}
    finished.settings(retraining={**BUDGETS, "budgets": [0.2]})
    assert finished.run(experiments=["entropy"]).is_whole

    after = {row["experiment"]: row for row in compare(finished.bench)}

    assert [point["mined"] for point in before["entropy"]["few_recall"]] == [3, 8]
    assert [point["mined"] for point in after["entropy"]["few_recall"]] == [5]
    assert after["entropy"]["mlflow_run_id"] == before["entropy"]["mlflow_run_id"]
    assert after["random"] == before["random"]
