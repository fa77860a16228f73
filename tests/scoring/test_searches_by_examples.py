"""How much images are like the examples of a search, and like its text."""

import numpy as np
import pyarrow as pa
import pytest
from memory import MemoryReader
from test_lists_by_verdicts import CARS, KITES, vectors
from tiny_models import make_sentence_encoder

from vlmine_dagster.domain.errors import MissingInputError
from vlmine_dagster.scoring.likeness import likeness_of
from vlmine_dagster.scoring.pool import MinedPool
from vlmine_dagster.settings import LikeSettings
from vlmine_dagster.settings.project import Project, parse_settings

NAMES = [*KITES, *CARS]
POOL = MinedPool(pa.table({"image_id": NAMES}))


def reader(folder, *, has_keywords, kite="kite", **more):
    """Kites and cars, whose keywords say so where there are any."""
    images = pa.table({"image_id": NAMES, "label": pa.nulls(len(NAMES), pa.string()), "split": ["pool"] * len(NAMES)})
    tables = {
        "images": {"a": images.append_column("outcome", pa.array(["ok"] * len(NAMES)))},
        "embeddings": {"a": vectors(NAMES)},
        "keywords": {"a": pa.table({"image_id": NAMES, "keyword": [kite] * 5 + ["car"] * 5})},
        "vocab_counts": {"pool": pa.table({"keyword": ["car", kite], "image_count": [5, 5]})},
    }
    columns = {
        "images": ("image_id", "label", "split", "outcome"),
        "embeddings": ("image_id", "embedding", "tag_probabilities"),
    }
    words = {"keywords": ("image_id", "keyword"), "vocab_counts": ("keyword", "image_count")}
    settings = parse_settings({"name": "p", "dataset": {"kind": "folder", "root": "."}, **more})
    return MemoryReader(tables, {**columns, **(words if has_keywords else {})}, project=Project(settings, folder))


def test_examples_need_no_keywords_and_are_not_found_themselves(tmp_path):
    found = likeness_of(reader(tmp_path, has_keywords=False), POOL, LikeSettings(images=(KITES[0],)))

    assert np.isnan(found).tolist() == [True] + [False] * 9
    assert found[1:5].min() > found[5:].max()


def test_a_text_is_compared_with_keywords_where_a_project_has_no_text_encoder(tmp_path):
    found = likeness_of(reader(tmp_path, has_keywords=True), POOL, LikeSettings(text="a kite"))

    assert not np.isnan(found).any()
    assert found[:5].min() > found[5:].max()


def test_a_text_finds_the_keywords_that_a_text_encoder_takes_for_its_meaning(tmp_path):
    # two words of equal length that the tiny tokenizer has never seen, so it cannot tell them apart
    encoder = {"model": str(make_sentence_encoder(tmp_path / "encoder"))}
    pool = reader(tmp_path, has_keywords=True, kite="змей", text_encoder=encoder)

    found = likeness_of(pool, POOL, LikeSettings(text="лист"))

    assert found[:5].min() > found[5:].max()


def test_a_text_that_no_keyword_matches_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(MissingInputError, match=r"matches the text 'kitete'\. Did you mean 'kite'\?"):
        likeness_of(reader(tmp_path, has_keywords=True), POOL, LikeSettings(text="kitete"))
