"""What tables depend on beside the tables that they read."""

import pytest

from vlmine_dagster.assets.pareto_set import pareto_set
from vlmine_dagster.engine.stage import Part


@pytest.mark.parametrize(("signal", "is_changed"), [("oracle", True), ("random", False)])
def test_only_an_oracle_depends_on_whose_images_make_a_class_rare(make_project, signal, is_changed):
    rows = "key,split,class_id\na,seed,cat\nb,pool,cat\nc,pool,dog"
    made = make_project({"s": {}}, labels=rows, experiments={"arm": {"signals": [signal]}})
    before = pareto_set.fingerprints(made.bench, Part(made.project, "arm"))
    dataset = made.project.settings.model_dump(mode="json", exclude_defaults=True)["dataset"]
    made.settings(dataset={**dataset, "labels": {**dataset["labels"], "shots_by": "seed"}})

    assert (pareto_set.fingerprints(made.bench, Part(made.project, "arm")) != before) == is_changed
