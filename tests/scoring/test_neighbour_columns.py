"""How lonely images of a small pool are, and how far from the labelled ones, by hand."""

from pathlib import Path

import numpy as np
import pytest
from memory import MemoryReader
from plain_tables import plain_rows

from vlmine_dagster.domain.tables import EMBEDDINGS, IMAGES, KEYWORD_ANSWERS, KEYWORDS, NEIGHBOUR_SCORES
from vlmine_dagster.mining.density import keyword_density
from vlmine_dagster.scoring.evidence import SeedAndPool
from vlmine_dagster.scoring.neighbours import distance_from_labelled, loneliness, neighbour_scores
from vlmine_dagster.settings.project import Project, parse_settings

COLUMNS = {
    "images": ("image_id", "label", "split", "outcome"),
    "embeddings": ("image_id", "embedding", "tag_probabilities"),
    "keyword_answers": ("image_id", "outcome"),
    "keywords": ("image_id", "keyword"),
}
# angle of its features from those of the labelled image, in degrees, and its keyword
FOUND = {"b/1": (90, "yak"), "b/0": (30, "car"), "a/1": (30, "car"), "a/0": (0, "car")}


@pytest.fixture(scope="module")
def reader():
    vectors = np.zeros((len(FOUND), 1280), np.float16)
    angles = np.radians([angle for angle, _ in FOUND.values()])
    vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
    tables = {name: {} for name in COLUMNS}
    for shard in "ab":
        names = [name for name in FOUND if name.startswith(shard)]
        of_shard = [place for place, name in enumerate(FOUND) if name.startswith(shard)]
        tables["images"][shard] = plain_rows(
            IMAGES,
            image_id=names,
            split=["seed" if name == "a/0" else "pool" for name in names],
            label=["car" if name == "a/0" else None for name in names],
        )
        tables["embeddings"][shard] = plain_rows(
            EMBEDDINGS,
            image_id=names,
            embedding=list(vectors[of_shard]),
            tag_probabilities=[np.zeros(1000, np.float16)] * len(names),
        )
        tables["keyword_answers"][shard] = plain_rows(KEYWORD_ANSWERS, image_id=names)
        tables["keywords"][shard] = plain_rows(KEYWORDS, image_id=names, keyword=[FOUND[name][1] for name in names])
    settings = parse_settings({"name": "p", "dataset": {"kind": "folder", "root": "."}, "neighbour_search": "exact"})
    return MemoryReader(tables, COLUMNS, project=Project(settings, Path("/nowhere")))


def test_scores_are_of_the_pool_by_id_and_the_labelled_count_as_neighbours(reader):
    rows = neighbour_scores(reader, SeedAndPool(reader), {"embedding_sparsity", "seed_distance"})

    assert rows.schema.equals(NEIGHBOUR_SCORES.schema)
    assert rows.column("image_id").to_pylist() == ["a/1", "b/0", "b/1"]
    far = 1 - np.cos(np.radians([30, 30, 90]))
    assert rows.column("seed_distance").to_pylist() == pytest.approx(far, abs=1e-3)
    lonely = rows.column("embedding_sparsity").to_pylist()
    assert lonely[0] == pytest.approx(lonely[1], abs=1e-3)
    assert lonely[2] > lonely[0]
    assert rows.column("keyword_sparsity").null_count == 3


@pytest.mark.parametrize("wanted", [(), ("keyword_sparsity",), ("embedding_sparsity",), ("seed_distance",)])
def test_only_what_is_wanted_is_made(reader, wanted):
    rows = neighbour_scores(reader, SeedAndPool(reader), wanted)

    assert [name for name in rows.column_names[1:] if rows.column(name).null_count < 3] == list(wanted)


def test_keywords_are_read_only_where_they_are_needed(reader):
    words = [["car"], ["car"], ["car"], ["yak"]]

    found = loneliness(reader, ["keyword_sparsity", "entropy"], np.eye(4), lambda: words)

    assert list(found) == ["keyword_sparsity"]
    assert found["keyword_sparsity"].tolist() == (0 - keyword_density(words)).tolist()
    assert list(loneliness(reader, ["embedding_sparsity"], np.eye(4), lambda: pytest.fail("keywords were read"))) == [
        "embedding_sparsity"
    ]


def test_the_distance_is_to_the_nearest_of_the_labelled(reader):
    found = distance_from_labelled(reader, np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[3.0, 0.0], [1.0, 1.0]]))

    assert found == pytest.approx([0, 1 - np.sqrt(0.5)], abs=1e-6)
