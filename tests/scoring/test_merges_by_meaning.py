"""Merges that a text encoder proposes beside those by form."""

from contextlib import contextmanager
from types import SimpleNamespace

import duckdb
import pytest
from tiny_models import make_sentence_encoder

from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.mining.merges import Merge
from vlmine_dagster.scoring.proposed_merges import left_out, proposed_merges
from vlmine_dagster.settings.project import Project, parse_settings

ANY = -2.0  # a similarity that all keywords have: the encoder has random weights


class Lake:
    """Keywords as they were said."""

    def __init__(self, *words):
        self.words = words

    def as_said(self):
        return self

    def partitions(self, table):
        return ["a"]

    def require(self, table, shards):
        return shards

    @contextmanager
    def connect(self, **_tables):
        with duckdb.connect() as connection:
            connection.execute("CREATE TABLE keywords AS SELECT unnest($words) AS keyword", {"words": self.words})
            yield connection


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return str(make_sentence_encoder(tmp_path_factory.mktemp("encoder")))


def proposed(encoder, folder, *words, merges=(), rules=()):
    dataset = {"kind": "folder", "root": "."}
    settings = parse_settings({"name": "p", "dataset": dataset, "text_encoder": {"model": encoder}})
    bench = SimpleNamespace(project=Project(settings, folder, str(folder / "home")), lake=Lake(*words))
    found = proposed_merges(bench, merges, synonyms={}, rules=rules, least=ANY)
    return [(one.keyword, one.merged_into, one.rule) for one in found]


def test_what_is_merged_already_is_in_no_proposal_by_meaning(encoder, tmp_path):
    assert proposed(encoder, tmp_path, "road", "road", "zebra") == [("zebra", "road", "meaning")]
    assert proposed(encoder, tmp_path, "road", "road", "zebra", merges=[Merge("zebra", "horse")]) == []
    assert proposed(encoder, tmp_path, "road", "road", "zebra", merges=[Merge("street", "road")]) == []


def test_what_another_rule_names_is_in_no_proposal_by_meaning(encoder, tmp_path):
    ((keyword, target, rule),) = proposed(encoder, tmp_path, "zebra", "zebra", "zebras")

    assert (keyword, target) == ("zebras", "zebra")
    assert rule != "meaning"


def test_a_keyword_that_no_image_has_cannot_be_left_out():
    bench = SimpleNamespace(lake=Lake("zebra", "zebra", "road"))

    assert [(one.keyword, one.merged_into) for one in left_out(bench, [], ["zebra"])] == [("zebra", "-")]
    with pytest.raises(ConfigError, match=r"no image has the keyword 'zebras' \(did you mean 'zebra'\?\)"):
        left_out(bench, [], ["zebras"])
