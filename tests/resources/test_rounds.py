"""Labels of mined images come back: every format, every mistake, and what the next run makes of them."""

import json

import pandas as pd
import pytest
from click.testing import CliRunner

from resources.rounds import load_rounds, read_annotations
from vlmine_dagster.cli import main
from vlmine_dagster.errors import SourceError

WANTED = {"pool/a/rocket-0": "rocket", "pool/a/coffee-1": "coffee"}


def csv_file(folder):
    (folder / "l.csv").write_text("image_id,label\npool/a/rocket-0,rocket\npool/a/coffee-1, coffee\n,\n", "utf-8-sig")
    return folder / "l.csv"


def parquet_file(folder):
    pd.DataFrame({"key": list(WANTED), "class_name": list(WANTED.values())}).to_parquet(folder / "l.parquet")
    return folder / "l.parquet"


def task(name, *choices, **more):
    result = [{"type": "choices", "value": {"choices": list(choices)}}]
    return {"data": {"image": "x", **({"image_id": name} if name else {})}, "annotations": [{"result": result, **more}]}


def label_studio_file(folder):
    tasks = [
        task("pool/a/rocket-0", "rocket"),
        task("pool/a/coffee-1", "coffee"),
        task("pool/a/coffee-2", "moon", was_cancelled=True),
        {"data": {"image": "x"}, "annotations": []},
    ]
    (folder / "l.json").write_text(json.dumps(tasks))
    return folder / "l.json"


@pytest.mark.parametrize("write", [csv_file, parquet_file, label_studio_file])
def test_every_format_gives_the_same_labels(write, tmp_path):
    assert read_annotations(write(tmp_path)) == WANTED


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


def vlmine(*words):
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def test_labels_that_came_back_are_learnt_from_and_never_mined_again(finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    before = finished.frame("pareto_set", "novelty_min").sort_values("rank").image_id
    mined = list(before[:4])
    truth = {name: name.rpartition("/")[2].partition("-")[0] for name in mined}
    seed_before = finished.frame("task_model").seed_count[0]
    rows = "".join(f"{name},{label}\n" for name, label in truth.items())
    (finished.folder / "back.csv").write_text(f"image_id,label\n{rows}")

    told = vlmine("labels", "import", "back.csv")
    assert finished.run().is_whole

    assert told.output.startswith("Round 1: 4 labels of ")
    assert load_rounds(finished.project)[0].labels == truth
    images = finished.frame("images").set_index("image_id")
    assert {(images.split[name], images.label[name]) for name in mined} == {("seed", label) for label in truth.values()}
    assert finished.frame("task_model").seed_count[0] == seed_before + 4
    for arm in finished.project.settings.experiments:
        assert not set(mined) & set(finished.frame("pareto_set", arm).image_id), arm
    client = finished.bench.tracking.client
    run = client.get_run(finished.bench.tracking.latest(experiment="entropy", asset="pareto_set"))
    assert run.data.params["round"] == "1"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("pool/a/nothing,rocket", "1 of 1 images are not of this pool, such as 'pool/a/nothing'"),
        ("test/t/rocket-50,rocket", "are of the test or val split"),
    ],
)
def test_labels_of_other_images_are_refused_and_nothing_is_kept(finished, monkeypatch, row, why):
    monkeypatch.chdir(finished.folder)
    (finished.folder / "back.csv").write_text(f"image_id,label\n{row}\n")

    told = vlmine("labels", "import", "back.csv")

    assert told.exit_code == 1
    assert why in told.output
    assert load_rounds(finished.project) == []


def test_an_unknown_class_is_refused_with_a_hint(finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    names = "class_id,name\n" + "".join(f"{name},{name}\n" for name in ("coffee", "chelsea", "rocket"))
    (finished.folder / "classes.csv").write_text(names)
    dataset = finished.project.settings.model_dump(mode="json")["dataset"]
    finished.settings(dataset={**dataset, "labels": {**dataset["labels"], "classes": "classes.csv"}})
    (finished.folder / "back.csv").write_text("image_id,label\npool/a/coffee-0,rockets\n")

    assert "Did you mean 'rocket'?" in vlmine("labels", "import", "back.csv").output


def test_a_project_without_labels_says_what_to_set(make_project, monkeypatch):
    from conftest import members

    made = make_project({"a": members({"coffee": 1}, start=0)})
    monkeypatch.chdir(made.folder)
    (made.folder / "back.csv").write_text("image_id,label\na/coffee-0,coffee\n")

    assert "Set dataset.labels.file in vlmine.yaml" in vlmine("labels", "import", "back.csv").output
