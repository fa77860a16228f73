"""The commands, as people type them."""

import errno
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import click
import pyarrow as pa
import pytest
import yaml
from click.testing import CliRunner, Result
from conftest import Made, members, write_tar
from web_uis import web_uis

from benchmarks.measuring import process_tree
from vlmine_dagster.cli.group import ErrorReportingGroup
from vlmine_dagster.cli.main import main
from vlmine_dagster.resources.tracking import dagster_url
from vlmine_dagster.settings.plain_paths import plain_path


def vlmine(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


@pytest.fixture
def inside(finished: Made, monkeypatch: pytest.MonkeyPatch) -> Made:
    """A finished project, with the working folder in it."""
    monkeypatch.chdir(finished.folder)
    monkeypatch.setenv("COLUMNS", "200")
    return finished


def test_init_and_run_on_a_folder_of_images(tmp_path, monkeypatch, prepared_home):
    monkeypatch.chdir(tmp_path)
    for name, data in members({"coffee": 5, "rocket": 1}, start=0).items():
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(data)

    written = vlmine("init", "photos")
    outcome = vlmine("run", "--json")

    assert written.exit_code == 0, written.output
    assert "folder, no labels, so only novelty can be mined" in written.output
    assert outcome.exit_code == 0, outcome.output
    found = json.loads(outcome.stdout)
    assert found["failures"] == []
    assert "task_model" in found["skipped"]
    assert ["mining_report", "novelty_min"] in found["materialized"]

    listed = json.loads(vlmine("top", "--experiment", "novelty_min", "-n", "2", "--json").stdout)

    assert [row["rank"] for row in listed] == [1, 2]
    assert "keyword" in listed[0]["reason"]


def write_photos(folder):
    """Write coffee-0.jpg to coffee-2.jpg, and two rockets."""
    folder.mkdir(parents=True)
    for name, data in members({"coffee": 3, "rocket": 2}, start=0).items():
        (folder / name).write_bytes(data)


def test_labels_whose_keys_match_no_image_are_told_by_init_doctor_and_run(tmp_path, monkeypatch, prepared_home):
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "photos/cups")
    (tmp_path / "labels.csv").write_text("key,split,class_id\n000001,seed,cup\n000002,seed,rocket\n")

    started = vlmine("init", "photos")
    Made(tmp_path).keep_experiments("entropy")
    broken = {row["subject"]: row for row in json.loads(vlmine("doctor", "--json").stdout)}["labels"]
    failures = json.loads(vlmine("run", "--json").stdout)["failures"]
    (tmp_path / "labels.csv").write_text("key,split,class_id\ncups/coffee-0.jpg,seed,cup\nx,seed,cup\ny,seed,cup\n")
    partly = {row["subject"]: row for row in json.loads(vlmine("doctor", "--json").stdout)}["labels"]

    sentence = (
        "none of its 2 rows belongs to one of the images. A key in it is '000001'; an image is "
        "'shard-000/cups/rocket-1.jpg', and its row must have that as its key, or only 'cups/rocket-1.jpg'."
    )
    assert sentence in started.stderr
    assert (broken["state"], broken["found"]) == ("fail", sentence)
    assert [sentence in text for asset, _, text in failures if asset == "task_model"] == [True]
    assert partly["state"] == "warn"
    assert partly["found"].startswith("2 of its 3 rows belong to no image. A key in it is 'x'")


def test_init_reads_a_plain_list_of_names_and_classes_as_the_labelled_set(tmp_path, monkeypatch, prepared_home):
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "photos/cups")
    (tmp_path / "labels.csv").write_text("Image,Label\ncoffee-0,cup\nrocket-1,rocket\n")

    started = vlmine("init", "photos")

    assert "labels.csv has no splits: its rows with a class are the labelled set (default_split: seed)." in (
        started.output
    )
    assert "dataset.labels.key_format: cups/{}.jpg" in started.output
    labels = json.loads(vlmine("doctor", "--json").stdout)
    assert [(one["state"], one["found"]) for one in labels if one["subject"] == "labels"] == [("ok", "2 rows")]


def test_a_plain_list_that_names_a_class_for_every_image_is_a_benchmark(tmp_path, monkeypatch, prepared_home):
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "photos")
    names = ["coffee-0", "coffee-1", "coffee-2", "rocket-0", "rocket-1"]
    (tmp_path / "labels.csv").write_text("image,label\n" + "".join(f"{name}.jpg,{name[:-2]}\n" for name in names))

    started = vlmine("init", "photos")

    labels = yaml.safe_load((tmp_path / "vlmine.yaml").read_text())["dataset"]["labels"]
    assert (labels["default_split"], labels["oracle"]) == ("pool", True)
    assert "no splits and a row for every image: as on a benchmark, a fifth is drawn" in started.output


def test_init_does_not_overwrite_what_a_person_wrote(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tar(tmp_path / "data/a.tar", members({"coffee": 1}, start=0))
    (tmp_path / "vlmine.yaml").write_text("name: mine\n")

    refused = vlmine("init", "data")
    forced = vlmine("init", "data", "--force", "--name", "my pool!")

    assert refused.exit_code == 1
    assert "already exists" in refused.stderr
    assert forced.exit_code == 0
    assert "name: my-pool\n" in (tmp_path / "vlmine.yaml").read_text()


def test_init_takes_several_box_files_and_names_the_format_of_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tar(tmp_path / "data/a.tar", members({"coffee": 1}, start=0))
    (tmp_path / "voc").mkdir()
    (tmp_path / "voc/coffee.xml").write_text("<annotation/>")
    (tmp_path / "found.csv").write_text("image_id,x,y,width,height\n")
    (tmp_path / "via.json").write_text('{"_via_settings": {}}')

    refused = vlmine("init", "data", "--boxes", "via.json")
    taken = vlmine("init", "data", "--boxes", "voc", "--boxes", "found.csv")

    assert refused.exit_code == 1
    assert "via.json: no file in it is of a known format of boxes (coco," in refused.stderr
    assert "objects by voc (voc), found.csv (table)" in taken.stdout
    assert "  boxes:\n  - voc\n  - found.csv\n" in (tmp_path / "vlmine.yaml").read_text()


def test_init_reads_the_box_files_and_says_what_they_hold_or_what_is_wrong(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tar(tmp_path / "data/a.tar", members({"coffee": 1}, start=0))
    boxes = "image_id,x,y,width,height,label\ncoffee-0,9,9,60,50,cup\ncoffee-0,1,1,9,9,cup\ncoffee-0,2,2,8,8,spoon\n"
    (tmp_path / "boxes.csv").write_text(boxes)
    whole = {
        "images": [{"id": 1, "file_name": "coffee-0.jpg", "width": 90, "height": 90}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
        "categories": [{"id": 1, "name": "cup"}],
    }
    (tmp_path / "cut.json").write_text(json.dumps(whole)[:-30])

    taken = vlmine("init", "data", "--boxes", "boxes.csv")
    cut = vlmine("init", "data", "--force", "--boxes", "cut.json")
    (tmp_path / "none.csv").write_text("image_id,x,y,width,height\ncoffee-0,9,9,60,50\n")
    none = vlmine("init", "data", "--force", "--boxes", "none.csv")

    assert "boxes.csv: 3 boxes with a class: cup (2), spoon (1).\n" in taken.stdout
    assert cut.exit_code == 0
    assert "cut.json cannot be read as boxes: it is not JSON, or is truncated" in cut.stderr
    assert "none.csv: no box with a class.\n" in none.stdout


def test_without_a_project_every_command_says_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    for words in (["run"], ["status"], ["top"], ["explain", "x"], ["compare"]):
        result = vlmine(*words)
        assert result.exit_code == 1
        assert "Make one with `vlmine init FOLDER`" in result.stderr


def test_a_run_says_that_its_settings_changed_while_it_worked(inside: Made, monkeypatch):
    from vlmine_dagster.automation.runner import Runner

    run = Runner.run

    def changed_meanwhile(self: Runner, **chosen):
        inside.file.write_text(inside.file.read_text() + "# later\n")
        return run(self, **chosen)

    assert "changed while this run worked" not in vlmine("run").stdout
    monkeypatch.setattr(Runner, "run", changed_meanwhile)
    assert "vlmine.yaml changed while this run worked: run `vlmine run` again" in vlmine("run").stdout


def test_status_shows_every_table(inside: Made):
    shown = vlmine("status")
    rows = json.loads(vlmine("status", "--json").stdout)

    assert shown.exit_code == 0
    assert "novelty_scores" in shown.output
    assert {row["table"]: row["states"] for row in rows}["images"] == {"fresh": 4}
    assert {row["table"]: row["rows"] for row in rows}["images"] == 46


def test_status_names_what_is_missing_and_stale(inside: Made):
    inside.bench.lake.remove("embeddings", "pool/b")
    inside.replace_shard("pool/c", members({"coffee": 1}, start=90))

    rows = {row["table"]: row for row in json.loads(vlmine("status", "--json").stdout)}

    assert rows["images"]["states"] == {"fresh": 3, "stale": 1}
    assert rows["images"]["not_fresh"] == ["pool/c"]
    assert rows["embeddings"]["not_fresh"] == ["pool/b", "pool/c"]  # missing, and made of what is stale
    assert rows["vocab_counts"]["states"] == {"stale": 1}
    assert "1 missing, 1 stale: pool/b, pool/c" in vlmine("status").output


def test_top_shows_ranks_and_reasons(inside: Made):
    shown = vlmine("top", "-n", "3")

    assert shown.exit_code == 0
    assert "Top images of fused" in shown.output
    assert "isolated in appearance" in shown.output
    assert "front 1" in vlmine("top", "--experiment", "pareto", "-n", "3").output


def test_lists_that_are_no_longer_what_a_run_would_make_are_called_stale(inside: Made):
    export = ("export", "--experiment", "pareto", "--to", "list.csv")
    fresh = [vlmine(*words) for words in (("top",), ("compare",), export)]
    inside.settings(describer={"kind": "tagger", "top": 2})
    stale = [vlmine(*words) for words in (("top",), ("compare",), export)]

    assert [result.exit_code for result in (*fresh, *stale)] == [0] * 6
    assert not any("stale" in result.output for result in fresh)
    assert "The list of fused is stale: what was read has changed since." in stale[0].output
    assert re.search("The lists of .*fused.* are stale", stale[1].output)
    assert "The list of pareto is stale" in stale[2].output


def test_top_without_a_name_shows_a_list_that_was_made(inside: Made):
    inside.bench.lake.remove("pareto_set", "fused")
    assert "Top images of pareto" in vlmine("top", "-n", "1").output
    inside.bench.lake.remove("pareto_set", "pareto")
    assert "Top images of entropy" in vlmine("top", "-n", "1").output


def test_an_unknown_experiment_is_answered_with_the_known_ones(inside: Made):
    result = vlmine("top", "--experiment", "magic")

    assert result.exit_code == 1
    assert "there is no experiment 'magic'. There are: random, entropy" in result.stderr


def test_the_score_can_be_recomputed_from_the_card(inside: Made):
    first = json.loads(vlmine("top", "--experiment", "pareto", "-n", "1", "--json").stdout)[0]["image_id"]

    card = json.loads(vlmine("explain", first, "--json").stdout)
    counts = [word["image_count"] for word in card["keywords"]]

    assert card["novelty"]["novelty_min"] == pytest.approx(1 / min(counts))
    assert card["novelty"]["novelty_mean"] == pytest.approx(len(counts) / sum(counts))
    assert card["experiments"]["pareto"]["rank"] == 1
    assert card["experiments"]["pareto"]["signals"]["novelty_min"]["value"] == card["novelty"]["novelty_min"]
    assert "mined by" in card["verdict"]
    shown = vlmine("explain", first)
    assert f"novelty_min = 1 / {min(counts)}" in shown.output
    assert "entropy: how uncertain the task model is over all classes, in nats" in shown.output


def test_the_card_says_in_words_why_fused_mined_an_image_and_what_counts_how_often(inside: Made):
    first = json.loads(vlmine("top", "--experiment", "fused", "-n", "1", "--json").stdout)[0]["image_id"]

    shown = " ".join(vlmine("explain", first).output.split())

    assert "mined by fused: unlike any labelled class · " in shown
    assert ", weight 8), chosen_sparsity" in shown


def test_the_card_and_the_list_give_a_signal_the_same_value_and_rank(inside: Made):
    listed = json.loads(vlmine("top", "--experiment", "pareto", "-n", "12", "--json").stdout)
    assert listed[0]["selected"]
    for row in (row for row in listed if row["selected"]):
        card = json.loads(vlmine("explain", row["image_id"], "--json").stdout)
        signals = card["experiments"]["pareto"]["signals"]
        (images,) = re.findall(r'keyword ".+" in ([\d,]+) images?', row["reason"])
        (place,) = re.findall(r"· (?:([\d,]+)\w\w )?least certain prediction", row["reason"])
        assert (
            int(images.replace(",", "")) == round(1 / signals["novelty_min"]["value"]) == card["novelty"]["min_count"]
        )
        assert int(place.replace(",", "") or 1) == int(signals["entropy"]["rank"] + 0.5)  # ties share a mid-rank


def test_explain_says_why_an_image_was_never_mined(inside: Made):
    test_image = vlmine("explain", "test/t/coffee-50")

    assert "never mined: it is in the test split" in test_image.output
    assert "has no such image" in vlmine("explain", "pool/a/nothing").stderr
    assert "nowhere" in vlmine("explain", "nowhere/x").stderr


def test_explain_takes_how_an_id_or_a_file_ends_where_only_one_does(inside: Made):
    for ending in ("rocket-0", "a/rocket-0", "rocket-0.jpg", "pool/a.tar/rocket-0.jpg"):
        assert json.loads(vlmine("explain", ending, "--json").stdout)["image_id"] == "pool/a/rocket-0"
    inside.replace_shard(
        "pool/b", {f"{folder}/x.jpg": data for folder, data in members({"coffee": 2}, start=0).items()}
    )
    assert vlmine("run", "--shard", "pool/b").exit_code == 0

    told = vlmine("explain", "x.jpg")

    assert told.exit_code == 1
    assert "several images end in 'x.jpg', such as pool/b/coffee-0.jpg/x, pool/b/coffee-1.jpg/x." in told.stderr
    assert "has no such image: 'ocket-0'" in vlmine("explain", "ocket-0").stderr


def test_status_lists_the_images_that_failed_and_why(inside: Made):
    assert "--failures" not in vlmine("status").output
    images = inside.frame("images", "pool/b")
    images.loc[0, ["outcome", "failure"]] = ["corrupt", "the JPEG is cut"]
    inside.bench.lake.publish("images", "pool/b", pa.Table.from_pandas(images, preserve_index=False), inputs="x")
    name = images.image_id[0]

    rows = json.loads(vlmine("status", "--failures", "--json").stdout)

    told = {"outcome": "corrupt", "failure": "the JPEG is cut"}
    assert rows == [{"table": "images", "variant": "default", "image_id": name, **told}]
    assert f"images corrupt {name}: the JPEG is cut" in vlmine("status", "--failures").output
    assert "`vlmine status --failures`" in vlmine("status").output


def test_compare_shows_recall_with_intervals_and_says_that_one_draw_shows_nothing(inside: Made):
    found = json.loads(vlmine("compare", "--json").stdout)
    shown = vlmine("compare")

    rows = found["experiments"]
    assert [row["experiment"] for row in rows] == list(inside.project.settings.experiments)
    point = rows[0]["few_recall"][0]
    assert point["low"] <= point["value"] <= point["high"]
    assert "95% Wilson intervals" in shown.output
    assert found["words"][0].startswith("one draw only: says nothing about other seeds. `vlmine study draws`")
    assert found["words"][1] == "many/medium/few classes: 0/1/2 by >100 / 20-100 / <20, 0/1/2 by >=100 / 21-99 / <=20"
    assert all(row["mlflow_run_id"] in found[url] for row in rows for url in ("mlflow_url", "mlflow_curves_url"))
    assert found["mlflow_curves_url"].endswith("&compareRunsMode=CHART")
    assert "compare-runs?runs=" in shown.output


def test_compare_tells_what_draws_show_as_soon_as_there_are_some(inside: Made):
    report = json.loads(vlmine("study", "draws", "--draws", "2", "--json").stdout)
    found = json.loads(vlmine("compare", "--with", "random", "--json").stdout)
    shown = vlmine("compare")
    unknown = vlmine("compare", "--with", "rando")

    for words, reference in ((report["words"], "entropy"), (found["words"], "random")):
        others = ", ".join(name for name in inside.project.settings.experiments if name != reference)
        assert words[0] == f"nothing is shown between {others} and {reference} at 30%: 2 draws only, 30 are needed"
    [spread, differences] = found["tables"]
    assert spread == "Recall of few-shot images, mean ± standard deviation over 2 draws"
    assert differences == "Minus random, paired, 95% interval; * is significant"
    assert [row["arm"] for row in found["tables"][differences]] == list(inside.project.settings.experiments)[1:]
    assert "Minus entropy" in shown.output
    assert "there is no experiment 'rando'" in unknown.stderr


def test_ctrl_c_ends_a_study_and_is_no_failure_of_it(inside: Made, monkeypatch):
    monkeypatch.setattr(
        "vlmine_dagster.cli.progress.RunDisplay._on_step", lambda *_: os.kill(os.getpid(), signal.SIGINT)
    )

    stopped = vlmine("study", "draws", "--draws", "2")

    assert (stopped.exit_code, stopped.stderr) == (130, "Stopped. Finished work is kept.\n")


def test_studies_are_listed_with_what_they_ask(inside: Made):
    asked = json.loads(vlmine("study", "--json").stdout)

    assert asked["draws"] == "Which experiments find more of the tail, whatever the labelled seed?"
    assert "draws" in vlmine("study").output
    assert "there is no study 'drawz'. Did you mean 'draws'?" in vlmine("study", "drawz").stderr


def test_settings_lists_every_setting_with_its_meaning():
    shown = vlmine("settings").output

    assert "dataset.labels.seed_fraction" in shown
    assert "retraining.budgets" in shown


def test_settings_name_their_kind_and_say_once_what_all_kinds_share(monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    lines = vlmine("settings").output.splitlines()
    told = {line.strip().partition("  ")[0] for line in lines}

    assert {"describer.kind: openai", "describer.kind: tagger", "dataset.kind: folder"} <= told
    assert sum(line.strip().startswith("dataset.labels.file ") for line in lines) == 1
    assert [line for line in lines if line.startswith("  dataset.max_bytes")] == [
        "  dataset.max_bytes = 200000000000  Larger files are refused as corrupt without being opened."
    ]  # that of tiles alone is another one
    assert any(line.startswith("grounding.describer ") and "Holds what `describer` holds." in line for line in lines)
    assert "  describer.model (needed)" in {f"  {one}" for one in told}


def test_settings_are_found_by_words_in_their_names_kinds_and_meanings(monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    by_kind = vlmine("settings", "describer", "OpenAI").output
    by_meaning = json.loads(vlmine("settings", "half the price", "--json").stdout)
    by_signal = vlmine("settings", "embedding_sparsity").output

    assert "describer.temperature = 0.0" in by_kind
    assert "describer.top" not in by_kind and "keyworder.model" not in by_kind
    assert [one["path"] for one in by_meaning["settings"]] == ["keyworder.kind", "keyworder.batch"]
    assert by_meaning["settings"][1] | {"meaning": ""} == {
        "path": "keyworder.batch", "part": "keyworder", "kind": "openai", "default": "False", "is_required": False,
        "meaning": "",
    }  # fmt: skip
    assert by_signal.split()[:4] == ["Signals", "of", "an", "experiment"]
    assert "no setting is about 'nigthly'. Did you mean 'nightly_cron'?" in vlmine("settings", "nigthly").stderr


def test_doctor_looks_at_installation_and_project(inside: Made):
    found = {row["subject"]: row for row in json.loads(vlmine("doctor", "--json").stdout)}

    assert found["dataset"]["state"] == "ok"
    assert found["dataset"]["found"].startswith("4 shards")
    assert found["mlflow server"]["state"] == "ok"
    assert all(row["state"] != "fail" for row in found.values())
    assert "onnxruntime" in vlmine("doctor").output


def test_doctor_names_what_is_broken_and_what_to_do(inside: Made):
    (inside.folder / "labels.csv").unlink()

    result = vlmine("doctor")

    assert result.exit_code == 1
    assert "Correct dataset.labels in vlmine.yaml" in result.output


def test_doctor_fails_where_the_settings_are_wrong_and_warns_where_there_are_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for content, code, advice in (
        (None, 0, "`vlmine demo` makes one"),
        ("max_cost_usd: 50$", 1, "`vlmine settings WORD`"),
    ):
        if content is not None:
            (tmp_path / "vlmine.yaml").write_text(content)

        result = vlmine("doctor")

        assert result.exit_code == code
        assert advice in result.output


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/home/x.parquet"),
            "/home/x.parquet: No space left on device. Make room",
        ),
        (sqlite3.OperationalError("database or disk is full"), "disk is full. Make room, or set VLMINE_HOME"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files. Allow more open files"),
        (OSError(errno.EACCES, "Permission denied"), None),
        (sqlite3.OperationalError("attempt to write a readonly database"), "readonly database"),
        (ValueError("something else"), None),
    ],
)
def test_a_full_disk_ends_a_command_in_one_line_wherever_it_is_met(error, told):
    @click.group(cls=ErrorReportingGroup)
    def group():
        pass

    @group.command()
    def write():
        try:
            raise error
        except Exception as cause:
            raise RuntimeError("a library's own words") from cause  # as SQLAlchemy and Dagster wrap what they meet

    done = CliRunner().invoke(group, ["write"])

    assert isinstance(done.exception, SystemExit if told else RuntimeError)
    assert told is None or (done.stderr.startswith("vlmine: ") and told in done.stderr)
    assert done.exit_code == 1


def test_two_runs_at_once_are_refused(inside: Made):
    from filelock import FileLock

    with FileLock(inside.project.state_folder("locks") / "run.lock"):
        result = vlmine("run")

    assert result.exit_code == 1
    assert "another `vlmine run` is at work" in result.stderr


def test_an_unknown_shard_is_answered_with_the_known_ones(inside: Made):
    result = vlmine("run", "--shard", "pool/z")

    assert "there is no shard 'pool/z'. There are: pool/a, pool/b, pool/c, test/t" in result.stderr


def test_a_failure_is_printed_and_the_exit_status_says_so(inside: Made):
    inside.replace_shard("pool/b", {"x.jpg": b"no image"})

    result = vlmine("run", "--shard", "pool/b")

    assert result.exit_code == 1
    assert "failed  images[pool/b]: 1 of 1 images failed" in result.output
    assert "Fix what failed and run `vlmine run` again" in result.output


def test_help_is_quick_and_names_every_command():
    started = time.monotonic()
    shown = subprocess.run(
        [sys.executable, "-m", "vlmine_dagster", "--help"], capture_output=True, text=True, check=True
    )

    assert time.monotonic() - started < 3
    for command in ("init", "run", "status", "top", "explain", "compare", "ui", "doctor", "demo", "settings"):
        assert f"  {command} " in shown.stdout


def test_loading_the_definitions_imports_nothing_heavy(finished: Made):
    code = (
        "import sys; from vlmine_dagster import definitions; definitions.build_definitions("
        "__import__('vlmine_dagster.settings.project').settings.project.Project.load());"
        "heavy = {'torch', 'mlflow', 'great_expectations', 'transformers', 'onnxruntime', 'matplotlib', 'openai'};"
        "print(sorted(heavy & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=finished.folder, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_dagster_finds_the_definitions_valid(finished: Made):
    workspace = Path(__file__).parent.parent.parent / "workspace.yaml"
    home = finished.folder / "dagster_home"
    home.mkdir()
    environment = {**os.environ, "DAGSTER_HOME": str(plain_path(home)), "DAGSTER_DISABLE_TELEMETRY": "yes"}

    done = subprocess.run(
        [str(Path(sys.executable).parent / "dagster"), "definitions", "validate", "-w", str(workspace)],
        cwd=finished.folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "All code locations passed validation" in done.stderr + done.stdout


@pytest.mark.slow
def test_both_web_uis_start_on_one_history_and_stop_together(finished: Made):
    with web_uis(finished.folder) as served:
        ports = served.dagster_port, served.mlflow_port
        for port in ports:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as page:
                assert page.status == 200
        assert dagster_url(finished.project, "r") == f"http://127.0.0.1:{ports[0]}/runs/r"
        assert f":{ports[1]}/#/compare-runs" in finished.bench.tracking.comparison_url(["r"])
        processes = process_tree(served.pid)
        with urllib.request.urlopen(
            f"http://127.0.0.1:{ports[1]}/ajax-api/2.0/mlflow/experiments/get-by-name?experiment_name="
            f"{finished.project.settings.name}"
        ) as answer:
            experiment = json.load(answer)["experiment"]["experiment_id"]
    runs = f"http://127.0.0.1:{ports[1]}/#/experiments/{experiment}/runs?workflowType=machine_learning"
    assert served.runs_url == runs  # its own first page is about chat traces
    # The command, MLflow, Dagster's web UI and daemon, the code server and its child; job workers would be seven more.
    assert len(processes) == 6, [one.command for one in processes]
    assert sum(one.mb for one in processes) < 1200
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_taken_port_is_named(inside: Made):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = vlmine("ui", "--port", str(taken.getsockname()[1]))

    assert result.exit_code == 1
    assert "cannot be used" in result.stderr


@pytest.mark.slow
def test_the_demo_shows_the_rare_ones_and_a_second_time_does_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    first = vlmine("demo")
    second = vlmine("demo")

    assert first.exit_code == 0, first.output
    assert "70 made" in first.output
    assert "Top images of fused" in first.output
    assert "0 made, 70 already fresh" in second.output
    page = tmp_path / ".vlmine/reports/fused.html"
    assert page.read_text().count("data:image/jpeg;base64") >= 60
    rows = json.loads(vlmine("compare", "--json").stdout)["experiments"]
    recall = {row["experiment"]: row["few_recall"][2]["value"] for row in rows}
    assert recall["pareto"] > 3 * recall["random"]
    assert recall["fused"] > 3 * recall["random"]
