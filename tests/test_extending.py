"""The package of docs/extending.md, installed as it is written there, and broken ones beside it."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from conftest import jpeg

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```\w+\n# (\S+)\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder into which pip has put the package of the document, and a broken one."""
    project, target = tmp_path_factory.mktemp("package"), tmp_path_factory.mktemp("installed")
    (project / "vlmine_example").mkdir()
    (project / "vlmine_example" / "__init__.py").touch()
    for document in ("extending.md", "signals.md"):
        for name, text in BLOCK.findall((ROOT / "docs" / document).read_text(encoding="utf-8")):
            (project / name).write_text(text, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "-q"]
    subprocess.run([*pip, "--target", target, project], check=True, timeout=300)
    about = target / "vlmine_broken-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: vlmine-broken\nVersion: 1\n")
    entries = "[vlmine.describers]\ncrash = broken_describer:PLUGIN\n[vlmine.sources]\nodd = json:loads\n"
    (about / "entry_points.txt").write_text(entries)
    (target / "broken_describer.py").write_text("raise RuntimeError('no licence found')\n")
    return target


@pytest.fixture(scope="module")
def folder(installed, state, tmp_path_factory) -> Path:
    """A project of zips, mined by the installed describer and keyworder."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(state, folder / ".vlmine")
    (folder / "zips").mkdir()
    for shard, names in {"a": ("coffee", "rocket"), "b": ("chelsea",)}.items():
        with zipfile.ZipFile(folder / "zips" / f"{shard}.zip", "w") as archive:
            for name in names:
                archive.writestr(f"{name}.jpg", jpeg(name, 0))
    vlmine(installed, folder, "init", "zips")
    change(folder, describer={"kind": "brightness", "threshold": 100}, keyworder={"kind": "capitals"})
    spread = {"signals": ["novelty_min"], "budget": 2, "diversity": {"kind": "spread"}}
    rare, narrow = {"signals": ["novelty_min"]}, {"signals": ["narrowness"]}
    change(folder, experiments={"rare": rare, "narrow": narrow, "spread": spread})
    return folder


@pytest.fixture(scope="module")
def maps(installed, state, tmp_path_factory) -> Path:
    """A project whose items are grids of heights, not pictures: two low ones, a high one and a broken one."""
    folder = tmp_path_factory.mktemp("maps")
    shutil.copytree(state, folder / ".vlmine")
    (folder / "maps").mkdir()
    for name, text in {"low-1": "10 20\n30 40", "low-2": "5 5\n5 9", "high": "900 999\n999 990", "bad": "sea"}.items():
        (folder / "maps" / f"{name}.asc").write_text(text)
    vlmine(installed, folder, "init", "maps")
    change(folder, describer={"kind": "brightness"}, keyworder={"kind": "capitals"})
    change(folder, experiments={"rare": {"signals": ["novelty_min"]}}, budget=3)
    vlmine(installed, folder, "run")
    return folder


@pytest.fixture(scope="module")
def doctor(installed, folder) -> dict[str, dict[str, str]]:
    """The lines of `vlmine doctor`, by subject."""
    return {line["subject"]: line for line in json.loads(vlmine(installed, folder, "doctor", "--json"))}


def vlmine(installed: Path, folder: Path, *words: str, code: int = 0) -> str:
    """What a command prints, in a process that has the packages on its path."""
    path = os.pathsep.join([str(ROOT), str(installed)])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "vlmine_dagster", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def change(folder: Path, **settings: object) -> None:
    file = folder / "vlmine.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **settings}))


def test_init_recognizes_the_dataset_of_a_plugin(folder):
    assert yaml.safe_load((folder / "vlmine.yaml").read_text())["dataset"] == {"kind": "zips", "root": "zips"}


def test_the_installed_package_mines_although_a_broken_one_is_beside_it(installed, folder):
    vlmine(installed, folder, "run")
    printed = vlmine(installed, folder, "export", "--experiment", "rare", "--to", "mined.jsonl", "-n", "3")

    rows = [json.loads(line) for line in (folder / "mined.jsonl").read_text().splitlines()]
    assert "3 images of rare" in printed
    assert [row["image_id"] for row in rows] == ["b/chelsea.jpg", "a/coffee.jpg", "a/rocket.jpg"]
    assert rows[0]["reason"].startswith('keyword "bright" in 1 image')
    narrow = json.loads(vlmine(installed, folder, "top", "--experiment", "narrow", "-n", "3", "--json"))
    widths = [-row["narrowness"] for row in narrow]
    assert widths == sorted(widths)
    spread = json.loads(vlmine(installed, folder, "top", "--experiment", "spread", "-n", "2", "--json"))
    assert [row["image_id"] for row in spread] == ["b/chelsea.jpg", "a/rocket.jpg"]
    assert spread[1]["reason"].endswith(" · spread over the ranking")


def test_a_medium_of_a_plugin_is_recognized_and_mined(maps):
    lake, settings = maps / ".vlmine" / "lake", yaml.safe_load((maps / "vlmine.yaml").read_text())
    images = {row["image_id"].rpartition("/")[2]: row for row in pq.read_table(lake / "images").to_pylist()}
    ranked = pq.read_table(lake / "pareto_set").sort_by("rank").to_pylist()

    assert settings["dataset"] == {"kind": "folder", "root": "maps", "medium": {"kind": "heights"}, "shard_count": 1}
    assert {name: row["outcome"] for name, row in images.items()} == {
        "bad.asc": "corrupt",
        "high.asc": "ok",
        "low-1.asc": "ok",
        "low-2.asc": "ok",
    }
    assert images["bad.asc"]["failure"].startswith("no grid of heights: could not convert string 'sea'")
    assert (images["high.asc"]["width"], images["high.asc"]["height"]) == (2, 2)
    assert ranked[0]["image_id"] == "shard-000/high.asc"
    assert ranked[0]["reason"].startswith('keyword "bright" in 1 image')
    assert pq.read_table(lake / "embeddings").num_rows == len(ranked) == 3
    assert (maps / ".vlmine/reports/rare.html").read_text().count('src="data:image/jpeg') == 3


def test_plugins_are_named_where_people_look_for_kinds(installed, folder, doctor):
    assert doctor["describers"]["found"] == "captions, openai, tagger, transformers, brightness"
    assert doctor["sources"]["found"] == (
        "argoverse2, audio, folder, kitti, nuscenes, parquet, tiles, video, waymo, webdataset, zips"
    )
    assert doctor["media"]["found"] == "audio, bands, dicom, lidar, photo, heights"
    assert doctor["keyworders"]["found"].endswith("capitals")
    assert doctor["task models"]["found"] == "cnn, predictions, probe, transformers"
    assert doctor["retrained models"]["found"] == "cnn, probe, resnet18, transformers"
    assert doctor["diversities"]["found"] == "coverage, k_center, spread"
    assert doctor["formats"]["found"] == (
        "coco, csv, cvat, fiftyone, huggingface, label-studio, parquet, webdataset, yolo, jsonl"
    )
    assert "describer.threshold = 128" in vlmine(installed, folder, "settings")
    assert "jsonl" in vlmine(installed, folder, "export", "--help")


def test_a_broken_plugin_is_named_with_its_package_and_reason(doctor):
    assert doctor["describer crash"]["state"] == doctor["source odd"]["state"] == "warn"
    assert "vlmine-broken: broken_describer:PLUGIN cannot be loaded (RuntimeError: no licence" in str(doctor)
    assert doctor["source odd"]["found"] == "vlmine-broken: expected a SourcePlugin, got function"
    assert doctor["source odd"]["advice"] == "Fix or uninstall vlmine-broken; the others work."


@pytest.mark.parametrize(
    ("describer", "told"),
    [
        (
            {"kind": "brightnes"},
            "describer.kind: expected captions, openai, tagger, transformers, brightness, crash, got 'brightnes' "
            "(did you mean 'brightness'?)",
        ),
        ({"kind": "crash"}, "describer.kind: the plug-in vlmine.describers 'crash' of package vlmine-broken: broken_"),
        (
            {"kind": "brightness", "treshold": 1},
            "describer.treshold: there is no such setting (did you mean 'threshold'?)",
        ),
    ],
)
def test_wrong_settings_of_plugins_are_answered_as_those_of_our_own(installed, folder, tmp_path, describer, told):
    (tmp_path / "vlmine.yaml").write_text((folder / "vlmine.yaml").read_text())
    change(tmp_path, describer=describer)

    assert told in vlmine(installed, tmp_path, "status", code=1)
