"""What is odd about the boxes of a project."""

from contextlib import contextmanager
from types import SimpleNamespace

import duckdb
import pytest

from vlmine_dagster.scoring.box_findings import box_findings

COLUMNS = "object_id, image_id, x, y, width, height, class_name, outcome"


class Lake:
    """Objects as rows of SQL, names in box files that belong to no image, and how many images there are."""

    def __init__(self, objects, *, unmatched=None, image_count=1):
        self.objects, self.unmatched, self.image_count = objects, unmatched, image_count

    def partitions(self, table):
        return ["a"]

    def require(self, table, shards):
        return shards

    def stamp(self, table, partition=""):
        if table == "images":
            return SimpleNamespace(row_count=self.image_count)
        return None if self.unmatched is None else self.unmatched

    @contextmanager
    def connect(self, _columns, **_tables):
        with duckdb.connect() as connection:
            connection.execute(f"CREATE VIEW objects AS SELECT * FROM ({self.objects}) rows({COLUMNS})")  # noqa: S608
            yield connection


def found(objects, *, boxes="boxes.json", **more):
    settings = SimpleNamespace(objects=SimpleNamespace(boxes=boxes))
    return box_findings(SimpleNamespace(project=SimpleNamespace(settings=settings), lake=Lake(objects, **more)))


SAME_BOX = """VALUES ('1', 'a/0', 1.0, 2.0, 30.0, 20.0, 'car', 'ok'), ('2', 'a/0', 1.001, 2.0, 30.0, 20.0, 'van', 'ok'),
('3', 'a/0', 9.0, 2.0, 30.0, 20.0, 'car', 'ok'), ('4', 'a/0', 9.0, 2.0, 30.0, 20.0, 'van', 'outside')"""


def test_a_box_with_two_classes_is_told_with_both():
    (text,) = found(SAME_BOX)  # and one outside of its picture, which is not an object

    assert text == "1 box appears with two classes; both are objects. Such as: a/0: car and van"


def test_images_without_an_object_are_counted():
    objects = "VALUES ('1', 'a/0', 1.0, 2.0, 3.0, 4.0, 'car', 'ok'), ('2', 'a/0', 9.0, 2.0, 3.0, 4.0, 'car', 'ok')"

    assert found(objects, image_count=1) == []
    assert found(objects, image_count=3) == ["no object in the box files: 2 of 3 images"]
    assert found(objects, image_count=3, boxes=None) == []


@pytest.mark.parametrize(("count", "is_compared"), [(1_000_000, True), (1_000_001, False)])
def test_boxes_of_up_to_a_million_objects_are_compared(count, is_compared):
    classes = "if(i = 0, 'van', 'car'), if(i < 2, 'ok', 'outside')"  # the first two have one box
    objects = f"SELECT i, 'a/0', i // 2, 0, 9, 9, {classes} FROM range({count}) numbers(i)"  # noqa: S608

    assert bool(found(objects)) == is_compared
