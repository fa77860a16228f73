"""What a project's own tables say about how to mine it, as far as they are there."""

from types import SimpleNamespace

import pytest
from conftest import plain_rows

from vlmine_dagster.domain.tables import JUNK, RARITY_SCORES, VOCAB_COUNTS, WHOLE_POOL
from vlmine_dagster.resources.lake import Lake
from vlmine_dagster.scoring.findings import junk_findings, strategy_of
from vlmine_dagster.settings.project import Project, parse_settings


@pytest.fixture
def bench(tmp_path):
    """A project without labels whose lake is empty."""
    settings = {"name": "p", "dataset": {"kind": "folder", "root": "."}, "out_of_domain": ["website"]}
    project = Project(parse_settings(settings), tmp_path)
    return SimpleNamespace(project=project, lake=Lake(str(tmp_path / "lake"), scratch=tmp_path), labels=None)


def publish(bench, table, **columns):
    bench.lake.publish(table.name, WHOLE_POOL, plain_rows(table, **columns), inputs="")


def publish_weight(bench, weight):
    """Publish how much tags weigh; nothing else of the table is read."""
    others = {column.name: [0.0] for column in RARITY_SCORES.columns if column.type_name == "float64"}
    publish(bench, RARITY_SCORES, **{**others, "image_id": ["a/0"], "tag_weight": [weight]})


def test_what_to_mine_by_follows_how_much_tags_weigh_once_that_is_known(bench):
    assert "it finds out how much tags tell about this pool" in strategy_of(bench)

    publish_weight(bench, 0.1)
    assert "goes by how isolated images are" in strategy_of(bench)

    publish_weight(bench, 0.9)
    assert "the tags tell this pool's images apart" in strategy_of(bench)


def test_junk_is_counted_before_keywords_are_and_those_out_of_domain_are_looked_up_after(bench):
    assert junk_findings(bench) == []

    publish(bench, JUNK, image_id=["a/0", "a/1"], kind=["blurred", "too dark"])
    (text,) = junk_findings(bench)
    assert text.startswith("2 images are in the junk lane: 1 blurred, 1 too dark.")

    publish(bench, VOCAB_COUNTS, keyword=["web site"])
    assert junk_findings(bench)[1:] == ["out_of_domain: no image has the keyword 'website' (did you mean 'web site'?)."]
