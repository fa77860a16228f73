"""A project whose features come from a file: what is made of them, what stays, and what an image without them is."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from conftest import FEW_ARMS, Made, Maker, small_pool


def write_features(made: Made, names: list[str], *, seed: int = 0) -> None:
    """Features that tell rockets from all others, of 7 numbers."""
    draw = np.random.default_rng(seed)
    vectors = draw.normal(size=(len(names), 7)).astype(np.float32)
    vectors[["rocket" in name for name in names], 0] += 8
    rows = pa.table({"image_id": names, "embedding": pa.array(vectors.tolist(), pa.list_(pa.float32()))})
    pq.write_table(rows, made.folder / "own.parquet")


def test_features_of_a_file_are_mined_by_and_only_what_reads_them_is_made_again(make_project: Maker):
    pool, labels = small_pool()
    made = make_project(pool, labels=labels)
    made.keep_experiments(*FEW_ARMS)
    assert made.run().is_whole
    names = sorted(made.frame("images")["image_id"])
    tags = made.frame("descriptions").set_index("image_id")["description"].to_dict()

    write_features(made, names)
    made.settings(features={"path": "own.parquet"})
    outcome = made.run()

    assert outcome.is_whole, (outcome.failures, outcome.waiting)
    again = {asset for asset, _ in outcome.materialized}
    assert {"embeddings", "task_model", "rarity_scores", "pareto_set"} <= again
    assert not again & {"images", "descriptions", "keywords", "vocab_counts", "novelty_scores"}
    rows = made.frame("embeddings").set_index("image_id")
    assert all(np.count_nonzero(vector) == 7 for vector in rows["embedding"])
    assert made.frame("descriptions").set_index("image_id")["description"].to_dict() == tags
    assert made.run().materialized == []

    write_features(made, names, seed=1)
    assert ("embeddings", "pool/a") in made.run().materialized


def test_an_image_without_a_vector_is_told(make_project: Maker):
    pool, labels = small_pool()
    del pool["pool/b"], pool["pool/c"]
    made = make_project(pool, labels=labels)
    made.inspect()
    names = sorted(made.frame("images")["image_id"])
    write_features(made, names[1:])
    made.settings(features={"path": "own.parquet"})

    outcome = made.run()

    (failure,) = outcome.failures.values()
    assert "own.parquet has no vector of 1 of" in failure and f"such as {names[0]}" in failure
