"""What changed in a list since the one before it, and whose changes stay where nothing did."""

from contextlib import contextmanager
from types import SimpleNamespace

import duckdb
import pyarrow as pa
from memory import MemoryReader

from vlmine_dagster.domain.counting import COUNTED
from vlmine_dagster.domain.tables import WHOLE_POOL
from vlmine_dagster.scoring.list_changes import changes_text, list_changes

KEPT = pa.table({"change": ["entered"], "cause": ["new"]})


def listed(names, *, selected):
    """A list in this order, of which the budget reaches the first."""
    count = len(names)
    ranks = range(1, count + 1)
    rows = {"image_id": names, "rank": ranks, "novelty_min": [1 / rank for rank in ranks]}
    return pa.table({**rows, "selected": [place < selected for place in range(count)]})


class Published:
    """What was published last."""

    def __init__(self, rows, inputs="then"):
        self.rows, self.inputs = rows, inputs

    def read(self):
        return self.rows

    @contextmanager
    def connect(self):
        with duckdb.connect() as connection:
            connection.register("before", self.rows)
            yield connection


def of_counts(counts, *, selected):
    """A list by how many images have the rarest keyword, in this order, of which the budget reaches the first."""
    rows = {
        "image_id": list(counts),
        "rank": range(1, len(counts) + 1),
        "novelty_min": [1 / n for n in counts.values()],
    }
    return pa.table({**rows, "selected": [place < selected for place in range(len(counts))]})


def changes(last, now, *, last_changes=None, splits=None, verdicts=None):
    names = sorted({*now.column("image_id").to_pylist(), *(splits or {})})
    items = pa.table(
        {
            "image_id": names,
            "split": [(splits or {}).get(name, "pool") for name in names],
            "outcome": ["ok"] * len(names),
        }
    )
    tables = {"images": {"week-1": items, "week-2": items.slice(0, 0)}}
    project = SimpleNamespace(settings=SimpleNamespace(counted=COUNTED["image"], unit="image"))
    columns = {"images": ("image_id", "split", "outcome")}
    if verdicts is not None:
        tables["verdicts"] = {WHOLE_POOL: verdicts}
        columns["verdicts"] = ("image_id", "reviewer", "verdict")
    reader = MemoryReader(tables, columns, project=project)
    found = SimpleNamespace(rows=now, selected_count=sum(now.column("selected").to_pylist()))
    return list_changes(reader, found, last, last_changes)


def test_the_first_list_has_no_changes_to_tell():
    found = changes(None, listed(["week-1/a"], selected=1))

    assert found.is_first
    assert found.rows.num_rows == 0
    assert found.counts == {}


def test_changes_say_who_entered_by_rank_then_who_left_by_last_rank():
    before = listed([f"week-1/{name}" for name in "abcd"], selected=3)
    now = listed(["week-2/x", "week-1/d", "week-1/a", "week-1/c"], selected=3)

    found = changes(Published(before), now, splits={"week-1/b": "seed"})

    rows = [(one["image_id"], one["change"], one["cause"]) for one in found.rows.to_pylist()]
    assert rows == [
        ("week-2/x", "entered", "new"),
        ("week-1/d", "entered", "signal"),
        ("week-1/b", "left", "labelled"),
        ("week-1/c", "left", "signal"),
    ]
    assert [(one["rank"], one["rank_before"]) for one in found.rows.to_pylist()] == [
        (1, None),
        (2, 4),
        (None, 2),
        (4, 3),
    ]
    assert found.counts == {"entered": 2, "left": 2}
    assert not found.is_first


def test_a_list_of_the_same_images_keeps_the_changes_that_were_published_with_the_last_one():
    before = listed(["week-1/a", "week-1/b", "week-1/c"], selected=2)
    now = listed(["week-1/b", "week-1/a", "week-1/c"], selected=2)

    assert changes(Published(before), now, last_changes=Published(KEPT)).rows is KEPT


def test_changes_of_a_run_that_published_no_list_are_not_kept():
    same = listed(["week-1/a", "week-1/b"], selected=1)

    assert changes(Published(same), same, last_changes=Published(KEPT, inputs="killed")).rows.num_rows == 0
    assert changes(Published(same), same).rows.num_rows == 0


def test_a_list_of_other_images_replaces_the_changes_before_it():
    before, now = listed(["week-1/a", "week-1/b"], selected=1), listed(["week-1/b", "week-1/a"], selected=1)

    found = changes(Published(before), now, last_changes=Published(KEPT))

    assert found.counts == {"entered": 1, "left": 1}


def test_an_image_that_a_merge_of_keywords_lifted_on_a_list_with_verdicts_has_risen_by_a_signal():
    # a, b and c have keywords of their own until those of a and b are merged
    before = of_counts({"week-1/a": 1, "week-1/b": 1, "week-1/c": 1, "week-1/d": 9}, selected=1)
    now = of_counts({"week-1/c": 1, "week-1/a": 2, "week-1/b": 2, "week-1/d": 9}, selected=1)
    verdicts = pa.table({"image_id": ["week-1/d"], "reviewer": ["ana"], "verdict": ["common"]})

    found = changes(Published(before), now, verdicts=verdicts)

    assert [(one["image_id"], one["cause"], one["why"]) for one in found.rows.to_pylist()] == [
        (
            "week-1/c",
            "signal",
            "rank 3 before; its rarest keyword is still in 1 image, and novelty_min ranks no other image level with it "
            "now, 2 before",
        ),
        ("week-1/a", "signal", "rank 2 now; its rarest keyword is in 2 images now, in 1 image before"),
    ]
    text = "Since the last list 1 image entered (1 risen by a signal) and 1 left (1 fallen by a signal)"
    assert changes_text(found.rows) == text
