"""Who is labelled, who can be judged, and whose label came back for a mined image."""

from types import SimpleNamespace

import pytest
from memory import MemoryReader
from plain_tables import plain_rows

from vlmine_dagster.domain.tables import IMAGES, Split
from vlmine_dagster.scoring.labelled import (
    labelled_counts,
    labelled_images,
    labelled_when_mined,
    readable_pool,
    true_classes,
)

ROWS = {
    "a/3": ("car", "seed", "ok"),
    "a/1": ("car", "seed", "ok"),
    "a/2": ("yak", "seed", "ok"),
    "a/4": ("yak", "seed", "corrupt"),
    "a/5": (None, "seed", "ok"),
    "b/2": ("bus", "test", "ok"),
    "b/1": (None, "pool", "ok"),
    "b/0": ("gnu", "pool", "ok"),
    "b/3": (None, "pool", "corrupt"),
}


@pytest.fixture(scope="module")
def reader():
    shards = {
        shard: plain_rows(
            IMAGES,
            image_id=[name for name in ROWS if name[0] == shard],
            **{
                column: [row[place] for name, row in ROWS.items() if name[0] == shard]
                for place, column in enumerate(("label", "split", "outcome"))
            },
        )
        for shard in "ba"
    }
    return MemoryReader({"images": shards}, {"images": ("image_id", "label", "split", "outcome")})


def test_readable_images_of_a_split_with_a_label_are_labelled_in_the_order_of_their_ids(reader):
    assert list(labelled_images(reader).items()) == [("a/1", "car"), ("a/2", "yak"), ("a/3", "car")]
    assert labelled_images(reader, Split.TEST) == {"b/2": "bus"}
    assert labelled_images(reader, Split.VAL) == {}
    assert labelled_counts(reader) == {"car": 2, "yak": 1}


def test_readable_images_of_the_pool_are_judged_whether_an_oracle_knows_them_or_not(reader):
    assert readable_pool(reader) == ["b/0", "b/1"]


class Labels:
    """Knows images by their keys within a shard, one of which was mined in a round."""

    round_count = 1

    def truth(self, name, key):
        return {"x.jpg": "car", "in/y.jpg": "yak"}.get(key)

    def is_mined(self, name, key, sequence):
        return (name, key, sequence) in {("a/x.jpg", "x.jpg", None), ("a/b/y.jpg", "y.jpg", "drive")}


def test_true_classes_are_looked_up_by_the_key_within_the_shard():
    names = ["a/b/x.jpg", "a/in/y.jpg", "a/x.jpg", "a/z.jpg"]

    found = true_classes(Labels(), names, ["a", "a/b"])

    assert found == {"a/b/x.jpg": "car", "a/in/y.jpg": "yak", "a/x.jpg": "car"}
    assert true_classes(None, names, ["a"]) == {}


def test_labels_that_came_back_are_told_by_id_key_and_sequence():
    names, shards = ["a/x.jpg", "a/b/y.jpg", "a/b/x.jpg", "a/b/y.jpg"], ["a", "a/b"]
    sequences = [None, "drive", None, None]

    found = labelled_when_mined(Labels(), names, shards, sequences=sequences)

    assert found.tolist() == [True, True, False, False]
    assert not labelled_when_mined(None, names, shards, sequences=sequences).any()
    assert not labelled_when_mined(SimpleNamespace(round_count=0), names, shards, sequences=sequences).any()
