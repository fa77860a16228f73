from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory import MemoryReader
from plain_tables import plain_rows

from vlmine_dagster.domain.counting import COUNTED
from vlmine_dagster.domain.errors import ContractError, MissingInputError, MixedVariantsError
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.tables import IMAGES, KEYWORD_ANSWERS, KEYWORDS
from vlmine_dagster.mining.novelty import novelty_scores as from_lists
from vlmine_dagster.mining.novelty import pooled_counts
from vlmine_dagster.mining.vocabulary import count_images
from vlmine_dagster.scoring.novelty import novelty_scores
from vlmine_dagster.scoring.vocabulary import count_vocabulary, unit_counts, vocabulary_drift
from vlmine_dagster.settings.project import Project, parse_settings

COLUMNS = {
    "keywords": ["image_id", "keyword", "variant_hash"],
    "keyword_answers": ["image_id", "outcome"],
    "vocab_counts": ["keyword", "unit_count"],
    "images": ["image_id", "sha256", "split", "outcome", "sequence_id"],
}
PLAIN = Project(parse_settings({"name": "plain", "dataset": {"kind": "folder", "root": "."}}), Path("/nowhere"))
images = st.lists(st.lists(st.sampled_from("abcdefg"), max_size=5, unique=True), min_size=1, max_size=12)


def reader(shards, *, hashes=None, contents=None, splits=None, sequences=None):
    """A pool of shards, each a list of images, each a list of keywords; `contents` names images of the same bytes."""
    tables = {"keywords": {}, "keyword_answers": {}, "images": {}}
    for name, keywords in shards.items():
        rows = [(f"{name}/{number:03}", word) for number, words in enumerate(keywords) for word in sorted(words)]
        ids = [f"{name}/{number:03}" for number in range(len(keywords))]
        outcomes = ["ok" if words else "empty" for words in keywords]
        digest = (hashes or {}).get(name, "h")
        tables["keywords"][name] = plain_rows(
            KEYWORDS,
            image_id=[row[0] for row in rows],
            keyword=[row[1] for row in rows],
            variant_hash=[digest] * len(rows),
        )
        tables["images"][name] = plain_rows(
            IMAGES,
            image_id=ids,
            sha256=[(contents or {}).get(one, one) for one in ids],
            split=[(splits or {}).get(one, "pool") for one in ids],
            sequence_id=[(sequences or {}).get(one) for one in ids],
        )
        tables["keyword_answers"][name] = plain_rows(KEYWORD_ANSWERS, image_id=ids, outcome=outcomes)
    return MemoryReader(tables, COLUMNS, project=PLAIN)


def counted(pool):
    pool.tables["vocab_counts"] = {"pool": count_vocabulary(pool).counts}
    return pool


@settings(max_examples=25, deadline=None)
@given(st.lists(images, min_size=1, max_size=3).filter(lambda shards: any(word for one in shards for word in one)))
def test_the_published_columns_are_those_of_the_formulas_that_the_signals_cite(shards):
    pool = counted(reader({f"s{number}": keywords for number, keywords in enumerate(shards)}))
    keywords = [words for shard in shards for words in shard if words]
    counts = count_images(keywords)

    rows = novelty_scores(pool)

    assert unit_counts(pool) == counts
    assert rows.column("image_id").to_pylist() == sorted(rows.column("image_id").to_pylist())
    for pooling in ("min", "mean"):
        np.testing.assert_array_equal(rows.column(f"{pooling}_count"), pooled_counts(keywords, counts, pooling=pooling))
        np.testing.assert_array_equal(rows.column(f"novelty_{pooling}"), from_lists(keywords, counts, pooling=pooling))
    rarest = [min(words, key=lambda word: (counts[word], word)) for words in keywords]
    assert rows.column("rarest_keyword").to_pylist() == rarest


@settings(max_examples=50, deadline=None)
@given(
    st.lists(images, min_size=1, max_size=3).filter(lambda shards: any(word for one in shards for word in one)),
    st.lists(st.sampled_from(["x", "y", "z", None]), min_size=36, max_size=36),
)
def test_by_sequence_a_keyword_counts_once_in_all_frames_and_shards_of_one(shards, drawn):
    pool = {f"s{number}": keywords for number, keywords in enumerate(shards)}
    ids = [f"{name}/{number:03}" for name, keywords in pool.items() for number in range(len(keywords))]
    sequences = dict(zip(ids, drawn, strict=False))

    rows = count_vocabulary(reader(pool, sequences=sequences), COUNTED["sequence"]).counts.to_pylist()

    words = dict(zip(ids, (found for keywords in shards for found in keywords), strict=True))
    shown = {word: [name for name in ids if word in words[name]] for row in rows for word in [row["keyword"]]}
    assert {row["keyword"]: row["image_count"] for row in rows} == {word: len(names) for word, names in shown.items()}
    units = {word: {sequences[name] or name for name in names} for word, names in shown.items()}
    assert [(row["unit_count"], row["keyword"]) for row in rows] == sorted(
        ((len(found), word) for word, found in units.items()), key=lambda one: (-one[0], one[1])
    )


def test_a_track_counts_once_in_its_recording_and_again_in_another_with_the_same_number():
    pool = reader({"a": [["bus"]] * 5}, sequences={"a/000": "x", "a/001": "x", "a/002": "y"})
    tracks = pa.array(["1", "1", "1", "1", None])
    pool.tables[ITEMS] = {"a": pool.tables["images"]["a"].append_column("track_id", tracks)}
    pool.columns[ITEMS] = [*COLUMNS["images"], "track_id"]

    (row,) = count_vocabulary(pool, COUNTED["track"]).counts.to_pylist()

    # Track 1 of x twice, of y, of no known recording, and an object without a track.
    assert (row["image_count"], row["unit_count"]) == (5, 4)


def test_a_parked_fire_engine_is_one_fire_engine():
    frames = {f"a/{number:03}": "parked" for number in range(30)}
    pool = reader({"a": [["fire engine"]] * 30 + [["bus"]] * 3 + [["comet"]]}, sequences=frames)
    pool.tables["vocab_counts"] = {"pool": count_vocabulary(pool, COUNTED["sequence"]).counts}

    scores = dict(
        zip(*(novelty_scores(pool).column(name).to_pylist() for name in ("image_id", "min_count")), strict=True)
    )

    assert (scores["a/000"], scores["a/029"], scores["a/030"], scores["a/033"]) == (1, 1, 3, 1)
    assert unit_counts(pool) == {"fire engine": 1, "bus": 3, "comet": 1}


def test_a_keyword_that_was_not_counted_is_named():
    pool = counted(reader({"a": [["car"], ["road"]]}))
    pool.tables["vocab_counts"] = {"pool": pa.table({"keyword": ["car"], "unit_count": [1]})}

    with pytest.raises(ContractError, match=r"novelty_scores\[pool\]: keywords 'road' have no count"):
        novelty_scores(pool)


def test_shards_that_were_keyworded_otherwise_are_named():
    pool = reader({"a": [["car"], ["road"]], "b": [["car"]], "c": [["car"], ["car"]]}, hashes={"b": "other"})

    with pytest.raises(MixedVariantsError, match=r"2 ways .* \(h, other\).* for 1 shard: b\.$"):
        count_vocabulary(pool)


def test_a_pool_without_keywords_is_refused():
    with pytest.raises(MissingInputError, match="no image of the pool has a keyword"):
        count_vocabulary(reader({"a": [[], []]}))


def test_a_shard_whose_keywords_differ_from_the_others_drifts():
    alike = {name: [["car", "road"]] * 200 for name in "abc"}

    same, other = (
        vocabulary_drift(pool, pool.tables["vocab_counts"]["pool"])
        for pool in (counted(reader(alike)), counted(reader({**alike, "odd": [["car", "snow"]] * 200})))
    )

    assert same.is_met
    assert not other.is_met
    assert "odd" in other.text


def copied(*names):
    return dict.fromkeys(names, "the same bytes")


def test_the_same_bytes_count_once_in_whatever_shards_they_are():
    plain = [["car", "road"], ["road"], ["road", "comet"], []]
    once = reader({"a": plain})
    often = reader(
        {"a": [*plain, ["road", "comet"]], "b": [["road", "comet"]] * 7},
        contents=copied("a/002", "a/004", *(f"b/{number:03}" for number in range(7))),
    )

    assert count_vocabulary(often) == count_vocabulary(once)
    rows = novelty_scores(counted(often)).to_pylist()
    assert [row["min_count"] for row in rows if row["image_id"] in ("a/002", "a/004", "b/006")] == [1, 1, 1]


def test_of_copies_one_with_keywords_is_counted():
    pool = reader({"a": [[], ["comet"], ["road"]]}, contents=copied("a/000", "a/001"))
    assert unit_counts(counted(pool)) == {"comet": 1, "road": 1}


def test_images_that_failed_are_no_copies_of_each_other():
    pool = reader({"a": [["car"], ["car"], ["road"]]}, contents=copied("a/000", "a/001"))
    images = pool.tables["images"]["a"]
    place = images.schema.get_field_index("outcome")
    failed = pa.array(["corrupt", "corrupt", "ok"])
    pool.tables["images"]["a"] = images.set_column(place, images.schema.field(place), failed)
    assert unit_counts(counted(pool)) == {"car": 2, "road": 1}
