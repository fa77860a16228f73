"""What the stage `junk` reads: measures of pixels, and keywords that are listed as out of domain."""

import logging

import pytest
from memory import MemoryReader
from plain_tables import plain_rows

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.junk import Junk
from vlmine_dagster.domain.tables import IMAGES, KEYWORDS
from vlmine_dagster.scoring.junk import junk_by_pixels, junk_rows
from vlmine_dagster.settings.project import Project, parse_settings

COLUMNS = ("image_id", "split", "outcome", "width", "height")
MEASURED = ("darkest", "brightest", "contrast", "sharpness", "filled", "text_lines")
SETTINGS = {"name": "p", "dataset": {"kind": "folder", "root": "."}}


def reader(folder, words, *, out_of_domain=(), sizes=None):
    settings = parse_settings({**SETTINGS, "out_of_domain": out_of_domain})
    names = sorted(words)
    usual = {"darkest": 0.0, "brightest": 1.0, "contrast": 1.0, "sharpness": 0.7, "filled": 0.9, "text_lines": 0}
    images = plain_rows(
        IMAGES,
        image_id=names,
        split=["pool"] * len(names),
        outcome=["ok"] * len(names),
        width=[(sizes or {}).get(name, (100, 80))[0] for name in names],
        height=[(sizes or {}).get(name, (100, 80))[1] for name in names],
        **{name: [value] * len(names) for name, value in usual.items()},
    )
    pairs = [(name, word) for name in names for word in words[name]]
    rows = plain_rows(KEYWORDS, image_id=[name for name, _ in pairs], keyword=[word for _, word in pairs])
    columns = {"images": (*COLUMNS, *MEASURED), "keywords": ("image_id", "keyword")}
    project = Project(settings, folder, str(folder / "home"))
    return MemoryReader({"images": {"a": images}, "keywords": {"a": rows}}, columns, project=project)


WORDS = {"a/0": ["web site", "menu"], "a/1": ["cat"], "a/2": ["menu", "table"], "a/3": [], "a/4": ["dog"]}


def test_each_image_counts_its_keywords_that_are_listed(tmp_path):
    rows, found = junk_rows(reader(tmp_path, WORDS, out_of_domain=["Web site", "menu"]))

    assert rows.select(["image_id", "kind", "value", "limit", "typical"]).to_pylist() == [
        {"image_id": "a/0", "kind": "out of domain", "value": 2.0, "limit": 1.0, "typical": 0.0},
        {"image_id": "a/2", "kind": "out of domain", "value": 1.0, "limit": 1.0, "typical": 0.0},
    ]
    assert found.labelled == ()


def test_strips_are_told_by_their_shorter_side_over_the_longer_one_whichever_way_they_lie(tmp_path):
    sizes = {"a/0": (1000, 190), "a/1": (190, 1000), "a/2": (1000, 210), "a/3": (210, 1000)}

    rows, _ = junk_rows(reader(tmp_path, {f"a/{number}": [] for number in range(12)}, sizes=sizes))

    assert rows.select(["image_id", "kind", "value"]).to_pylist() == [
        {"image_id": "a/0", "kind": Junk.SHAPE.value, "value": pytest.approx(0.19)},
        {"image_id": "a/1", "kind": Junk.SHAPE.value, "value": pytest.approx(0.19)},
    ]


def test_a_keyword_that_no_image_has_is_told_with_its_nearest(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        rows, _ = junk_rows(reader(tmp_path, WORDS, out_of_domain=["website", "cat"]))

    assert rows.column("image_id").to_pylist() == ["a/1"]
    assert "out_of_domain: no image has the keyword 'website' (did you mean 'web site'?)" in caplog.text


def test_without_such_keywords_none_is_read(tmp_path):
    pool = reader(tmp_path, WORDS, out_of_domain=[])
    del pool.tables["keywords"]

    assert junk_rows(pool)[0].num_rows == 0


@pytest.mark.parametrize("without", [{"junk": "keep"}, {"dataset": {"kind": "audio", "root": "."}}])
def test_keywords_for_a_lane_that_is_not_there_are_refused(without):
    with pytest.raises(ConfigError, match="out_of_domain: the lists have no junk lane"):
        parse_settings({**SETTINGS, "out_of_domain": ["menu"], **without})


def test_junk_by_pixels_does_not_ask_for_keywords(tmp_path):
    pool = reader(tmp_path, WORDS, out_of_domain=["web site", "menu", "cat"], sizes={"a/4": (1000, 90)})

    assert junk_by_pixels(pool) == {"a/4"}
