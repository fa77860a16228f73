import pytest

from vlmine_dagster.domain.errors import SourceError
from vlmine_dagster.resources.label_match import images_of, look_at_labels, match_labels
from vlmine_dagster.resources.labels import load_labels
from vlmine_dagster.settings import DatasetSettings, LabelSettings
from vlmine_dagster.settings.project import Project, ProjectSettings


def labels_of(folder, *keys, key_format="{}"):
    (folder / "labels.csv").write_text("key,split,class_id\n" + "".join(f"{key},seed,cup\n" for key in keys))
    dataset = DatasetSettings(
        kind="folder", root="data", labels=LabelSettings(file="labels.csv", key_format=key_format)
    )
    return load_labels(Project(ProjectSettings(name="test", dataset=dataset), folder))


def test_names_without_folder_and_ending_are_answered_with_the_format_that_makes_keys_of_them(tmp_path):
    images = [("s0", "2024/cat 1.jpg"), ("s0", "2024/cat 2.jpg"), ("s0", "2024/dog.png")]

    assert match_labels(labels_of(tmp_path, "cat 1", "cat 2", "dog"), images).advice == (
        "Set dataset.labels.key_format: '2024/{}.jpg' in vlmine.yaml."
    )
    keyed = labels_of(tmp_path, "cat 1", "dog", key_format="{}.jpg")
    assert match_labels(keyed, [("s0", "2024/cat 1.jpg")]).advice == (
        "Set dataset.labels.key_format: '2024/{}.jpg' in vlmine.yaml."
    )
    assert match_labels(labels_of(tmp_path, "x", "y"), images).advice == "Correct the keys of the label file."
    for elsewhere in (r"C:\photos\x.jpg", "/home/ana/photos/x.jpg"):
        assert (
            "take its labels with `vlmine labels import`" in match_labels(labels_of(tmp_path, elsewhere), images).advice
        )


def test_a_row_counts_by_the_whole_id_and_by_the_key_alone_and_once(tmp_path):
    found = match_labels(labels_of(tmp_path, "s0/a", "b", "c"), [("s0", "a"), ("s0", "b"), ("s1", "b"), ("s1", "z")])

    assert (found.row_count, found.matched_count, found.image_count) == (3, 2, 4)
    assert (found.key, found.image) == ("c", ("s1", "z"))
    assert found.problem.startswith("1 of its 3 rows belongs to no image. A key in it is 'c'; an image is 's1/z',")


@pytest.mark.parametrize(("keys", "lost"), [("xyza", 3), ("xyab", 2), ("xabcdef", 1), ("abcdef", 0)])
def test_rows_of_no_image_are_reported_whatever_their_share(tmp_path, keys, lost):
    found = match_labels(labels_of(tmp_path, *keys), [("s0", key) for key in "abcdef"])

    assert found.problem.startswith(f"{lost} of its {len(keys)} rows belong") if lost else found.problem == ""


def test_of_a_part_of_the_images_only_no_row_at_all_is_worth_a_word(tmp_path):
    labels = labels_of(tmp_path, *"wxyza")

    assert match_labels(labels, [("s0", "a")], is_whole=False).problem == ""
    assert "none of its 5 rows belongs to one of the first 1 images" in (
        match_labels(labels, [("s0", "b")], is_whole=False).problem
    )


def test_what_is_published_is_looked_at_before_the_files(finished):
    found = look_at_labels(finished.bench.labels, finished.bench.source, finished.bench.lake)

    assert (found.image_count, found.matched_count, found.is_whole, found.problem) == (46, 46, True, "")


THERE = [
    ("s0", "cats/a.jpg"),
    ("s0", "dogs/b.jpg"),
    ("s1", "7"),
    ("s1", "cafe\u0301.jpg"),
    ("s1", "0042"),
    ("s1", "x y.jpg"),
]


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("s0/cats/a.jpg", "s0/cats/a.jpg"),
        ("cats/a.jpg", "s0/cats/a.jpg"),
        ("a.jpg", "s0/cats/a.jpg"),
        ("/data/local-files/?d=out/s0/cats/a.jpg", "s0/cats/a.jpg"),
        ("/home/me/pictures/cats/a.jpg", "s0/cats/a.jpg"),  # the shard of a folder tree is in no path
        ("D:\\pictures\\cats\\a.jpg", "s0/cats/a.jpg"),
        ("a", "s0/cats/a.jpg"),
        ("cats/a.JPG", "s0/cats/a.jpg"),
        ("out/s1/7.png", "s1/7"),  # a copy out of a tar has an ending, its key has none
        ("caf\u00e9.jpg", "s1/cafe\u0301.jpg"),
        ("42", "s1/0042"),  # a spreadsheet takes the zeros away
        ("/data/local-files/?d=s1/x%20y.jpg", "s1/x y.jpg"),
        ("xa.jpg", None),
        ("pools/dogs/a.jpg", None),
        ("142", None),
    ],
)
def test_a_tools_name_for_an_image_is_matched_by_its_end_where_one_image_fits(name, image):
    assert images_of([name], THERE) == ({} if image is None else {name: image})


def test_a_percent_sign_in_a_files_name_is_one_and_an_escape_only_where_no_such_file_is():
    both = [("s", "a b.jpg"), ("s", "a%20b.jpg")]

    assert images_of(["a b.jpg", "a%20b.jpg"], both) == {"a b.jpg": "s/a b.jpg", "a%20b.jpg": "s/a%20b.jpg"}
    assert images_of(["x/a%20b.jpg", "a%20b"], both[1:]) == dict.fromkeys(["x/a%20b.jpg", "a%20b"], "s/a%20b.jpg")
    assert images_of(["a%20b.jpg"], both[:1]) == {"a%20b.jpg": "s/a b.jpg"}


def test_a_name_that_is_the_end_of_two_ids_is_refused_and_the_whole_id_is_not():
    there = [("s0", "a.jpg"), ("s1", "a.jpg")]

    with pytest.raises(SourceError, match=r"'a\.jpg' is the end of several image ids, such as 's0/a\.jpg' and 's1/a"):
        images_of(["a.jpg"], there)
    assert images_of(["s1/a.jpg"], there) == {"s1/a.jpg": "s1/a.jpg"}


def test_a_number_that_is_there_is_not_taken_for_one_with_zeros():
    assert images_of(["7"], [("s", "7"), ("s", "007")]) == {"7": "s/7"}
