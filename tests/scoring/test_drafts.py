"""Which images a second model is asked about, and in which order."""

import numpy as np
import pyarrow as pa
from memory import MemoryReader

from vlmine_dagster.scoring.draft import Draft
from vlmine_dagster.settings import ExperimentSettings
from vlmine_dagster.settings.project import Project, parse_settings


def drafted(folder, counts, entropies=None):
    """The draft of a list by novelty, and by entropy where images have one; an image per count of its keyword."""
    names = [f"a/{place}" for place in range(len(counts))]
    signals = ["novelty_min"] if entropies is None else ["novelty_min", "entropy"]
    experiment = ExperimentSettings(signals=signals)
    task = {"task_model": {"kind": "predictions", "path": "predictions.parquet"}} if entropies else {}
    settings = parse_settings({"name": "p", "dataset": {"kind": "folder", "root": "."}, **task})
    ok = ["ok"] * len(names)
    tables = {
        "images": pa.table({"image_id": names, "sha256": names, "split": ["pool"] * len(names), "outcome": ok}),
        "keyword_answers": pa.table({"image_id": names, "outcome": ok}),
        "novelty_scores": pa.table(
            {
                "image_id": names,
                "novelty_min": 1 / np.array(counts),
                "min_count": counts,
                "rarest_keyword": [f"word {count}" for count in counts],
            }
        ),
        "uncertainty_scores": pa.table(
            {"image_id": names, "entropy": entropies or counts, "predicted_label": ["cat"] * len(names)}
        ),
    }
    by_shard = {table: {"a": rows} for table, rows in tables.items()}
    reader = MemoryReader(by_shard, experiment.reads, project=Project(settings, folder))
    return Draft.of(reader, experiment, None)


def asked(draft, count, **more):
    return [(one.image_id, one.keyword, one.list_rank) for one in draft.first(count, **more)]


def test_the_first_places_are_asked_about_by_their_rarest_keyword_best_first(tmp_path):
    draft = drafted(tmp_path, [9, 1, 4, 2])

    assert asked(draft, 2) == [("a/1", "word 1", 1), ("a/3", "word 2", 2)]
    assert [one.sha256 for one in draft.first(2)] == ["a/1", "a/3"]


def test_images_that_come_up_for_those_that_sank_are_asked_about_with_their_rank_on_the_draft(tmp_path):
    draft = drafted(tmp_path, [9, 1, 4, 2])

    assert asked(draft, 2, denied={"a/1"}) == [("a/3", "word 2", 2), ("a/2", "word 4", 3)]


def test_an_image_that_another_signal_puts_higher_is_not_asked_about(tmp_path):
    draft = drafted(tmp_path, [1, 2, 3, 4], [0.1, 0.2, 0.3, 0.9])

    assert {name for name, _, _ in asked(draft, 4)} == {"a/0", "a/1"}
