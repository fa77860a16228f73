"""Who stands for images of the same bytes and of the same picture: which are counted, and which are listed."""

import duckdb
import pytest
from memory import MemoryReader
from plain_tables import plain_rows

from vlmine_dagster.domain.tables import DUPLICATES, IMAGES, KEYWORD_ANSWERS
from vlmine_dagster.scoring.copies import (
    group_near_duplicates,
    uncounted_copies,
    unlisted_copies,
    unlisted_duplicates,
)
from vlmine_dagster.settings.project import Project, parse_settings

# name: bytes, split, outcome of the image, outcome of its keywords
ROWS = {
    "a/1": ("x", "pool", "ok", "refused"),
    "a/2": ("x", "pool", "ok", "ok"),
    "a/3": ("x", "seed", "ok", None),
    "a/4": ("y", "pool", "ok", "ok"),
    "a/5": ("y", "pool", "ok", "ok"),
    "a/6": ("z", "pool", "ok", "ok"),
    "a/7": ("z", "pool", "corrupt", None),
    "a/8": ("v", "pool", "ok", "empty"),
    "a/9": ("w", "pool", "ok", "refused"),
}
COLUMNS = {"images": ("image_id", "sha256", "split", "outcome"), "keyword_answers": ("image_id", "outcome")}


def reader(folder, *, near=(), dedupe="bytes"):
    """The images; `near` pairs are images that another one stands for."""
    answers = {name: row[3] for name, row in ROWS.items() if row[3]}
    settings = parse_settings({"name": "p", "dataset": {"kind": "folder", "root": "."}, "dedupe": dedupe})
    tables = {
        "images": {
            "a": plain_rows(
                IMAGES,
                image_id=list(ROWS),
                **{name: [row[k] for row in ROWS.values()] for k, name in enumerate(("sha256", "split", "outcome"))},
            )
        },
        "keyword_answers": {"a": plain_rows(KEYWORD_ANSWERS, image_id=list(answers), outcome=list(answers.values()))},
        "duplicates": {
            "pool": plain_rows(DUPLICATES, image_id=[one for one, _ in near], kept_id=[other for _, other in near])
        },
    }
    columns = COLUMNS | ({"duplicates": ("image_id", "kept_id")} if dedupe == "near" else {})
    return MemoryReader(tables, columns, project=Project(settings, folder, str(folder)))


def uncounted(pool):
    with pool.connect("images", "keyword_answers") as connection:
        connection.execute("CREATE VIEW items AS FROM images")
        return sorted(uncounted_copies(pool, connection).column(0).to_pylist())


def stands(rows):
    return dict(zip(rows.column("image_id").to_pylist(), rows.column("kept_id").to_pylist(), strict=True))


def test_of_the_same_bytes_the_first_with_keywords_is_counted(tmp_path):
    assert uncounted(reader(tmp_path)) == ["a/1", "a/3", "a/5"]
    assert uncounted(reader(tmp_path, dedupe="off")) == []


def test_of_the_same_bytes_what_is_labelled_stands_for_what_can_be_mined(tmp_path):
    assert stands(unlisted_copies(reader(tmp_path))) == {"a/1": "a/3", "a/2": "a/3", "a/5": "a/4"}
    assert stands(unlisted_copies(reader(tmp_path, dedupe="off"))) == {}


@pytest.mark.parametrize(
    ("near", "expected"),
    [
        ([], {}),
        ([("a/6", "a/8")], {"a/6": "a/8"}),  # described, if without a keyword
        ([("a/6", "a/9")], {}),  # nobody knows what that shows
        ([("a/6", "a/3")], {"a/6": "a/3"}),  # labelled, it needs no description
        ([("a/6", "a/5")], {"a/6": "a/4"}),  # the bytes of a/5 are listed as a/4
        ([("a/5", "a/8")], {}),  # for its bytes another one stands already
        ([("a/6", "a/8"), ("a/8", "a/6")], {"a/8": "a/6"}),  # of a circle the first stays
    ],
)
def test_of_the_same_picture_an_image_that_can_be_listed_stands_for_others(tmp_path, near, expected):
    rows = unlisted_duplicates(reader(tmp_path, near=near, dedupe="near"))

    copies = {"a/1": "a/3", "a/2": "a/3", "a/5": "a/4"}
    assert stands(rows) == copies | expected
    is_near = dict(zip(rows.column("image_id").to_pylist(), rows.column("is_near").to_pylist(), strict=True))
    assert is_near == {name: name in expected for name in copies | expected}


def test_without_near_duplicates_copies_alone_are_unlisted(tmp_path):
    rows = unlisted_duplicates(reader(tmp_path, near=[("a/6", "a/8")]))

    assert stands(rows) == {"a/1": "a/3", "a/2": "a/3", "a/5": "a/4"}


def test_groups_of_near_duplicates_count_as_one_image_with_one_description(tmp_path):
    pool = reader(tmp_path, near=[("a/6", "a/8"), ("a/4", "a/9")], dedupe="near")
    with pool.connect("keyword_answers") as connection:
        assert group_near_duplicates(pool, connection)
        grouped = connection.sql("FROM grouped ORDER BY ALL").fetchall()
        near = connection.sql("FROM near").fetchall()

    assert grouped == [("a/4", "a/9"), ("a/6", "a/8"), ("a/8", "a/8"), ("a/9", "a/9")]
    assert near == [("a/6",)]  # for a/4 an image stands that was not described
    with duckdb.connect() as connection:
        assert not group_near_duplicates(reader(tmp_path), connection)
    none = reader(tmp_path, dedupe="near")
    with none.connect("keyword_answers") as connection:
        assert not group_near_duplicates(none, connection)
