"""To which slice items belong by keywords and by shards, and rarity within slices, with units and copies."""

import pyarrow as pa
import pytest
from test_counts_and_novelty import reader

from vlmine_dagster.domain.counting import COUNTED
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.scoring.slices import novelty_within, slices_of
from vlmine_dagster.settings.slices import SliceSettings

SHARDS = {"a": [["snow", "car"], ["fog", "snow"], []], "b": [["car"], ["snow", "moose"]]}
IDS = ["a/000", "a/001", "a/002", "b/000", "b/001"]


def named(pool, slicing):
    slices = slices_of(pool, slicing, IDS)
    return [slices.names[code] for code in slices.codes]


def test_an_image_belongs_to_the_first_keyword_of_the_list_that_it_has():
    pool = reader(SHARDS)

    by_words = named(pool, SliceSettings(by="keywords", keywords=("fog", "snow")))

    assert by_words == ["snow", "fog", "not known", "none of these keywords", "snow"]
    assert named(pool, SliceSettings(by="shard")) == ["a", "a", "a", "b", "b"]
    with pytest.raises(ConfigError, match="no image has the keyword 'snwo'. Did you mean 'snow'"):
        named(pool, SliceSettings(by="keywords", keywords=("fog", "snwo")))


def novelty(pool, unit="image"):
    columns = {"min_count": 0, "mean_count": 0.0, "novelty_min": 0.0, "novelty_mean": 0.0, "rarest_keyword": ""}
    rows = pa.table({"image_id": IDS, **{name: [value] * len(IDS) for name, value in columns.items()}})
    found = novelty_within(pool, SliceSettings(by="shard", within=True), rows, COUNTED[unit]).to_pydict()
    return dict(zip(found["image_id"], zip(found["min_count"], found["rarest_keyword"], strict=True), strict=True))


def test_keywords_are_counted_within_the_slice_by_the_unit_and_copies_once():
    plain = {
        "a/000": (1, "car"),
        "a/001": (1, "fog"),
        "a/002": (None, None),
        "b/000": (1, "car"),
        "b/001": (1, "moose"),
    }
    assert novelty(reader(SHARDS)) == plain

    recording = {"a/000": "drive", "a/001": "drive", "b/000": "drive"}
    counted = novelty(reader({**SHARDS, "a": [["snow"], ["snow"], []]}, sequences=recording), "sequence")
    assert counted["a/000"] == (1, "snow")

    twice = novelty(reader({**SHARDS, "a": [["snow"], ["snow"], []]}, contents={"a/000": "x", "a/001": "x"}))
    assert twice["a/001"] == (1, "snow")
    assert novelty(reader({**SHARDS, "a": [["snow"], ["snow"], []]}))["a/001"] == (2, "snow")
