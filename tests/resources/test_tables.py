"""Parquet files as pandas, Spark and people write them: categories, files without rows or images, paths, names."""

import base64
import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.resources.sources import open_source, survey
from vlmine_dagster.settings.project import Project, ProjectSettings


def jpeg(number=0):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (6, 9, 3), dtype=np.uint8)).save(file, "JPEG")
    return file.getvalue()


IMAGES = [jpeg(number) for number in range(6)]


def written(folder, **tables):
    """Write tables as Parquet files, of names without their ending."""
    folder.mkdir()
    for name, columns in tables.items():
        pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), folder / f"{name}.parquet")
    return folder


def images_at(folder, tmp_path):
    """Every image of the data set as `vlmine init` finds it, by shard and key."""
    project = Project(settings=ProjectSettings(name="p", dataset=survey(str(folder)).settings), folder=tmp_path)
    source = open_source(project)
    return {f"{shard}/{raw.key}": raw for shard in source.shards() for raw in source.read(shard)}


def test_categories_of_pandas_are_splits_labels_and_keys_as_text_is(tmp_path):
    frame = pd.DataFrame({"image": IMAGES, "id": pd.Categorical(list("uvwxyz"))})
    frame["split"] = pd.Categorical(["train"] * 4 + ["test"] * 2)
    frame["label"] = pd.Categorical(["cat", "dog"] * 3)
    folder = written(tmp_path / "data", pool=pa.Table.from_pandas(frame))

    found = survey(str(folder))

    assert found.offer is not None
    assert found.offer.test_row_count == 2  # else test images would be mined unasked
    assert found.offer.label_source == "column 'label'"
    labels = found.offer.load_labels()
    assert labels is not None
    assert labels.by_path["pool/u"] == "cat"
    assert labels.splits["pool/z"] == "test"
    assert sorted(images_at(folder, tmp_path)) == [f"pool/{key}" for key in "uvwxyz"]


def test_labels_are_named_by_their_column_though_the_last_file_has_none(tmp_path):
    tables = {"a": {"image": IMAGES[:2], "label": ["cat", "dog"]}, "b": {"image": IMAGES[2:4]}}

    offer = survey(str(written(tmp_path / "data", **tables))).offer

    assert offer is not None
    labels = offer.load_labels()
    assert labels is not None
    assert labels.where == "column 'label'"
    assert sorted(labels.by_path.values()) == ["cat", "dog"]


def test_images_that_a_column_refers_to_by_numbers_are_read(tmp_path):
    column = pa.array([IMAGES[0], None, IMAGES[1], IMAGES[0]]).dictionary_encode()
    found = images_at(written(tmp_path / "data", d={"image": column}), tmp_path)
    assert [raw.data for raw in found.values()] == [IMAGES[0], b"", IMAGES[1], IMAGES[0]]


@pytest.mark.parametrize("make", [pa.list_, pa.large_list])
def test_bytes_in_lists_of_numbers_are_images(tmp_path, make):
    column = pa.array([list(IMAGES[0]), None, list(IMAGES[1])], make(pa.uint8()))
    found = images_at(written(tmp_path / "data", d={"image": column}), tmp_path)
    assert [raw.data for raw in found.values()] == [IMAGES[0], b"", IMAGES[1]]


def test_files_without_rows_hide_no_images(tmp_path):
    empty = pa.schema({"image": pa.binary(), "id": pa.string()}).empty_table()
    parts = {f"part-{number:05d}": empty for number in range(30)}
    parts["part-00029"] = pa.table({"image": IMAGES[:2], "id": ["a", "b"]})
    found = images_at(written(tmp_path / "data", **parts), tmp_path)
    assert list(found) == ["part-00029/a", "part-00029/b"]


def test_files_without_the_image_column_are_left_out_and_said(tmp_path):
    tables = {"data-0": {"image": IMAGES[:2]}, "metadata[1]": {"licence": ["mit"]}, "data-1": {"image": IMAGES[2:]}}
    folder = written(tmp_path / "data", **tables)

    found = survey(str(folder))

    assert found.settings.exclude == ("metadata[[]1].parquet",)
    assert found.notes[0] == (
        "left out: 1 Parquet file without images in column 'image' (metadata[1].parquet; dataset.exclude)."
    )
    assert {name.partition("/")[0] for name in images_at(folder, tmp_path)} == {"data-0", "data-1"}


def test_a_key_that_not_all_files_have_is_none(tmp_path):
    tables = {"a": {"image": IMAGES[:2], "id": ["x", "y"]}, "b": {"image": IMAGES[2:4], "id": [0.5, 1.5]}}
    folder = written(tmp_path / "data", **tables)
    assert "column 'id' is not a key of all files, so rows are numbered." in survey(str(folder)).notes
    assert list(images_at(folder, tmp_path)) == ["a/000000", "a/000001", "b/000000", "b/000001"]


def test_further_columns_with_images_are_named(tmp_path):
    folder = written(tmp_path / "data", d={"input_image": IMAGES[:3], "edited_image": IMAGES[3:], "prompt": ["x"] * 3})
    assert survey(str(folder)).notes[0] == (
        "in d.parquet, 'edited_image' holds images too; dataset.image_column chooses one."
    )


def test_a_broken_file_does_not_keep_a_project_from_being_made(tmp_path):
    folder = written(tmp_path / "data", b={"image": IMAGES[:2], "label": ["cat", "dog"], "split": ["train", "test"]})
    (folder / "a.parquet").write_bytes(b"")

    found = survey(str(folder))

    assert found.offer is not None
    assert (found.offer.label_source, found.offer.test_row_count) == ("column 'label'", 1)
    assert dict(found.offer.load_labels().by_path) == {"b/000000": "cat", "b/000001": "dog"}
    with pytest.raises(ConfigError, match="1 image belongs to a test split"):
        found.offer.refuse_unnamed_tests()


def test_a_file_whose_pages_are_damaged_does_not_either(tmp_path):
    folder = written(tmp_path / "data", a={"image": IMAGES}, b={"image": IMAGES})
    content = bytearray((folder / "a.parquet").read_bytes())
    content[4 : len(content) // 2] = b"\xff" * (len(content) // 2 - 4)
    (folder / "a.parquet").write_bytes(content)

    assert survey(str(folder)).settings.image_column == "image"


def test_a_table_with_paths_in_the_image_column_is_left_out_and_one_with_base64_is_not(tmp_path):
    encoded = [base64.b64encode(image).decode() for image in IMAGES]
    paths = [f"{number}.jpg" for number in range(6)]
    folder = written(tmp_path / "data", a={"image": IMAGES}, b={"image": paths}, c={"image": encoded})

    note = "left out: 1 Parquet file without images in column 'image' (b.parquet; dataset.exclude)."
    assert note in survey(str(folder)).notes
    assert sorted({name[0] for name in images_at(folder, tmp_path)}) == ["a", "c"]


def test_numbers_that_are_missing_in_a_list_of_bytes_are_no_image(tmp_path):
    column = pa.array([[255, None, 3]], pa.list_(pa.uint8()))
    with pytest.raises(SourceError, match="no column contains encoded images"):
        survey(str(written(tmp_path / "data", a={"image": column})))


@pytest.mark.parametrize(
    "column",
    [
        pa.array([{"bytes": None, "path": "/home/me/0.jpg"}], pa.struct({"bytes": pa.binary(), "path": pa.string()})),
        pa.array(["/home/me/0.jpg"]),
    ],
)
def test_a_table_of_paths_says_that_it_holds_no_bytes(tmp_path, column):
    folder = written(tmp_path / "data", d={"image": column})
    with pytest.raises(
        SourceError, match="column 'image' contains paths such as '/home/me/0.jpg' and no bytes: give the"
    ):
        survey(str(folder))


def test_tables_are_known_by_each_of_their_endings(tmp_path):
    folder = written(tmp_path / "data", a={"image": IMAGES[:1]})
    for name in ("b.parq", "c.PQ"):
        pq.write_table(pa.table({"image": IMAGES[1:2]}), folder / name)
    assert list(images_at(folder, tmp_path)) == ["a/000000", "b/000000", "c/000000"]


def test_files_in_which_other_tools_keep_images_are_named_with_what_to_do(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("train.tfrecord", "pool.h5"):
        (tmp_path / "data" / name).write_bytes(b"\0")
    with pytest.raises(
        SourceError,
        match=r"Files of \.h5, \.tfrecord are not read: write their contents as Parquet, tars or image files",
    ):
        survey(str(tmp_path / "data"))


def test_an_archive_that_is_given_itself_is_to_be_unpacked(tmp_path):
    (tmp_path / "pool.zip").write_bytes(b"PK\3\4")
    with pytest.raises(SourceError, match=r"pool\.zip is an archive that is not read\. Unpack it"):
        survey(str(tmp_path / "pool.zip"))
