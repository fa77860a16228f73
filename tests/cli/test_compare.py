"""What MLflow tells of experiments, when it was told more than once."""

from conftest import BUDGETS, Made

from vlmine_dagster.cli.compare import compared_experiments, print_comparison


def test_a_list_that_is_judged_again_by_other_budgets_shows_those_alone(finished: Made):
    before = {row["experiment"]: row for row in compared_experiments(finished.bench)}
    finished.settings(retraining={**BUDGETS, "budgets": [0.2]})
    assert finished.run(experiments=["entropy"]).is_whole

    after = {row["experiment"]: row for row in compared_experiments(finished.bench)}

    assert [point["mined"] for point in before["entropy"]["few_recall"]] == [3, 8]
    assert [point["mined"] for point in after["entropy"]["few_recall"]] == [5]
    assert after["entropy"]["mlflow_run_id"] == before["entropy"]["mlflow_run_id"]
    assert after["random"] == before["random"]


def compared(**judged):
    row = {"experiment": "mine", "variant": "default", "few_recall": [], "few_accuracy": {}, "few_images": None}
    row |= {"unranked_images": 0, "slices": {}}
    told = {"rounds": [], "tables": {}, "words": [], "mlflow_curves_url": "curves", "mlflow_url": "table"}
    return {"item": "image", "experiments": [row, {**row, "experiment": "fused", **judged}], **told}


def test_without_labels_no_empty_table_of_recall_is_shown_but_which_lists_can_be_looked_at(capsys):
    print_comparison(compared())

    told = " ".join(capsys.readouterr().out.split())
    assert "Recall" not in told and "few-shot accuracy" not in told
    assert "recall of the tail cannot be measured for: mine, fused" in told


def test_accuracy_alone_is_shown_where_the_pool_has_no_labels(capsys):
    print_comparison(compared(few_accuracy={0: 0.25}))

    told = capsys.readouterr().out
    assert "few-shot accuracy" in told and "0.25 -> 0.25" in told


def test_how_many_images_an_experiment_did_not_rank_is_told_where_any_are(capsys):
    recall = [{"mined": 3, "value": 0.5, "low": 0.2, "high": 0.8}]
    print_comparison(compared(few_recall=recall, few_images=4))
    without = capsys.readouterr().out
    print_comparison(compared(few_recall=recall, few_images=4, unranked_images=1234))

    told = capsys.readouterr().out
    assert "not ranked" not in without
    assert "not ranked" in told and "1,234" in told
    assert "Every experiment is evaluated on the same images" in " ".join(told.split())
