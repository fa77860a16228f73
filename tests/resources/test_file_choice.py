"""Which files are images, which are left out, how they are named, and where links may lead."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import unicodedata

import fsspec
import numpy as np
import pytest
from PIL import Image

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.intake import inspect_shard
from vlmine_dagster.resources.sources import open_source
from vlmine_dagster.resources.sources.choice import FileChoice
from vlmine_dagster.resources.sources.ignored import ignored_line
from vlmine_dagster.settings import DatasetSettings
from vlmine_dagster.settings.project import Project, ProjectSettings

ODD_FOLDER = "Bob's [old] pool? 100%20 #2"


def jpeg(number=0):
    values = np.random.default_rng(number).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "JPEG")
    return file.getvalue()


def tar_of(*names):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for number, name in enumerate(names):
            entry = tarfile.TarInfo(name)
            entry.size = len(jpeg(number))
            tar.addfile(entry, io.BytesIO(jpeg(number)))
    return file.getvalue()


def write(folder, files):
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return folder


def open_at(root, home, *, kind="folder", **settings):
    shards = {"shard_count": 1} if kind == "folder" else {}
    dataset = DatasetSettings.of_kind({"kind": kind, "root": str(root), **shards, **settings})
    home.mkdir(parents=True, exist_ok=True)
    return open_source(Project(settings=ProjectSettings(name="pool", dataset=dataset), folder=home))


def images_of(source, shard="shard-000"):
    return {raw.key: raw.failure for raw in source.read(shard)}


LEFT_BEHIND = {
    "a.jpg": jpeg(),
    "b.HEIC": jpeg(),
    "one.zip": b"PK",
    "two.zip": b"PK",
    "data.arrow": b"ARROW1",
    "9f86d081": jpeg(),
    "README": b"hello",
    ".DS_Store": b"",
    "._a.jpg": b"",
    "__MACOSX/._a.jpg": b"",
    "x/.ipynb_checkpoints/a-checkpoint.jpg": jpeg(),
    "x/@eaDir/a.jpg": jpeg(),
}


def test_what_is_not_used_is_counted_by_kind(tmp_path):
    source = open_at(write(tmp_path / "data", LEFT_BEHIND), tmp_path)
    assert images_of(source) == {"a.jpg": None, "b.HEIC": None}
    assert ignored_line(source) == (
        "ignored: 2 without an ending, 2 .zip, 1 .arrow, 2 hidden files, "
        "and what is in .ipynb_checkpoints, @eaDir, __MACOSX"
    )


def test_a_store_counts_the_same(tmp_path):
    memory = fsspec.filesystem("memory")
    for path, data in LEFT_BEHIND.items():
        memory.pipe(f"/left-behind/{path}", data)
    try:
        source = open_at("memory://left-behind", tmp_path)
        assert images_of(source) == {"a.jpg": None, "b.HEIC": None}
        assert ignored_line(source) == ignored_line(open_at(write(tmp_path / "data", LEFT_BEHIND), tmp_path))
    finally:
        memory.rm("/left-behind", recursive=True)


def test_nothing_is_said_where_all_is_used_and_label_files_are(tmp_path):
    labels = b"key,split,class_id\n"
    write(tmp_path / "data", {"a.jpg": jpeg(), "labels.csv": labels, "classes.csv": b"class_id,name\n"})
    places = {"file": str(tmp_path / "data/labels.csv"), "classes": str(tmp_path / "data/classes.csv")}
    assert ignored_line(open_at(tmp_path / "data", tmp_path, labels=places)) is None


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (["train/*"], [], {"train/a.jpg", "train/x/b.jpg"}),
        (["train/"], ["train/x/"], {"train/a.jpg"}),
        ([], ["test/", "*_mask.*"], {"train/a.jpg", "train/x/b.jpg", "c[1].jpg"}),
        (["c[[]1].jpg"], [], {"c[1].jpg"}),
    ],
)
def test_patterns_choose_files(tmp_path, include, exclude, expected):
    names = ["train/a.jpg", "train/x/b.jpg", "test/d.jpg", "c[1].jpg", "c_mask.jpg"]
    write(tmp_path / "data", {name: jpeg() for name in names})
    source = open_at(tmp_path / "data", tmp_path, include=include, exclude=exclude)
    assert images_of(source).keys() == expected
    assert ignored_line(source) == f"ignored: {len(names) - len(expected)} excluded"


def test_patterns_choose_tars_too_and_a_change_of_them_changes_no_id(tmp_path):
    write(tmp_path / "data", {f"{name}.tar": tar_of("1.jpg") for name in ("train-0", "test-0")})
    assert open_at(tmp_path / "data", tmp_path, kind="webdataset", exclude=["test-*"]).shards() == ["train-0"]


def test_names_without_an_ending_are_images_where_the_settings_say_so(tmp_path):
    write(tmp_path / "data", {"9f86d0818": jpeg(), "v1.2 of a file": jpeg(), "a.jpg": jpeg(), "b.png": jpeg()})
    source = open_at(tmp_path / "data", tmp_path, image_endings=["jpg", ""])
    assert images_of(source).keys() == {"9f86d0818", "v1.2 of a file", "a.jpg"}


def test_of_a_sample_the_chosen_ending_is_the_image(tmp_path):
    names = ["7.jpg", "7.seg.png", "7.depth.png", "a.b/8.JPG", "a.b/8.seg.png"]
    write(tmp_path / "data", {"s.tar": tar_of(*names)})
    assert len(images_of(open_at(tmp_path / "data", tmp_path, kind="webdataset"), "s")) == 5
    chosen = open_at(tmp_path / "data", tmp_path, kind="webdataset", image_endings=["jpg"])
    assert images_of(chosen, "s") == {"7": None, "a.b/8": None}
    both = open_at(tmp_path / "data", tmp_path, kind="webdataset", image_endings=["seg.png", "jpg"])
    assert images_of(both, "s").keys() == {"7", "7~2", "a.b/8", "a.b/8~2"}


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, bytes])
@pytest.mark.parametrize("name", ["s.tar", "s.tgz", "s.tar.xz"])
def test_the_first_bytes_of_a_tar_say_how_it_is_packed(tmp_path, name, pack):
    write(tmp_path / "data", {name: pack(tar_of("1.jpg", "2.jpg"))})
    assert images_of(open_at(tmp_path / "data", tmp_path, kind="webdataset"), "s") == {"1": None, "2": None}


def test_a_tar_packed_by_zstd_says_so(tmp_path):
    write(tmp_path / "data", {"s.tar": b"\x28\xb5\x2f\xfd" + bytes(100)})
    with pytest.raises(SourceError, match=r"s\.tar is packed by zstd, which is not read"):
        images_of(open_at(tmp_path / "data", tmp_path, kind="webdataset"), "s")


def test_files_of_a_table_format_are_no_shards(tmp_path):
    names = ["part-0", "_delta_log/00010.checkpoint", "_spark_metadata/0", "_common"]
    write(tmp_path / "data", {f"{name}.tar": tar_of("1.jpg") for name in names})
    source = open_at(tmp_path / "data", tmp_path, kind="webdataset")
    assert source.shards() == ["part-0"]
    assert ignored_line(source) == "ignored: 2 .tar, and what is in _delta_log"


LONG = "L" * 236 + ".jpg"
ODD_NAMES = {
    "a?b#c%20d[1]*{x}'\"$.jpg": "a?b#c%20d[1]*{x}'\"$.jpg",
    LONG: LONG,
    "two\nlines\t.jpg": r"two\x0alines\x09.jpg",
    os.fsdecode(b"caf\xe9.jpg"): r"caf\xe9.jpg",
    unicodedata.normalize("NFD", "é/ñ.jpg"): unicodedata.normalize("NFC", "é/ñ.jpg"),
    "~.jpg": "~.jpg",
    "😀 image.jpg": "😀 image.jpg",
}


@pytest.mark.parametrize("kind", ["folder", "webdataset"])
def test_any_name_of_a_file_makes_a_row(tmp_path, kind):
    root = tmp_path / ODD_FOLDER / "data"
    names = [name.replace("/", "_") for name in ODD_NAMES] if kind == "webdataset" else list(ODD_NAMES)
    root.mkdir(parents=True)
    if kind == "folder":
        for number, name in enumerate(names):
            write(root, {name: jpeg(number)})
    else:
        with tarfile.open(root / "it's [1].tar", "w", errors="surrogateescape") as tar:
            for number, name in enumerate(names):
                entry = tarfile.TarInfo(name)
                entry.size = len(jpeg(number))
                tar.addfile(entry, io.BytesIO(jpeg(number)))
    source = open_at(root, tmp_path / ODD_FOLDER, kind=kind)
    (shard,) = source.shards()
    rows = inspect_shard(source, shard, labels=None, max_pixels=1000)
    assert rows.num_rows == len(ODD_NAMES)
    assert set(rows.column("outcome").to_pylist()) == {"ok"}
    for text in (*rows.column("image_id").to_pylist(), *rows.column("uri").to_pylist()):
        assert text.encode()
        assert text.isprintable()
    if kind == "folder":
        assert set(rows.column("image_id").to_pylist()) == {f"{shard}/{key}" for key in ODD_NAMES.values()}
    some = {raw.key for raw in source.read(shard, keys={"~.jpg", ODD_NAMES[LONG]} | {"~"})}
    assert len(some) >= 1


def test_composed_and_decomposed_spellings_of_one_name_stay_two_images(tmp_path):
    names = [unicodedata.normalize(form, "é.jpg") for form in ("NFC", "NFD")]
    write(tmp_path / "data", {name: jpeg(number) for number, name in enumerate(names)})
    assert images_of(open_at(tmp_path / "data", tmp_path)).keys() == {"\u00e9.jpg", "\u00e9.jpg~2"}


def test_names_with_brackets_are_read_from_a_store(tmp_path):
    memory = fsspec.filesystem("memory")
    names = ["a[1].jpg", "a1.jpg", "what?.jpg", "b*.jpg", "{c}.jpg"]
    for number, name in enumerate(names):
        memory.pipe(f"/odd-names/{name}", jpeg(number))
    try:
        found = {raw.key: raw.data for raw in open_at("memory://odd-names", tmp_path).read("shard-000")}
        assert found == {name: jpeg(number) for number, name in enumerate(names)}
    finally:
        memory.rm("/odd-names", recursive=True)


def links_out(tmp_path):
    write(tmp_path, {"other/far.jpg": jpeg(1), "other/deep/x.jpg": jpeg(2), "data/real.jpg": jpeg(3)})
    (tmp_path / "data/file.jpg").symlink_to(tmp_path / "other/far.jpg")
    (tmp_path / "data/folder").symlink_to(tmp_path / "other")
    (tmp_path / "data/again").symlink_to(tmp_path / "other")
    (tmp_path / "data/loop").symlink_to(tmp_path)
    (tmp_path / "data/inside").symlink_to(tmp_path / "data")
    (tmp_path / "other/loop").symlink_to(tmp_path / "other")
    return tmp_path / "data"


def test_links_are_followed_where_the_settings_say_so_and_each_folder_once(tmp_path):
    found = images_of(open_at(links_out(tmp_path), tmp_path, follow_links=True))
    assert set(found.values()) == {None}
    once = {key.partition("/")[2] for key in found if key.startswith(("folder/", "again/"))}
    assert once == {"far.jpg", "deep/x.jpg"}
    assert len(found) == 4


def test_a_link_that_is_not_followed_names_the_setting(tmp_path):
    found = images_of(open_at(links_out(tmp_path), tmp_path))
    assert "dataset.follow_links" in found["file.jpg"]
    assert "dataset.follow_links" in found["folder"]
    assert found["real.jpg"] is None


@pytest.mark.parametrize("root", ["hub/snapshots/abc", "hub/snapshots/abc/train", "hub"])
def test_a_snapshot_of_the_hubs_cache_works_by_itself(tmp_path, root):
    (tmp_path / "hub/snapshots/abc/train").mkdir(parents=True)
    for number in range(3):
        write(tmp_path, {f"hub/blobs/{number}": jpeg(number), f"elsewhere/{number}.jpg": jpeg(number)})
        (tmp_path / f"hub/snapshots/abc/train/{number}.jpg").symlink_to(f"../../../blobs/{number}")
    (tmp_path / "hub/snapshots/abc/train/out.jpg").symlink_to(tmp_path / "elsewhere/0.jpg")
    found = images_of(open_at(tmp_path / root, tmp_path))
    assert sorted(key.rpartition("/")[2] for key, failure in found.items() if failure is None) == [
        "0.jpg",
        "1.jpg",
        "2.jpg",
    ]
    assert [key.rpartition("/")[2] for key, failure in found.items() if failure] == ["out.jpg"]


@pytest.mark.parametrize("store", [".git/annex/objects", ".dvc/cache"])
def test_links_into_the_object_store_of_the_repository_work_by_themselves(tmp_path, store):
    write(tmp_path, {f"repository/{store}/ab/cd": jpeg()})
    (tmp_path / "repository/photos").mkdir()
    (tmp_path / "repository/photos/a.jpg").symlink_to(f"../{store}/ab/cd")
    assert images_of(open_at(tmp_path / "repository/photos", tmp_path)) == {"a.jpg": None}


def test_an_object_of_a_repository_that_was_not_fetched_says_so(tmp_path):
    (tmp_path / "repository/.git/annex/objects").mkdir(parents=True)
    (tmp_path / "repository/a.jpg").symlink_to(".git/annex/objects/ab/cd")
    failure = images_of(open_at(tmp_path / "repository", tmp_path))["a.jpg"]
    assert failure == "cannot be read: No such file or directory"


def test_choices_are_values():
    assert FileChoice(include=["a"]) == FileChoice(include=["a"])
    assert FileChoice().is_image(".hidden.jpg") is False
