"""How much images are like the examples of a search, and like its text."""

import numpy as np
import pyarrow as pa
import pytest
from memory import MemoryReader
from test_lists_by_verdicts import CARS, COLUMNS, FEATURES, KITES, TAGS, fixed, vectors
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


def test_what_resembles_a_labelled_class_comes_after_what_is_as_near_the_examples(tmp_path):
    # Features are the same for all, so that tags alone decide. The class of the example is left out; that of cars is
    # towards (0, 2, 0, 1), the sum of its three images in both shards.
    tags = {
        "a/example": (1, 0, 0, 0), "a/kite": (1, 0, 0, 0), "a/car 1": (0, 1, 0, 0), "a/car 2": (0, 1, 0, 0),
        "b/car 3": (0, 0, 0, 1), "b/kite on a car": (0.5, 0.5, 0, 0), "b/kite at sea": (0.5, 0, 0.25, 0.25),
        "b/car": (0, 1, 0, 0),
    }  # fmt: skip
    labels = {"a/kite": "kite", "a/car 1": "car", "a/car 2": "car", "b/car 3": "car"}
    tables: dict = {"images": {}, "embeddings": {}}
    for shard in "ab":
        names = [name for name in tags if name.startswith(shard)]
        rows = np.zeros((len(names), TAGS), np.float16)
        rows[:, :4] = [tags[name] for name in names]
        images = {"image_id": names, "label": pa.array([labels.get(name) for name in names], pa.string())}
        images |= {"split": ["seed" if name in labels else "pool" for name in names], "outcome": ["ok"] * len(names)}
        tables["images"][shard] = pa.table(images)
        none = fixed(np.zeros((len(names), FEATURES), np.float16))
        tables["embeddings"][shard] = pa.table({"image_id": names, "embedding": none, "tag_probabilities": fixed(rows)})
    settings = parse_settings({"name": "p", "dataset": {"kind": "folder", "root": "."}})
    pool = MinedPool(pa.table({"image_id": [name for name in tags if name not in labels]}))

    found = likeness_of(
        MemoryReader(tables, COLUMNS, project=Project(settings, tmp_path)), pool, LikeSettings(images=("a/example",))
    )

    # nearness less that of cars: of the example, a kite on a car, a kite at sea, a car
    lead = np.array([1, np.sqrt(0.5) - np.sqrt(0.5) * 2 / np.sqrt(5), np.sqrt(0.5) - 0.5 / np.sqrt(5), -2 / np.sqrt(5)])
    expected = (lead - lead.mean()) / lead.std()
    np.testing.assert_allclose(found, [np.nan, *expected[1:]], atol=1e-3)


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
