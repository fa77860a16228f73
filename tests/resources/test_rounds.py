"""Labels of mined images come back: every format, every mistake, and what the next run makes of them."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor, wait
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from filelock import FileLock

from vlmine_dagster.automation.dead_runs import lock_of_run
from vlmine_dagster.cli.main import main
from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.label_import import start_labels
from vlmine_dagster.resources.rounds import (
    Annotations,
    Round,
    check_annotations,
    load_rounds,
    read_annotations,
    write_round,
)
from vlmine_dagster.settings import DatasetSettings, ExperimentSettings
from vlmine_dagster.settings.mining import default_experiments
from vlmine_dagster.settings.project import Project, ProjectSettings

WANTED = {"pool/a/rocket-0": "rocket", "pool/a/coffee-1": "coffee"}


def csv_file(folder, labels=WANTED):
    rows = "".join(f"{name}, {label}\n" for name, label in labels.items())
    (folder / "l.csv").write_text(f"image_id,label\n{rows},\n", "utf-8-sig")
    return folder / "l.csv"


def parquet_file(folder, labels=WANTED):
    pd.DataFrame({"key": list(labels), "class_name": list(labels.values())}).to_parquet(folder / "l.parquet")
    return folder / "l.parquet"


def task(name, *choices, **more):
    result = [{"type": "choices", "value": {"choices": list(choices)}}]
    return {"data": {"image": "x", **({"image_id": name} if name else {})}, "annotations": [{"result": result, **more}]}


def label_studio_file(folder, labels=WANTED):
    tasks = [
        *(task(name, label) for name, label in labels.items()),
        task("pool/a/coffee-2", "moon", was_cancelled=True),
        {"data": {"image": "x"}, "annotations": []},
    ]
    (folder / "l.json").write_text(json.dumps(tasks))
    return folder / "l.json"


@pytest.mark.parametrize("write", [csv_file, parquet_file, label_studio_file])
def test_every_format_gives_the_same_labels(write, tmp_path):
    assert read_annotations(write(tmp_path)).labels == WANTED


@pytest.mark.parametrize(
    ("name", "content", "count"),
    [
        ("a.csv", "image_id,label\na,cat\nb,\n,\n,dog\n\n", 2),
        (
            "a.json",
            json.dumps([task("a", "cat"), {"data": {"image_id": "b"}}, task("c", "cat", was_cancelled=True)]),
            2,
        ),
    ],
)
def test_rows_without_a_label_or_an_image_are_counted(name, content, count, tmp_path):
    (tmp_path / name).write_text(content)

    assert read_annotations(tmp_path / name) == Annotations({"a": "cat"}, count)


def test_labels_that_are_all_there_already_make_no_round_and_corrected_ones_do(tmp_path):
    settings = ProjectSettings(name="test", dataset=DatasetSettings(kind="folder", root="data"))
    project = Project(settings, tmp_path)
    write_round(project, {"s/a": "tram", "s/b": "moon"})
    write_round(project, {"s/a": "bus"})

    one, two = "this label was", "these 2 labels were"
    for known, given in (({"s/a": "bus"}, one), ({"s/b": "moon"}, one), ({"s/a": "bus", "s/b": "moon"}, two)):
        with pytest.raises(SourceError, match=rf"nothing new: {given} imported in rounds 1 to 2\. No round was made"):
            write_round(project, known)

    assert write_round(project, {"s/a": "tram", "s/b": "moon"}).number == 3  # the first again takes back the second


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.txt", "x", "expected a .csv, .parquet or .json file"),
        ("a.csv", "name,kind\nx,y\n", "expected the columns image_id and label; it has name, kind"),
        ("a.csv", "image_id,label\n", "no labels in it"),
        ("a.csv", "image_id,label\na,cat\na,dog\n", "'a' is labelled 'cat' and 'dog'"),
        ("a.csv", "image_id,label\n\xff", "cannot be read"),
        ("a.parquet", "no parquet", "cannot be read"),
        ("a.json", "{", "cannot be read"),
        ("a.json", "{}", "expected a list of tasks"),
        ("a.json", json.dumps([task(None, "cat")]), "task 0 has no image_id in its data"),
    ],
)
def test_a_file_that_cannot_be_meant_says_why(name, content, why, tmp_path):
    (tmp_path / name).write_bytes(content.encode("latin-1"))

    with pytest.raises(SourceError, match=why):
        read_annotations(tmp_path / name)


def test_a_round_waits_for_the_one_that_is_just_written_and_takes_the_next_number(tmp_path):
    settings = ProjectSettings(name="test", dataset=DatasetSettings(kind="folder", root="data"))
    project = Project(settings, tmp_path)
    with ThreadPoolExecutor(1) as pool:
        with FileLock(project.state_folder("locks") / "labels.lock"):  # as another process holds it
            later = pool.submit(write_round, project, {"s/b": "moon"})
            assert wait([later], timeout=0.2).done == set()
            file = project.state_folder("labels") / "round-0001.csv"
            file.write_text("image_id,class_name\ns/a,tram\n")
        assert later.result(timeout=10) == Round(2, {"s/b": "moon"})

    assert load_rounds(project) == [Round(1, {"s/a": "tram"}), Round(2, {"s/b": "moon"})]


def vlmine(*words):
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def mine_label_and_run(made, number, write):
    """Label the first three images of a list, as a person would; return their labels and what the next run learned."""
    mined = made.frame("pareto_set", "pareto").sort_values("rank").image_id[:3]
    labels = {name: name.rpartition("/")[2].partition("-")[0] for name in mined}
    told = vlmine("labels", "import", write(made.folder, labels))
    assert told.output.startswith(f"Round {number}: 3 labels of ")
    assert load_rounds(made.project)[-1].labels == labels
    assert made.run(experiments=["pareto"]).is_whole
    return labels, made.frame("task_model").iloc[0]


def test_round_after_round_labels_are_learnt_from_and_never_mined_again(finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    labels, models, unsure = {}, [finished.frame("task_model").iloc[0]], [finished.frame("uncertainty_scores")]
    for number, write in enumerate([csv_file, parquet_file, label_studio_file], start=1):
        back, model = mine_label_and_run(finished, number, write)
        assert not set(back) & set(labels)  # no image is asked for twice
        labels |= back
        models.append(model)
        unsure.append(finished.frame("uncertainty_scores"))
        assert not set(labels) & set(finished.frame("pareto_set", "pareto").image_id)

    images = finished.frame("images").set_index("image_id")
    assert {name: (images.split[name], images.label[name]) for name in labels} == {
        name: ("seed", label) for name, label in labels.items()
    }
    first = models[0].seed_count
    assert [model.seed_count for model in models] == [first, first + 3, first + 6, first + 9]
    assert len({model.sha256 for model in models}) == 4
    assert not any(one.entropy.equals(other.entropy) for one, other in itertools.pairwise(unsure))

    told = json.loads(vlmine("compare", "--json").output)
    assert [(row["round"], row["labelled_images"]) for row in told["rounds"]] == [
        (number, model.seed_count) for number, model in enumerate(models)
    ]
    assert all(0 <= row["few_accuracy"] <= row["all_accuracy"] <= 1 for row in told["rounds"])
    assert {row["experiment"]: row["round"] for row in told["experiments"]} == {
        arm: 3 if arm == "pareto" else 0 for arm in finished.project.settings.experiments
    }
    run = finished.bench.tracking.client.get_run(told["rounds"][2]["mlflow_run_ids"]["pareto"])
    assert (run.info.run_name, run.data.params["round"]) == ("pareto, round 2", "2")
    assert all(
        run_id in told["mlflow_rounds_url"] for row in told["rounds"] for run_id in row["mlflow_run_ids"].values()
    )
    assert "Rounds of labels" in vlmine("compare").output


def test_who_knows_no_class_of_the_pool_still_sees_what_each_round_teaches(finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    images = finished.frame("images")
    known = images[images.split.isin(["seed", "test"])]
    rows = "".join(f"{row.image_id},{row.split},{row.label}\n" for row in known.itertuples())
    (finished.folder / "labels.csv").write_text(f"key,split,class_id\n{rows}")
    dataset = finished.project.settings.model_dump(mode="json")["dataset"]
    finished.settings(dataset={**dataset, "labels": {"file": "labels.csv"}})
    assert finished.run(experiments=["pareto"]).is_whole
    mine_label_and_run(finished, 1, csv_file)

    told = json.loads(vlmine("compare", "--json").output)

    assert [(row["round"], row["labelled_images"]) for row in told["rounds"]][1:] == [
        (1, 3 + sum(known.split == "seed"))
    ]
    assert told["rounds"][1]["few_images"] is None
    assert 0 <= told["rounds"][1]["all_accuracy"] <= 1
    assert finished.frame("retrain_metrics", "pareto").budget.unique().tolist() == [0]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("pool/a/nothing,rocket", "not of this pool: 1 of 1 image, such as 'pool/a/nothing'"),
        ("test/t/rocket-50,rocket", "of the test or val split: 1 image, such as"),
    ],
)
def test_labels_of_other_images_are_refused_and_nothing_is_kept(finished, monkeypatch, row, why):
    monkeypatch.chdir(finished.folder)
    (finished.folder / "back.csv").write_text(f"image_id,label\n{row}\n")

    told = vlmine("labels", "import", "back.csv")

    assert told.exit_code == 1
    assert why in told.output
    assert load_rounds(finished.project) == []


def test_labels_that_come_before_the_images_are_known_wait_for_a_run():
    with pytest.raises(SourceError, match="no image of this project was looked at yet. Run `vlmine run`"):
        check_annotations({"x.jpg": "cat"}, known_ids=set(), test_ids=set(), class_names=())


def test_what_is_left_out_is_told_and_the_same_file_twice_makes_no_second_round(finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    (finished.folder / "back.csv").write_text("image_id,label\npool/a/coffee-0,coffee\npool/a/coffee-1,\n")

    first, second = vlmine("labels", "import", "back.csv"), vlmine("labels", "import", "back.csv")

    assert first.output.startswith("Round 1: 1 label of 1 class.\nLeft out: 1 row without a label or an image_id.\n")
    assert second.exit_code == 1 and "No round was made" in second.output
    assert len(load_rounds(finished.project)) == 1


def test_labels_that_come_during_a_run_are_said_to_wait_for_the_next(finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    (finished.folder / "back.csv").write_text("image_id,label\npool/a/coffee-0,coffee\n")

    with lock_of_run(finished.project):
        told = vlmine("labels", "import", "back.csv")

    assert told.exit_code == 0
    assert told.output.splitlines()[-1].startswith("A `vlmine run` is at work, which may not use these labels.")
    assert len(load_rounds(finished.project)) == 1


def test_an_unknown_class_is_refused_with_a_hint(finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    finished.name_classes("coffee", "chelsea", "rocket")
    (finished.folder / "back.csv").write_text("image_id,label\npool/a/coffee-0,rockets\n")

    said = vlmine("labels", "import", "back.csv").output.replace("\n", " ")
    assert "Did you mean 'rocket'? If not, add it to the file of classes (dataset.labels.classes)." in said


def test_what_is_taken_is_listed_by_class_with_the_new_ones_marked_and_lookalikes_named(finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    rows = "pool/a/coffee-0,coffee\ncoffee-1,Coffee\npool/a/coffee-2,nan\npool/a/rocket-0,N/A\n"
    (finished.folder / "back.csv").write_text(f"image_id,label\n{rows}")

    told = vlmine("labels", "import", "back.csv").output.splitlines()

    assert told == [
        "Round 1: 2 labels of 2 classes.",
        "Left out: 2 rows without a label or an image_id (1 x nan, 1 x N/A).",
        "Matched by the end of the name: 1, such as coffee-1 to pool/a/coffee-1.",
        "Classes: Coffee 1 (new), coffee 1.",
        "Look alike, but count as 2 classes: 'Coffee', 'coffee'.",
        "Next: vlmine run",
    ]


def test_the_settings_of_first_labels_stand_above_the_comment_of_the_next_section(tmp_path):
    file = tmp_path / "vlmine.yaml"
    file.write_text("dataset:\n  kind: folder\n  root: data\n\n# who describes\ndescriber:\n  kind: tagger\n")

    start_labels(SimpleNamespace(file=file))

    lines = file.read_text().splitlines()
    assert lines.index("  labels: {}") < lines.index("# who describes")
    assert yaml.safe_load(file.read_text())["dataset"] == {"kind": "folder", "root": "data", "labels": {}}


def test_a_project_without_labels_takes_its_first_ones_and_its_settings_keep_their_comments(make_project, monkeypatch):
    from conftest import members

    made = make_project({"a": members({"coffee": 2}, start=0)})
    monkeypatch.chdir(made.folder)
    made.file.write_text("# mine\n" + made.file.read_text() + "# the end\n")
    assert made.run(shards=["a"]).is_whole
    (made.folder / "back.csv").write_text("image_id,label\na/coffee-0,coffee\na/coffee-1,moon\n")

    told = vlmine("labels", "import", "back.csv")

    assert told.exit_code == 0
    assert "These are the project's first labels: vlmine.yaml has `labels: {}` below `dataset` now." in told.output
    advised = yaml.safe_load("\n".join(line for line in told.output.splitlines() if line.startswith("  ")))
    arms = {name: ExperimentSettings(**content) for name, content in advised.items()}
    assert arms == {name: default_experiments()[name] for name in ("fused", "entropy")}
    text = made.file.read_text()
    assert text.startswith("# mine\n") and text.endswith("# the end\n")
    assert made.bench.labels.visible("a/coffee-1", "coffee-1") == ("moon", "seed")
    assert vlmine("labels", "import", "back.csv").exit_code == 1  # all of it came back before
