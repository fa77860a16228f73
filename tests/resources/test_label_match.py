import pytest

from vlmine_dagster.resources.label_match import look_at_labels, match_labels
from vlmine_dagster.resources.labels import load_labels
from vlmine_dagster.settings import DatasetSettings, LabelSettings
from vlmine_dagster.settings.project import Project, ProjectSettings


def labels_of(folder, *keys):
    (folder / "labels.csv").write_text("key,split,class_id\n" + "".join(f"{key},seed,cup\n" for key in keys))
    dataset = DatasetSettings(kind="folder", root="data", labels=LabelSettings(file="labels.csv"))
    return load_labels(Project(ProjectSettings(name="test", dataset=dataset), folder))


def test_a_row_counts_by_the_whole_id_and_by_the_key_alone_and_once(tmp_path):
    found = match_labels(labels_of(tmp_path, "s0/a", "b", "c"), [("s0", "a"), ("s0", "b"), ("s1", "b"), ("s1", "z")])

    assert (found.row_count, found.matched_count, found.image_count) == (3, 2, 4)
    assert (found.key, found.image, found.problem) == ("c", ("s1", "z"), "")


@pytest.mark.parametrize(("keys", "is_told"), [("xyza", True), ("xyab", False)])
def test_less_than_half_of_the_rows_is_worth_a_word(tmp_path, keys, is_told):
    found = match_labels(labels_of(tmp_path, *keys), [("s0", key) for key in "abcdef"])

    assert bool(found.problem) is is_told


def test_of_a_part_of_the_images_only_no_row_at_all_is_worth_a_word(tmp_path):
    labels = labels_of(tmp_path, *"wxyza")

    assert match_labels(labels, [("s0", "a")], is_whole=False).problem == ""
    assert "none of its 5 rows belongs to one of the first 1 images" in (
        match_labels(labels, [("s0", "b")], is_whole=False).problem
    )


def test_what_is_published_is_looked_at_before_the_files(finished):
    found = look_at_labels(finished.bench.labels, finished.bench.source, finished.bench.lake)

    assert (found.image_count, found.matched_count, found.is_whole, found.problem) == (46, 46, True, "")
