"""Near-duplicates in a project: counted once, shown once, and only where that was asked for."""

from io import BytesIO
from typing import Any

import pytest
from conftest import Made, Maker, jpeg, members, photo
from PIL import Image


def changed(kind: str) -> bytes:
    whole = photo("rocket").convert("RGB")
    made = whole.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if kind == "mirrored" else whole.resize((200, 133))
    out = BytesIO()
    made.save(out, "JPEG", quality=80)
    return out.getvalue()


def washed_out(data: bytes) -> bytes:
    out = BytesIO()
    Image.open(BytesIO(data)).point(lambda value: 222 + value // 8).save(out, "JPEG", quality=95)
    return out.getvalue()


@pytest.fixture(scope="module")
def made(make_project: Maker) -> Made:
    plain = BytesIO()
    photo("rocket").convert("RGB").save(plain, "JPEG", quality=92)
    shards = {
        "a": {
            **members({"coffee": 3, "chelsea": 3}, start=0),
            "r0.jpg": plain.getvalue(),
            "washed-out.jpg": washed_out(jpeg("astronaut", 0)),
        },
        "b": {
            **members({"coffee": 2, "chelsea": 2}, start=10),
            "same.jpg": jpeg("coffee", 0),
            "good.jpg": jpeg("astronaut", 0),
            "r1.jpg": changed("mirrored"),
            "r2.jpg": changed(""),
        },
    }
    project = make_project(shards, experiments={"mine": {"signals": ["novelty_min"]}}, budget=20)
    outcome = project.run()
    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    return project


def rockets(project: Made) -> list[tuple[str, str]]:
    rows = project.frame("pareto_set", "mine")
    return [(row.image_id, row.reason) for row in rows.itertuples() if "/r" in row.image_id]


def test_they_count_once_and_are_listed_once_where_that_is_asked_for_and_else_nothing_changes(made: Made):
    before: Any = made.frame("pareto_set", "mine")
    assert sorted(name for name, _ in rockets(made)) == ["a/r0", "b/r1", "b/r2"]
    assert not made.bench.lake.path("duplicates", "pool").exists()
    counts = made.frame("vocab_counts").set_index("keyword")["image_count"]
    words = made.frame("keywords")
    shared = set.intersection(*(set(words[words["image_id"] == name]["keyword"]) for name, _ in rockets(made)))

    made.settings(dedupe="near")
    outcome = made.run()

    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    found = made.frame("duplicates").set_index("image_id")["kept_id"].to_dict()
    assert {name: kept for name, kept in found.items() if "/r" in name} == {"b/r1": "a/r0", "b/r2": "a/r0"}
    ((name, reason),) = rockets(made)
    assert name == "a/r0"
    assert reason.endswith(" · +2 similar")
    after = made.frame("vocab_counts").set_index("keyword")["image_count"]
    assert shared
    assert {word: counts[word] - after[word] for word in shared} == dict.fromkeys(shared, 2)

    made.settings(dedupe="bytes")
    made.run()
    assert made.frame("pareto_set", "mine").equals(before)


def test_a_photo_stands_for_its_washed_out_copy_though_that_comes_first_unless_junk_is_kept(made: Made):
    made.settings(dedupe="near")
    made.run()

    found = made.frame("duplicates").set_index("image_id")["kept_id"].to_dict()
    assert found["a/washed-out"] == "b/good"
    assert made.frame("junk")["image_id"].tolist() == ["a/washed-out"]
    listed = made.frame("pareto_set", "mine").set_index("image_id")
    assert "a/washed-out" not in listed.index
    assert listed.loc["b/good", "reason"].endswith(" · +1 similar")

    made.settings(junk="keep")
    outcome = made.run()

    assert ("duplicates", "pool") in outcome.materialized
    assert made.frame("duplicates").set_index("image_id")["kept_id"].to_dict()["b/good"] == "a/washed-out"
    made.settings(junk="lane")


def test_every_file_counts_and_is_listed_where_that_is_asked_for(made: Made):
    made.settings(dedupe="bytes")
    made.run()
    once = set(made.frame("pareto_set", "mine")["image_id"])
    counts = made.frame("vocab_counts").set_index("keyword")["image_count"]

    made.settings(dedupe=False)  # what YAML reads where `off` stands
    outcome = made.run()

    assert ("vocab_counts", "pool") in outcome.materialized
    assert set(made.frame("pareto_set", "mine")["image_id"]) - once == {"b/same"}
    words = set(made.frame("keywords").query("image_id == 'b/same'")["keyword"])
    more = made.frame("vocab_counts").set_index("keyword")["image_count"] - counts
    assert words
    assert {word for word in more.index if more[word]} == words
