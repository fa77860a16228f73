"""Objects are mined like images: every table, command and page of a small project of scenes with boxes."""

import io
import json
import re
import shutil

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from conftest import Made, photo
from PIL import Image

from vlmine_dagster.cli.explain import found_id
from vlmine_dagster.cli.main import main
from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.label_import import import_labels
from vlmine_dagster.resources.lake import Lake
from vlmine_dagster.scoring.findings import strategy_of

CLASSES = ("coffee", "chelsea", "rocket")
SIDE = 60


def scenes(folder, count=10):
    """Pictures of 230 x 150, each with three objects at known places; the only two rockets are in the last one."""
    annotations, images = [], []
    (folder / "data").mkdir()
    for number in range(count):
        scene = Image.new("RGB", (230, 150), (110, 120, 110))
        for place in range(3):
            is_rare = number == count - 1 and place < 2
            name = "rocket" if is_rare else CLASSES[(number + place) % 2]
            left, top = 10 + 75 * place, 20 + 10 * place
            scene.paste(view(name, number * 3 + place), (left, top))
            box = [left, top, SIDE, SIDE - 10]
            annotations.append((number, name, box))
        file = io.BytesIO()
        scene.save(file, "JPEG", quality=92)
        (folder / "data" / f"scene-{number}.jpg").write_bytes(file.getvalue())
        images.append({"id": number, "file_name": f"scene-{number}.jpg", "width": 230, "height": 150})
    annotations += [(0, "coffee", [300, 300, 20, 20]), (1, "coffee", [5, 5, 6, 6])]
    content = {
        "images": images,
        "categories": [{"id": place, "name": name} for place, name in enumerate(CLASSES)],
        "annotations": [
            {"id": 100 + place, "image_id": image, "category_id": CLASSES.index(name), "bbox": box}
            for place, (image, name, box) in enumerate(annotations)
        ],
    }
    (folder / "boxes.json").write_text(json.dumps(content))


def view(name, number):
    picture, draw = photo(name), np.random.default_rng(number)
    left, top = draw.integers(0, picture.width - 200), draw.integers(0, picture.height - 180)
    return picture.crop((left, top, left + 200, top + 170)).resize((SIDE, SIDE - 10))


@pytest.fixture(scope="module")
def made(state, tmp_path_factory) -> Made:
    folder = tmp_path_factory.mktemp("objects")
    scenes(folder)
    labels = {"boxes": True, "oracle": True, "seed_fraction": 0.4, "draw": 1, "few_under": 5, "many_over": 12}
    content = {
        "name": "scenes",
        "dataset": {"kind": "folder", "root": "data", "shard_count": 2, "labels": labels},
        "unit": "object",
        "objects": {"boxes": "boxes.json"},
        "retraining": {"kind": "probe", "budgets": [0.1, 0.5], "seeds": [0]},
        "budget": 5,
        "experiments": {
            "fused": {"signals": ["class_rank_rarity", "sparsity"], "fusion": "fisher"},
            "chosen": {"signals": ["class_rank_rarity", "chosen_sparsity", "chosen_isolation"], "fusion": "fisher"},
            "novelty": {"signals": ["novelty_min", "entropy"]},
            "images": {"signals": ["novelty_min"], "deliver": "image", "budget": {"images": 2}},
            "boxes": {"signals": ["novelty_min"], "budget": {"boxes": 6}},
        },
    }
    (folder / "vlmine.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    shutil.copytree(state, folder / ".vlmine", symlinks=True)
    made = Made(folder)
    outcome = made.run()
    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    return made


def command(made, monkeypatch, *words):
    monkeypatch.setenv("VLMINE_PROJECT", str(made.file))
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_every_table_is_about_objects_by_their_own_name_on_disk(made):
    lake = made.bench.lake
    for table in ("embeddings", "descriptions", "keywords", "novelty_scores", "uncertainty_scores", "pareto_set"):
        partition = "fused" if table == "pareto_set" else lake.partitions(table)[0]
        names = pq.read_schema(str(lake.path(table, partition))).names
        assert "object_id" in names, table
        assert "image_id" not in names, table
        assert "image_id" in lake.read(table, partition).column_names, table
    with duckdb.connect(str(made.folder / ".vlmine" / "vlmine.duckdb"), read_only=True) as people:
        joined = "SELECT count(*) FROM novelty_scores JOIN objects USING (object_id) JOIN images USING (image_id)"
        assert people.sql(joined).fetchall() == [(len(made.frame("novelty_scores")),)]


def test_bad_and_small_boxes_are_rows_that_nothing_else_sees(made):
    objects = made.frame("objects").set_index("object_id")

    assert objects.outcome.value_counts().to_dict() == {"ok": 30, "bad_box": 1, "too_small": 1}
    lost = set(objects[objects.outcome != "ok"].index)
    for table in ("embeddings", "descriptions", "uncertainty_scores"):
        assert not lost & set(made.frame(table).image_id), table


def test_objects_of_an_image_are_drawn_into_the_labelled_set_together(made):
    objects = made.frame("objects")
    good = objects[objects.outcome == "ok"]
    by_image = good.groupby("image_id")

    assert (by_image.split.nunique() == 1).all()
    assert {"seed", "pool"} == set(good.split)
    assert (good.label.notna() == (good.split == "seed")).all()


def test_a_crop_is_the_box_with_its_margin(made):
    [row] = [row for row in made.frame("objects").to_dict("records") if row["object_id"].endswith("scene-3.jpg#110")]
    shard, key = row["object_id"].split("/")

    [crop] = made.bench.pictures.read(shard, keys={key})

    assert (row["x"], row["y"], row["width"], row["height"]) == (85, 30, 60, 50)
    with Image.open(made.folder / "data" / "scene-3.jpg") as scene:
        expected = scene.convert("RGB").crop((85 - 12, 30 - 10, 85 + 60 + 12, 30 + 50 + 10))
    assert crop.uri.endswith("scene-3.jpg#xywh=85,30,60,50")
    assert crop.data == b"P6 84 70 255\n" + expected.tobytes()


def test_the_rare_objects_come_first_and_say_where_they_are(made, monkeypatch):
    rows = json.loads(command(made, monkeypatch, "top", "--experiment", "fused", "-n", "5", "--json"))

    found = {row["object_id"].partition("/")[2]: row for row in rows}
    assert {"scene-9.jpg#127", "scene-9.jpg#128"} <= set(found)
    assert found["scene-9.jpg#127"]["image_id"].endswith("/scene-9.jpg")
    assert found["scene-9.jpg#127"]["box"] == {"x": 10, "y": 20, "width": 60, "height": 50}
    text = command(made, monkeypatch, "top", "--experiment", "fused", "-n", "5")
    assert "Top objects of fused" in text
    assert "scene-9.jpg#127" in text


def test_explain_tells_of_the_object_and_of_its_image(made, monkeypatch):
    card = json.loads(command(made, monkeypatch, "explain", "scene-9.jpg#127", "--json"))
    text = command(made, monkeypatch, "explain", "scene-9.jpg#127")

    assert card["object"]["class_name"] == "rocket"
    assert card["image"]["width"] == 230
    assert "box of 60 x 50 pixels at 10, 20, 'rocket' in boxes.json" in text
    word = card["keywords"][-1]
    assert word["image_count"] > 1
    assert f"keyword '{word['keyword']}' in {word['image_count']} objects ({word['image_share']:.2%})" in text


def test_commands_call_what_is_mined_objects(made, monkeypatch, tmp_path):
    told = command(made, monkeypatch, "export", "--experiment", "fused", "--to", str(tmp_path / "list.csv"))
    assert "5 objects of fused" in told
    assert "New keywords in another 500 random objects: about" in command(made, monkeypatch, "verdicts")
    shown = command(made, monkeypatch, "vocabulary", "--show")
    assert re.search(r"(\b1 object enters|\d objects enter) the list, (1 leaves|\d+ leave) it", shown)
    page = (made.folder / ".vlmine" / "reports" / "boxes.html").read_text()
    assert "random objects: about" in page
    with pytest.raises(SourceError, match=r"has no such object: 'scene-9.jpg'.* an id is shard/key#number"):
        found_id(made.bench, "scene-9.jpg", made.bench.source.shards())


def test_an_exported_row_has_the_box_and_the_whole_image(made, monkeypatch, tmp_path):
    file = tmp_path / "list.csv"
    command(made, monkeypatch, "export", "--experiment", "fused", "--to", str(file), "--images", str(tmp_path / "out"))

    header, first, *_ = file.read_text().splitlines()
    columns = dict(zip(header.split(","), first.split(","), strict=False))
    assert columns["object_id"].startswith(f"{columns['image_id']}#")
    with Image.open(columns["path"]) as copied:
        assert copied.size == (230, 150)


def test_the_report_shows_each_object_alone_and_in_its_image(made):
    page = (made.folder / ".vlmine" / "reports" / "fused.html").read_text()

    assert "<h1>5 objects to label next</h1>" in page
    cards = page.split('<li class="card')[1:]
    assert cards
    assert all(card.count("data:image/jpeg;base64,") == 2 for card in cards)


def test_classes_of_box_files_are_labels_for_the_advice_what_to_mine_by(made):
    assert strategy_of(made.bench).startswith("`fused`: the labelled images say which classes are rare")
    page = (made.folder / ".vlmine" / "reports" / "fused.html").read_text(encoding="utf-8")
    assert "`fused`: the labelled images say which classes are rare" in page


def test_signals_that_are_the_same_of_all_objects_are_named_once_and_not_drawn(made):
    values = made.frame("pareto_set", "chosen")
    same = [name for name in ("chosen_sparsity", "chosen_isolation") if values[name].nunique() == 1]
    page = (made.folder / ".vlmine" / "reports" / "chosen.html").read_text(encoding="utf-8")
    assert same
    assert f"no effect here</dt><dd>{', '.join(same)}" in page
    for card in page.split('<li class="card')[1:]:
        assert not any(name in card.partition("</li>")[0] for name in same)


def test_an_image_is_listed_where_its_rarest_object_ranks(made):
    whole = made.frame("pareto_set", "boxes").sort_values("rank")
    images = whole.image_id.str.rpartition("#")[0]
    first = whole[~images.duplicated()].image_id.tolist()
    listed = made.frame("pareto_set", "images").sort_values("rank")

    assert listed.image_id.tolist()[: len(first)] == first
    assert listed.selected.sum() == 2
    assert listed.reason.iloc[0].endswith(" · with 2 more objects")
    assert set(listed.listed_instead.dropna()) == set(first)
    assert listed.reason.iloc[-1] == f"listed with its image, by another object: {listed.listed_instead.iloc[-1]}"


def test_a_budget_of_boxes_pays_for_whole_images(made):
    listed = made.frame("pareto_set", "boxes").sort_values("rank")
    chosen = listed[listed.selected].image_id.str.rpartition("#")[0]

    assert chosen.nunique() == 2  # three boxes each
    beyond = listed[~listed.selected].image_id.str.rpartition("#")[0]
    assert beyond.iloc[0] not in set(chosen)


def test_recall_counts_rare_objects(made):
    metrics = made.frame("retrain_metrics", "fused")
    found = metrics[(metrics.metric == "few_recall") & (metrics.budget == 0.5)]

    assert found.value.tolist() == [1.0]


def test_labels_of_objects_come_back(made, tmp_path):
    copy = Made(tmp_path / "copy")
    shutil.copytree(made.folder, copy.folder)
    pool = copy.frame("objects").query("split == 'pool' and outcome == 'ok'")
    name = pool.object_id.iloc[0]
    (tmp_path / "back.csv").write_text(f"image_id,label\n{name},rocket\n")

    taken = import_labels(copy.bench, tmp_path / "back.csv")

    assert taken.round.labels == {name: "rocket"}
    assert copy.job("shard_job", name.partition("/")[0]).success
    row = copy.frame("objects").set_index("object_id").loc[name]
    assert (row.label, row.split) == ("rocket", "seed")


def test_the_first_labels_of_a_project_reach_its_objects(made, tmp_path):
    copy = Made(tmp_path / "copy")
    shutil.copytree(made.folder, copy.folder)
    settings = yaml.safe_load(copy.file.read_text())
    del settings["dataset"]["labels"]
    arms = {"boxes": settings["experiments"]["boxes"]}
    copy.settings(dataset=settings["dataset"], experiments=arms)
    assert copy.run().is_whole
    assert set(copy.frame("objects").split) == {"pool"}
    names = copy.frame("pareto_set", "boxes").sort_values("rank").image_id[:4].tolist()
    (tmp_path / "back.csv").write_text("\n".join(["object_id,label", *(f"{one},rocket" for one in names[:2])]))
    (tmp_path / "more.csv").write_text("\n".join(["object_id,label", *(f"{one},coffee" for one in names[2:])]))

    for file in ("back.csv", "more.csv"):
        import_labels(copy.bench, tmp_path / file)
    outcome = copy.run()

    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    labelled = copy.frame("objects").query("split == 'seed'").set_index("object_id").label.to_dict()
    assert labelled == {**dict.fromkeys(names[:2], "rocket"), **dict.fromkeys(names[2:], "coffee")}
    assert not set(names) & set(copy.frame("pareto_set", "boxes").image_id)
    changes = copy.frame("list_changes", "boxes")
    assert set(changes[changes.change == "left"].why) == {"labelled now"}
    assert changes[changes.cause == "others"].why.str.endswith("; objects ahead of it left").all()


def test_another_margin_makes_other_crops(made, tmp_path):
    copy = Made(tmp_path / "copy")
    shutil.copytree(made.folder, copy.folder)
    before = set(copy.frame("objects").sha256)
    copy.settings(objects={"boxes": "boxes.json", "context": 0.0})

    copy.job("shard_job", copy.bench.source.shards()[0])
    copy.job("shard_job", copy.bench.source.shards()[1])

    assert not before & set(copy.frame("objects").query("outcome == 'ok'").sha256)


def test_classes_of_boxes_are_guesses_unless_the_settings_call_them_labels(made, tmp_path):
    copy = Made(tmp_path / "copy")
    shutil.copytree(made.folder, copy.folder)
    rows = "\n".join(f"scene-{number}.jpg,seed,street" for number in range(10))
    (copy.folder / "images.csv").write_text(f"key,split,class_id\n{rows}\n")
    dataset = yaml.safe_load(copy.file.read_text())["dataset"]
    copy.settings(dataset={**dataset, "labels": {"file": "images.csv"}})
    labels = copy.bench.labels

    name = copy.frame("objects").object_id.iloc[0]

    assert labels.visible(name, name.partition("/")[2], box_class="rocket")[0] is None
    assert labels.truth(name, name.partition("/")[2]) is None


def test_classes_of_boxes_are_read_once_however_many_objects_are_asked_about(made, monkeypatch):
    labels, objects = made.bench.labels, made.frame("objects").query("outcome == 'ok'")
    reads = []
    listed = Lake.partitions
    monkeypatch.setattr(Lake, "partitions", lambda *a, **k: reads.append(a[1]) or listed(*a, **k))

    truths = [labels.truth(name, name.partition("/")[2]) for name in objects.object_id]

    assert truths == objects.class_name.tolist()
    assert reads == ["objects"]
