"""Captions that were made elsewhere describe the images that they are about, and no others."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import jpeg

from vlmine_dagster.describing.describers.captions import Captions, CaptionsSettings
from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.domain.tables import Outcome

ROWS = [
    {"file_name": "a/1.jpg", "caption": "A red fox.", "tags": ["fox", "snow", "fox"]},
    {"file_name": "1.jpg", "caption": "Any one.", "tags": []},
    {"file_name": "2.jpg", "caption": " Two boats.", "tags": ["boat"]},
    {"file_name": "2.jpg", "caption": "A harbour. ", "tags": ["harbour"]},
    {"file_name": "3.jpg", "caption": None, "tags": []},
    {"file_name": "4.jpg", "caption": "", "tags": ["owl"]},
]


def written(folder, ending, rows=ROWS):
    file = folder / f"captions{ending}"
    if ending == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def described(location, images, **settings):
    captions = Captions(location, CaptionsSettings(kind="captions", path=location, **settings))
    return {answer.image_id: answer for answer in captions.describe(dict.fromkeys(images, "0" * 64), None)}


@pytest.mark.parametrize("ending", [".parquet", ".jsonl"])
def test_the_longest_end_of_an_image_id_that_the_file_has_decides(tmp_path, ending):
    images = ["shard-000/a/1.jpg", "shard-001/b/1.jpg", "tars/x/2", "s/3.jpg", "s/5.jpg"]

    found = described(written(tmp_path, ending), images)

    assert list(found) == images
    assert found["shard-000/a/1.jpg"].text == "A red fox."
    assert found["shard-001/b/1.jpg"].text == "Any one."
    assert found["tars/x/2"].text == "Two boats. A harbour."  # a key without ending, and two captions
    for name in ("s/3.jpg", "s/5.jpg"):
        assert found[name].outcome is Outcome.EMPTY
        assert found[name].failure.endswith("has no caption for the image")
        assert found[name].text is None


def test_an_image_id_wins_over_file_names_and_columns_can_be_named(tmp_path):
    rows = [{"image_id": "s/1.jpg", "file_name": "2.jpg", "de": "Ein Fuchs.", "caption": "A fox."}]
    location = written(tmp_path, ".parquet", rows)

    assert described(location, ["s/1.jpg"])["s/1.jpg"].text == "A fox."
    other = described(location, ["s/2.jpg"], name_column="file_name", caption_column="de")
    assert other["s/2.jpg"].text == "Ein Fuchs."


@pytest.mark.parametrize("ending", [".parquet", ".jsonl"])
def test_tags_are_taken_where_they_are_asked_for(tmp_path, ending):
    found = described(written(tmp_path, ending), ["s/a/1.jpg", "s/4.jpg", "s/2.jpg"], tags_column="tags")

    assert [tag.tag for tag in found["s/a/1.jpg"].tags] == ["fox", "snow"]
    assert (found["s/4.jpg"].text, [tag.tag for tag in found["s/4.jpg"].tags]) == ("owl", ["owl"])
    assert [tag.tag for tag in found["s/2.jpg"].tags] == ["boat", "harbour"]
    assert CaptionsSettings(kind="captions", path="x", tags_column="tags").capabilities.gives_tags
    assert not CaptionsSettings(kind="captions", path="x").capabilities.gives_tags


def test_the_fingerprint_follows_content_and_columns_but_not_the_place(tmp_path):
    (tmp_path / "moved").mkdir()
    places = [
        written(tmp_path, ".jsonl"),
        written(tmp_path / "moved", ".jsonl"),
        written(tmp_path, ".parquet", ROWS[:1]),
    ]
    prints = [Captions(place, CaptionsSettings(kind="captions", path=place)).fingerprint for place in places]
    tagged = CaptionsSettings(kind="captions", path=places[0], tags_column="tags")

    assert prints[0] == prints[1] != prints[2]
    assert Captions(places[0], tagged).fingerprint != prints[0]


def test_what_cannot_be_read_says_why(tmp_path):
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ConfigError, match="captions.txt does not end in one of .parquet, .jsonl, .ndjson"):
        described(str(tmp_path / "captions.txt"), ["a"])
    for name in ("gone.jsonl", "broken.parquet"):
        with pytest.raises(SourceError, match=f"{name} cannot be read: .* Correct describer.path, or the file."):
            described(str(tmp_path / name), ["a"])
    with pytest.raises(ConfigError, match="has no column words. It has: file_name, caption, tags. Set describer.capt"):
        described(written(tmp_path, ".parquet"), ["a"], caption_column="words")
    with pytest.raises(ConfigError, match="no column image_id or file_name .* It has: text. Set describer.name_column"):
        described(written(tmp_path, ".jsonl", [{"text": "x"}]), ["a"])


def test_a_pool_is_mined_by_captions_that_another_pipeline_made(make_project):
    pool = {
        "s": {"coffee-0.jpg": jpeg("coffee", 0), "coffee-1.jpg": jpeg("coffee", 1), "rocket.jpg": jpeg("rocket", 0)}
    }
    made = make_project(
        pool,
        describer={"kind": "captions", "path": "captions.jsonl"},
        keyworder={"kind": "rules"},
        experiments={"rare": {"signals": ["novelty_min"]}},
    )
    rows = [("coffee-0.jpg", "A cup of coffee."), ("coffee-1.jpg", "A coffee cup."), ("rocket.jpg", "A rocket.")]
    file = made.folder / "captions.jsonl"
    file.write_text("".join(json.dumps({"file_name": name, "caption": text}) + "\n" for name, text in rows))

    assert made.run().is_whole

    ranked = made.frame("pareto_set", "rare")
    assert ranked.loc[ranked["rank"] == 1, "image_id"].tolist() == ["s/rocket"]
    assert set(made.frame("keywords")["keyword"]) == {"cup", "coffee", "rocket"}
    assert made.run().materialized == []
    file.write_text(file.read_text().replace("A rocket.", "A rocket at night."))
    made.run()
    assert "night" in set(made.frame("keywords")["keyword"])
