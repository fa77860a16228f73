"""What `vlmine init` finds out about a data set: kinds, masks, columns, splits and labels that it brings along."""

import base64
import csv
import io
import json
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.resources.labels import load_labels
from vlmine_dagster.resources.sources import open_source, survey
from vlmine_dagster.resources.sources.offer import Offer, accept_offer
from vlmine_dagster.settings.project import Project, ProjectSettings


def jpeg(number=0):
    values = np.random.default_rng(number).integers(0, 256, (12, 18, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "JPEG")
    return file.getvalue()


def mask(number=0, mode="L"):
    values = np.zeros((12, 18), np.uint8)
    values[number % 6 : 9, 4:11] = 200
    file = io.BytesIO()
    Image.fromarray(values).convert(mode).save(file, "PNG")
    return file.getvalue()


def write(folder, files):
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return folder


def tar_of(members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return file.getvalue()


def table_of(metadata=None, **columns):
    file = io.BytesIO()
    table = pa.table(columns)
    pq.write_table(table.replace_schema_metadata(metadata) if metadata else table, file)
    return file.getvalue()


def project_of(settings, home):
    return Project(ProjectSettings(name="pool", dataset=settings), home)


def keys_of(settings, home):
    source = open_source(project_of(settings, home))
    return {f"{shard}/{raw.key}": raw for shard in source.shards() for raw in source.read(shard)}


def accepted(root, home):
    """What becomes of each image if the offer is accepted: (label shown, split), and the truth."""
    found = survey(str(root))
    settings = accept_offer(found.offer, found.settings, home, is_forced=False)
    project = project_of(settings, home)
    labels = load_labels(project)
    shown = {}
    for name, raw in keys_of(settings, home).items():
        label, split = (None, "pool") if labels is None else labels.visible(name, raw.key)
        shown[raw.key] = (label, str(split), None if labels is None else labels.truth(name, raw.key))
    return settings, shown


# Masks and endings


@pytest.mark.parametrize("make", [mask, lambda n: mask(n, "P"), lambda n: mask(n, "1"), jpeg])
def test_masks_beside_images_are_no_images(tmp_path, make):
    files = {
        f"{n:03d}.{ending}": jpeg(n) if ending == "jpg" else make(n) for n in range(8) for ending in ("jpg", "seg.png")
    }
    found = survey(str(write(tmp_path / "data", {"pool.tar": tar_of(files)})))
    assert found.settings.image_endings == ("jpg",)
    assert any("seg.png" in note and "dataset.image_endings" in note for note in found.notes)
    assert len(keys_of(found.settings, tmp_path)) == 8


def test_masks_are_known_by_their_colours_where_the_name_says_nothing(tmp_path):
    files = {f"{n}.{ending}": jpeg(n) if ending == "jpg" else mask(n) for n in range(8) for ending in ("jpg", "png")}
    assert survey(str(write(tmp_path / "data", {"pool.tar": tar_of(files)}))).settings.image_endings == ("jpg",)


def test_two_views_of_a_sample_are_two_images_and_that_is_said(tmp_path):
    files = {f"{n}.{ending}": jpeg(n) for n in range(4) for ending in ("left.jpg", "right.jpg")}
    found = survey(str(write(tmp_path / "data", {"pool.tar": tar_of(files)})))
    assert found.settings.image_endings is None
    assert "left.jpg, right.jpg" in found.notes[0]
    assert len(keys_of(found.settings, tmp_path)) == 8


@pytest.mark.parametrize("place", ["masks/{}.png", "x/SegmentationClass/{}.png", "images/{}_mask.png"])
def test_masks_in_a_folder_are_left_out(tmp_path, place):
    write(tmp_path / "data", {f"images/{n}.jpg": jpeg(n) for n in range(6)})
    write(tmp_path / "data", {place.format(n): mask(n) for n in range(6)})
    found = survey(str(tmp_path / "data"))
    assert {name.partition("/")[2] for name in keys_of(found.settings, tmp_path)} == {
        f"images/{n}.jpg" for n in range(6)
    }
    assert any("masks" in note for note in found.notes)


def test_photos_in_a_folder_with_such_a_name_stay(tmp_path):
    write(tmp_path / "data", {f"{folder}/{n}.jpg": jpeg(n) for n in range(6) for folder in ("edge", "town")})
    assert survey(str(tmp_path / "data")).settings.exclude == ()


def test_files_without_an_ending_are_images_if_they_begin_like_some(tmp_path):
    write(tmp_path / "data", {f"{n:032x}": jpeg(n) for n in range(5)})
    found = survey(str(tmp_path / "data"))
    assert found.settings.image_endings == ("",)
    assert len(keys_of(found.settings, tmp_path)) == 5
    write(tmp_path / "data", {"x.jpg": jpeg(7)})
    assert set(survey(str(tmp_path / "data")).settings.image_endings) == {"", "jpg"}


def test_a_readme_makes_nothing_an_image(tmp_path):
    found = survey(str(write(tmp_path / "data", {"a.jpg": jpeg(), "README": b"hi", "LICENSE": b"hi"})))
    assert found.settings.image_endings is None
    assert found.notes == ("ignored: 2 without an ending",)


# Columns and what is not a data set


LISTED = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


def test_each_image_of_a_list_is_one(tmp_path):
    lists = [[{"bytes": jpeg(n), "path": None} for n in range(count)] for count in (1, 3, 0)]
    data = table_of(images=pa.array([*lists, None], LISTED), id=["a", "b", "c", "d"])
    found = survey(str(write(tmp_path / "data", {"t.parquet": data})))
    assert (found.settings.image_column, found.settings.key_column) == ("images", "id")
    images = keys_of(found.settings, tmp_path)
    assert {name: raw.data for name, raw in images.items()} == {
        "t/a": jpeg(0),
        "t/b": jpeg(0),
        "t/b/2": jpeg(1),
        "t/b/3": jpeg(2),
        "t/c": b"",
        "t/d": b"",
    }
    source = open_source(project_of(found.settings, tmp_path))
    assert [raw.key for raw in source.read("t", keys={"b/3"})] == ["b/3"]


@pytest.mark.parametrize("before", ["", "data:image/jpeg;base64,"])
def test_base64_is_decoded(tmp_path, before):
    text = [before + base64.b64encode(jpeg(n)).decode() for n in range(3)]
    found = survey(str(write(tmp_path / "data", {"t.parquet": table_of(image_base64=[*text, "what?", None])})))
    assert found.settings.image_column == "image_base64"
    images = [raw for _, raw in sorted(keys_of(found.settings, tmp_path).items())]
    assert [raw.data for raw in images] == [jpeg(0), jpeg(1), jpeg(2), b"", b""]
    assert images[3].failure == "the row contains text that is not base64: 'what?'"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"t.parquet": table_of(url=["https://x.org/1.jpg"], caption=["x"])}, "column 'url' contains addresses: fetch"),
        ({"t.parquet": table_of(n=[1], text=["x"])}, r"its columns: 'n' \(int64\), 'text' \(string\)"),
        ({"d/data-00000.arrow": b"ARROW1"}, r"load_from_disk\(FOLDER\)\.to_parquet"),
        ({"train.tar": tar_of({"n01.tar": tar_of({"1.jpg": jpeg()})})}, r"train\.tar holds tars \(n01\.tar, .*unpack"),
        ({"a.zip": b"PK", "b.zip": b"PK", "c.dng": b"II"}, r"There: 2 \.zip, 1 \.dng"),
    ],
)
def test_what_is_there_instead_of_images_is_named(tmp_path, files, words):
    with pytest.raises(SourceError, match=words):
        survey(str(write(tmp_path / "data", files)))


# Splits and labels


def image_folder(*, test_labels=True, splits=("train", "val", "test")):
    classes = ("cat", "dog")
    files = {}
    for split in splits:
        for n in range(6):
            folder = f"{split}/{classes[n % 2]}" if split != "test" or test_labels else split
            files[f"{folder}/{split}{n}.jpg"] = jpeg(n + 100 * len(split))
    return files


def test_a_test_split_is_left_out_unless_the_offer_is_accepted(tmp_path):
    found = survey(str(write(tmp_path / "data", image_folder())))
    assert found.settings.exclude == ("test/",)
    assert found.settings.labels is None
    assert found.offer.lines == [
        "splits in its paths (images): train 6, val 6, test 6",
        "labels: folders of classes, 18 images",
    ]
    assert not any("test/" in name for name in keys_of(found.settings, tmp_path))


def test_folders_of_classes_become_labels(tmp_path):
    settings, shown = accepted(write(tmp_path / "data", image_folder()), tmp_path)
    assert settings.labels.oracle
    assert settings.exclude == ()
    assert shown["test/cat/test0.jpg"] == ("cat", "test", "cat")
    assert shown["val/dog/val1.jpg"] == ("dog", "val", "dog")
    assert shown["train/dog/train3.jpg"][2] == "dog"
    assert {split for key, (_, split, _) in shown.items() if key.startswith("train")} <= {"pool", "seed"}


def test_a_test_split_without_labels_is_left_out_and_the_rest_is_used(tmp_path):
    files = {**image_folder(splits=("train", "val")), **{f"test/none/{n}.jpg": jpeg(n) for n in range(4)}}
    metadata = "file_name,label\n" + "".join(
        f"{path},{path.split('/')[1]}\n" for path in image_folder(splits=("train",))
    )
    settings, shown = accepted(write(tmp_path / "data", {**files, "metadata.csv": metadata.encode()}), tmp_path)
    assert set(settings.exclude) == {"test/", "val/"}
    assert {key.split("/")[0] for key in shown} == {"train"}


def test_splits_alone_leave_out_what_judges(tmp_path):
    files = {f"{split}/{n}.jpg": jpeg(n) for split in ("train", "validation", "test") for n in range(4)}
    found = survey(str(write(tmp_path / "data", files)))
    assert found.settings.exclude == ("test/",)
    settings, shown = accepted(tmp_path / "data", tmp_path)
    assert (settings.labels, set(settings.exclude)) == (None, {"test/", "validation/"})
    assert len(shown) == 4


def test_labelled_images_are_the_seed_where_others_have_no_label(tmp_path):
    files = {f"{n}.jpg": jpeg(n) for n in range(6)}
    lines = [
        json.dumps({"file_name": f"{n}.jpg", "label": "cat", "split": "test" if n == 1 else "train"}) for n in range(3)
    ]
    root = write(tmp_path / "data", {**files, "metadata.jsonl": "\n".join(lines).encode(), "more.jsonl": b"{}"})
    assert survey(str(root)).notes == ("ignored: 1 .jsonl, 1 excluded",)
    assert survey(str(root)).settings.exclude == ("1.jpg",)
    settings, shown = accepted(root, tmp_path)
    assert settings.exclude == ()
    assert shown["0.jpg"] == ("cat", "seed", "cat")
    assert shown["1.jpg"] == ("cat", "test", "cat")
    assert shown["5.jpg"] == (None, "pool", None)


def hub_table(start, labels, names=("cat", "dog")):
    features = {"label": {"names": list(names), "_type": "ClassLabel"}}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    return table_of(metadata, image=[jpeg(start + n) for n in range(len(labels))], label=labels)


def test_a_label_column_and_the_names_of_files_become_labels_and_splits(tmp_path):
    files = {
        "data/train-00000-of-00002.parquet": hub_table(0, [0, 1, 0]),
        "data/train-00001-of-00002.parquet": hub_table(10, [1, 1, None]),
        "data/validation-00000-of-00001.parquet": hub_table(20, [0, 1]),
        "data/test-00000-of-00001.parquet": hub_table(30, [-1, -1]),
    }
    found = survey(str(write(tmp_path / "data", files)))
    assert found.settings.exclude == ("data/test-*",)
    assert found.offer.lines == ["splits in its paths (files): train 2, val 1, test 1", "labels: column 'label'"]
    settings, _ = accepted(tmp_path / "data", tmp_path)
    assert settings.exclude == ("data/test-*",)
    project = project_of(settings, tmp_path)
    labels = load_labels(project)
    assert labels.truth("data/train-00000-of-00002/000001", "000001") == "dog"
    assert labels.visible("data/validation-00000-of-00001/000000", "000000")[0] == "cat"
    assert labels.truth("data/train-00001-of-00002/000002", "000002") is None
    assert not any("test" in name for name in keys_of(settings, tmp_path))


def split_table(labels=None):
    columns = {} if labels is None else {"label": labels}
    return table_of(image=[jpeg(n) for n in range(4)], split=["train", "train", "test", "Validation"], **columns)


def test_a_split_column_is_accepted_or_decided_about_and_never_mined_unknowingly(tmp_path):
    root = write(tmp_path / "data", {"all.parquet": split_table(["cat", "dog", "cat", "dog"])})
    offer = survey(str(root)).offer
    assert "a split of 1 test image in its column 'split'" in offer.lines
    with pytest.raises(ConfigError, match="1 image belongs to a test split .* `vlmine init --no-accept` mines them"):
        offer.refuse_unnamed_tests()
    _, shown = accepted(root, tmp_path)
    assert [split for _, split, _ in shown.values()][2:] == ["test", "val"]


def test_a_split_column_without_labels_cannot_judge(tmp_path):
    root = write(tmp_path / "data", {"all.parquet": split_table()})
    with pytest.raises(ConfigError, match="1 test image has no label and cannot measure results"):
        accepted(root, tmp_path)


def test_test_images_without_a_label_are_left_out_one_by_one(tmp_path):
    lines = [json.dumps({"file_name": f"{n}.jpg", "split": "test" if n == 1 else "train"}) for n in range(4)]
    files = {**{f"{n}.jpg": jpeg(n) for n in range(4)}, "metadata.jsonl": "\n".join(lines).encode()}
    settings, shown = accepted(write(tmp_path / "data", files), tmp_path)
    assert settings.exclude == ("1.jpg",)
    assert set(shown) == {"0.jpg", "2.jpg", "3.jpg"}


def test_more_test_images_than_patterns_are_decided_about():
    offer = Offer(None, "metadata.csv", lambda: None, {}, (), [f"{n}.jpg" for n in range(1001)])
    assert offer.left_out == ()
    with pytest.raises(ConfigError, match=r"1,001 images belong to a test split by the data set's labels"):
        offer.refuse_unnamed_tests()


def test_class_members_of_tars_become_labels(tmp_path):
    def shard(start):
        return tar_of(
            {
                f"{n}.{ending}": jpeg(n) if ending == "jpg" else str(n % 2).encode()
                for n in range(start, start + 4)
                for ending in ("jpg", "cls")
            }
        )

    names = {"set-train-0.tar": shard(0), "set-train-1.tar": shard(10), "set-val-0.tar": shard(20)}
    found = survey(str(write(tmp_path / "data", names)))
    assert found.offer.lines == ["splits in its paths (files): train 2, val 1", "labels: members .cls"]
    _, shown = accepted(tmp_path / "data", tmp_path)
    assert shown["20"] == ("0", "val", "0")
    assert shown["11"][2] == "1"


def test_coco_gives_a_class_to_images_of_one_category(tmp_path):
    content = {
        "images": [{"id": n, "file_name": f"{n}.jpg"} for n in range(3)],
        "annotations": [{"image_id": n, "category_id": c} for n, c in ((0, 7), (0, 7), (1, 8), (2, 7), (2, 8))],
        "categories": [{"id": 7, "name": "cat"}, {"id": 8, "name": "dog"}],
    }
    files = {f"train2017/{n}.jpg": jpeg(n) for n in range(3)}
    write(tmp_path / "data", {**files, "annotations/instances.json": json.dumps(content).encode()})
    found = survey(str(tmp_path / "data"))
    assert found.offer.lines == ["labels: annotations/instances.json (COCO), 2 images"]
    _, shown = accepted(tmp_path / "data", tmp_path)
    assert [shown[f"train2017/{n}.jpg"][2] for n in range(3)] == ["cat", "dog", None]


@pytest.mark.parametrize(
    "names",
    [
        ["2024-05-01/{}.jpg", "2024-05-02/{}.jpg", "notes/deep/{}.jpg"],  # depths differ
        ["test/{}.jpg"],  # nothing to train with
        ["photo-{}/a.jpg"],  # a folder for each image
    ],
)
def test_other_folders_are_no_classes(tmp_path, names):
    write(tmp_path / "data", {name.format(n): jpeg(n) for name in names for n in range(4)})
    found = survey(str(tmp_path / "data"))
    assert found.offer is None
    assert found.settings.exclude == ()


def test_a_folder_that_is_only_named_test_is_mined_and_that_is_said(tmp_path):
    found = survey(
        str(write(tmp_path / "data", {f"{folder}/{n}.jpg": jpeg(n) for folder in ("test", "x") for n in range(4)}))
    )
    assert found.settings.exclude == ()
    assert found.notes == ("images in test/ are mined like all others; dataset.exclude leaves them out.",)


def test_a_label_file_of_the_users_own_is_used_instead(tmp_path):
    rows = "key,split,class_id\ntrain/cat/train0.jpg,seed,cat\n"
    found = survey(str(write(tmp_path / "data", {**image_folder(), "labels.csv": rows.encode()})))
    assert found.offer is None
    assert found.settings.labels.file.endswith("labels.csv")


def test_a_file_of_labels_is_not_overwritten_unasked(tmp_path):
    root = write(tmp_path / "data", image_folder())
    (tmp_path / "dataset-labels.csv").write_text("mine")
    found = survey(str(root))
    with pytest.raises(ConfigError, match=r"dataset-labels\.csv already exists"):
        accept_offer(found.offer, found.settings, tmp_path, is_forced=False)
    accept_offer(found.offer, found.settings, tmp_path, is_forced=True)
    with (tmp_path / "dataset-labels.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 18


def test_pictures_under_endings_of_others_are_images_where_there_are_no_other(tmp_path):
    write(
        tmp_path / "data", {f"{n}.jpg_large": jpeg(n) for n in range(3)} | {"list.txt": b"1", "b.CR2": b"II*\0\x10\0"}
    )
    found = survey(str(tmp_path / "data"))
    assert found.settings.image_endings == ("jpg_large",)
    assert found.notes == (
        "files that end in .jpg_large are pictures, so they are taken (dataset.image_endings).",
        "ignored: 1 .cr2, 1 .txt",
    )


def test_pictures_under_endings_of_others_are_named_beside_images(tmp_path):
    write(tmp_path / "data", {"a.jpg": jpeg(0), "a.jpg_original": jpeg(1), "b.jpg~": jpeg(2)})
    found = survey(str(tmp_path / "data"))
    assert found.settings.image_endings is None
    assert found.notes[0] == (
        "left out although they start like pictures: 1 .jpg_original, 1 .jpg~. dataset.image_endings takes them."
    )


def test_pictures_in_tars_under_endings_of_others_are_images(tmp_path):
    members = {f"{n:06d}.{ending}": data for n in range(3) for ending, data in (("img", jpeg(n)), ("cap", b"a cat"))}
    write(tmp_path / "data", {"a.tar": tar_of(members)})
    settings = survey(str(tmp_path / "data")).settings
    assert (settings.kind, settings.image_endings) == ("webdataset", ("img",))
    source = open_source(Project(settings=ProjectSettings(name="p", dataset=settings), folder=tmp_path))
    assert [raw.data for raw in source.read("a")] == [jpeg(n) for n in range(3)]


def test_what_is_not_used_of_a_tar_is_said(tmp_path):
    members = {"1.jpg": jpeg(0), "1.json": b"{}", "1.cls": b"0", "1.dng": b"II*\0", "2.jpg": jpeg(1), "2.dng": b"II*\0"}
    write(tmp_path / "data", {"a.tar": tar_of({**members, ".cache/2.jpg": jpeg(2)})})
    assert "in a.tar, ignored: 2 .dng, 1 hidden file" in survey(str(tmp_path / "data")).notes


def test_of_many_tars_without_images_it_is_said_how_many_were_looked_at(tmp_path):
    write(tmp_path / "data", {f"{n}.tar": tar_of({"1.txt": b"a cat"}) for n in range(21)})
    with pytest.raises(SourceError, match="21 tars are there, but no image was found in 20 of them, from everywhere;"):
        survey(str(tmp_path / "data"))


def test_what_is_not_used_of_a_large_tar_is_not_given_as_a_count_of_all(tmp_path):
    image = jpeg(0)
    members = {f"{n:03d}.{ending}": data for n in range(70) for ending, data in (("jpg", image), ("dng", b"II*\0"))}
    write(tmp_path / "data", {"a.tar": tar_of(members)})
    assert "among the first members of a.tar, ignored: 59 .dng" in survey(str(tmp_path / "data")).notes


def test_tars_without_images_hide_no_others(tmp_path):
    notes = {f"annotations-{n}.tar": tar_of({"1.json": b"{}"}) for n in range(5)}
    write(tmp_path / "data", {**notes, "images.tar": tar_of({"1.jpg": jpeg(0)})})
    assert survey(str(tmp_path / "data")).settings.kind == "webdataset"


def test_tars_without_any_image_say_what_they_hold(tmp_path):
    write(tmp_path / "data", {"a.tar": tar_of({"1.npz": b"PK", "1.json": b"{}"})})
    with pytest.raises(
        SourceError, match=r"1 tar is there, but no image was found in them; members end in \.npz, \.json"
    ):
        survey(str(tmp_path / "data"))


def test_names_with_dots_are_no_list_of_endings(tmp_path):
    write(tmp_path / "data", {"a.tar": tar_of({f"take 2.{n} (final).jpg": jpeg(n) for n in range(3)})})
    found = survey(str(tmp_path / "data"))
    assert found.settings.image_endings is None
    assert found.notes == (
        "names of images have dots before their ending: as in WebDataset, a key ends at the first dot of a name, and "
        "the second image of a key is KEY~2.",
    )


def test_pages_of_tiffs_behind_the_first_are_told(tmp_path):
    pages = [Image.fromarray(np.full((12, 18), 40 * number, np.uint8)) for number in range(3)]
    file = io.BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    write(tmp_path / "data", {"scan.tif": file.getvalue(), "a.jpg": jpeg(0)})
    assert survey(str(tmp_path / "data")).notes == (
        "TIFFs have up to 3 pages, and only the first is mined; write pages as files to mine all.",
    )


def test_what_is_taken_for_another_medium_is_said(tmp_path):
    write(tmp_path / "data", {"a.tar": tar_of({"1.npy": bytes(64)})})
    found = survey(str(tmp_path / "data"))
    assert found.settings.medium.kind == "lidar"
    assert found.notes[0].startswith("there are no pictures; files that end in one of .bin, .pcd, .npy")


def test_a_hard_link_in_a_tar_names_the_member_that_has_the_image(tmp_path):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        entry = tarfile.TarInfo("a/1.jpg")
        entry.size = len(jpeg(0))
        tar.addfile(entry, io.BytesIO(jpeg(0)))
        link = tarfile.TarInfo("b/1.jpg")
        link.type, link.linkname = tarfile.LNKTYPE, "a/1.jpg"
        tar.addfile(link)
    settings = survey(str(write(tmp_path / "data", {"s.tar": file.getvalue()}))).settings
    source = open_source(Project(settings=ProjectSettings(name="p", dataset=settings), folder=tmp_path))
    failures = {raw.key: raw.failure for raw in source.read("s")}
    assert failures["a/1"] is None
    assert str(failures["b/1"]).startswith("is a hard link to a/1.jpg, which is an image of its own if the tar has it")
