"""What `rarity_scores` holds where labels tell nothing."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from memory import MemoryReader
from test_lists_by_verdicts import fixed

from vlmine_dagster.domain.tables import RARITY_SCORES
from vlmine_dagster.scoring.evidence import SeedAndPool
from vlmine_dagster.scoring.names import Naming
from vlmine_dagster.scoring.rarity import rarity_scores
from vlmine_dagster.settings.project import Project, parse_settings

COLUMNS = {
    "images": ("image_id", "label", "split", "outcome"),
    "embeddings": ("image_id", "embedding", "tag_probabilities"),
    "keyword_answers": ("image_id", "outcome"),
    "keywords": ("image_id", "keyword"),
    "vocab_counts": ("keyword", "unit_count"),
}


@pytest.mark.parametrize("is_asked", [True, False])
def test_a_signal_of_labels_is_null_where_all_of_them_are_of_one_class(is_asked):
    draw = np.random.default_rng(0)
    names = [f"a/{place:02d}" for place in range(24)]
    labels = ["road"] * 3 + [None] * 21
    ok = ["ok"] * len(names)
    features, tags = (draw.random((len(names), width)).astype(np.float16) for width in (1280, 1000))
    splits = ["seed" if label else "pool" for label in labels]
    tables = {
        "images": pa.table({"image_id": names, "label": labels, "split": splits, "outcome": ok}),
        "embeddings": pa.table({"image_id": names, "embedding": fixed(features), "tag_probabilities": fixed(tags)}),
        "keyword_answers": pa.table({"image_id": names, "outcome": ok}),
        "keywords": pa.table({"image_id": names, "keyword": ["road"] * len(names)}),
    }
    by_table = {name: {"a": rows} for name, rows in tables.items()}
    by_table["vocab_counts"] = {"pool": pa.table({"keyword": ["road"], "unit_count": [24]})}
    settings = parse_settings({"name": "p", "dataset": {"kind": "folder", "root": "."}})
    reader = MemoryReader(by_table, COLUMNS, project=Project(settings, Path("/nowhere")))

    asked = ("unlabelled_rarity",) if is_asked else ("sparsity",)
    rows = rarity_scores(reader, SeedAndPool(reader), naming=Naming(), is_mined=np.zeros(3, bool), asked=asked)

    assert rows.schema.equals(RARITY_SCORES.schema)
    assert rows.column("image_id").to_pylist() == names[3:]
    assert rows.column("expected_rarity").null_count == 21
    assert rows.column("local_isolation").null_count == 0
    assert rows.column("unlabelled_rarity").null_count == (0 if is_asked else 21)  # it takes two more searches
