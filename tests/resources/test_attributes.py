"""Attributes of images: from a file, from JSON beside them, from columns of Parquet; the file goes first."""

import datetime
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import jpeg, write_tar

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.attributes import attribute_file, attribute_rows, attributes_beside
from vlmine_dagster.resources.sources import open_source
from vlmine_dagster.resources.sources.attributes import HoldsAttributes
from vlmine_dagster.resources.sources.ignored import ignored_line
from vlmine_dagster.settings.project import Project, parse_settings


def source_of(folder: Path, **dataset: Any) -> Any:
    return open_source(Project(parse_settings({"name": "x", "dataset": {"root": "data", **dataset}}), folder))


def rows_of(
    source: Any, ids: list[str], *, own: list[str | None] | None = None, file: Any = None, damaged=()
) -> list[Any]:
    items = pa.table({"image_id": ids, "attributes": pa.array(own or [None] * len(ids), pa.string())})
    (shard,) = source.shards()
    parents = dict(zip(ids, items.column("attributes").to_pylist(), strict=True))
    beside, unreadable = attributes_beside(source, shard)
    assert unreadable == list(damaged)
    rows = attribute_rows(items, shard=shard, parents=parents, beside=beside, file=file)
    return [None if text is None else json.loads(text) for text in rows.column("attributes").to_pylist()]


def test_json_members_of_a_tar_are_about_the_image_of_their_key(tmp_path: Path):
    content = {
        "a.jpg": jpeg("coffee", 0),
        "a.json": b'{"weather": "fog", "gps": {"lat": 1.5}}',
        "b.jpg": b"",
        "b.json": b"{",
    }
    write_tar(tmp_path / "data" / "s.tar", content)

    found = rows_of(source_of(tmp_path, kind="webdataset"), ["s/a", "s/b"], damaged=["b"])
    assert found == [{"weather": "fog", "gps.lat": 1.5}, None]


def test_json_files_beside_images_are_read_by_both_ways_to_name_them_and_change_the_fingerprint(tmp_path: Path):
    for name, text in {"x/a.jpg.json": '{"weather": "fog"}', "x/b.json": '{"weather": "rain"}'}.items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(text)
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / "data" / "x" / name).write_bytes(jpeg("coffee", 0))
    source = source_of(tmp_path, kind="folder", shard_count=1)

    ids = [f"shard-000/x/{name}.jpg" for name in "abc"]
    assert rows_of(source, ids) == [{"weather": "fog"}, {"weather": "rain"}, None]

    assert ignored_line(source) == "ignored: 2 .json beside images"
    assert ignored_line(source, has_attributes=True) is None
    assert ignored_line(source, used=["x/b.json", "x/labels.json"]) is None
    assert ignored_line(source, used=["x/b.json", "x/c.xml"]) == "ignored: 1 .json beside images"

    before = source.attributes_fingerprint("shard-000")
    (tmp_path / "data" / "x" / "b.json").write_text('{"weather": "snow"}')
    again = source_of(tmp_path, kind="folder", shard_count=1)
    assert again.attributes_fingerprint("shard-000") != before
    assert again.fingerprint("shard-000") == source.fingerprint("shard-000")


def test_columns_of_parquet_are_attributes_but_for_images_and_long_texts(tmp_path: Path):
    (tmp_path / "data").mkdir()
    day = datetime.date(2026, 3, 14)
    table = pa.table(
        {"id": ["a", "b"], "image": [jpeg("coffee", 0)] * 2, "taken": [day, None], "caption": ["x" * 300, "short"]}
    )
    pq.write_table(table, tmp_path / "data" / "s.parquet")
    source = source_of(tmp_path, kind="parquet", image_column="image", key_column="id")

    assert isinstance(source, HoldsAttributes)
    assert rows_of(source, ["s/a", "s/b"]) == [{"taken": "2026-03-14"}, {"caption": "short"}]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_file_of_the_project_goes_before_what_the_source_says(tmp_path: Path, kind: str):
    write_tar(tmp_path / "data" / "s.tar", {"a.jpg": b"", "a.json": b'{"weather": "fog", "camera": "left"}'})
    file = tmp_path / f"facts.{kind}"
    if kind == "csv":
        file.write_text("image_id;weather;rain_mm\ns/a;rain;3\nb.jpg;snow;\n")
    else:
        pq.write_table(pa.table({"key": ["s/a", "b.jpg"], "weather": ["rain", "snow"], "rain_mm": [3, None]}), file)
    read = attribute_file(str(file))

    found = rows_of(source_of(tmp_path, kind="webdataset"), ["s/a", "s/b.jpg"], own=['{"lens": 2}', None], file=read)

    assert found == [
        {"weather": "rain", "camera": "left", "lens": 2, "rain_mm": "3" if kind == "csv" else 3},
        {"weather": "snow"},
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name,weather\n", None),
        ("picture,weather\na,fog\n", r"no column key\. Its columns: picture, weather; expected one called key"),
        ("key,weather\na,fog\na,rain\n", "row 3: key 'a' appears twice"),
    ],
)
def test_a_file_without_keys_or_with_one_twice_is_refused(tmp_path: Path, text: str, problem: str | None):
    file = tmp_path / "facts.csv"
    file.write_text(text)
    if problem is None:
        assert attribute_file(str(file)).rows == {}
        return
    with pytest.raises(SourceError, match=problem):
        attribute_file(str(file))


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(SourceError, match=r"no file /nowhere/facts.csv\. Correct dataset.attributes"):
        attribute_file("/nowhere/facts.csv")


def test_a_file_that_has_changed_is_read_again(tmp_path: Path):
    file = tmp_path / "facts.csv"
    file.write_text("key,weather\na,fog\n")
    before = attribute_file(str(file))
    file.write_text("key,weather\na,fog\nb,rain\n")

    assert attribute_file(str(file)).digest != before.digest
    assert attribute_file(str(file)) is attribute_file(str(file))
