"""The list of a pool too large to be ordered whole is the beginning of the whole list."""

import logging

import numpy as np
import pyarrow as pa
import pytest
from memory import MemoryReader
from plain_tables import plain_rows

from vlmine_dagster.domain.errors import MissingInputError
from vlmine_dagster.domain.tables import IMAGES, JUNK, KEYWORD_ANSWERS, NOVELTY_SCORES, UNCERTAINTY_SCORES
from vlmine_dagster.mining.advice import agreement_advice
from vlmine_dagster.scoring.large_pools import why_whole
from vlmine_dagster.scoring.ranking import mined_list
from vlmine_dagster.settings.project import Project, parse_settings

SHARDS = ("a", "b", "c")
PER_SHARD = 400
SIGNALS = ["novelty_min", "entropy"]
COLUMNS = ["image_id", "rank", "front", "selected", "reason", "junk", *SIGNALS]
EXPERIMENTS = {
    "pareto": {"signals": SIGNALS},
    "rank_sum": {"signals": SIGNALS, "fusion": "rank_sum"},
    "weighted": {"signals": SIGNALS, "fusion": "fisher", "weights": {"entropy": 2}},
    "novelty": {"signals": ["novelty_min"]},
    "chance": {"signals": ["random", "entropy"]},
    "three": {"signals": [*SIGNALS, "random"]},
}


def reader(folder, *, whole_list_up_to, junk=(), batch=1, signals=1.0):
    """A pool of 1,200 images in three shards, of which some failed, lack keywords, or have the bytes of another."""
    settings = parse_settings(
        {
            "name": "p",
            "dataset": {"kind": "folder", "root": "."},
            "task_model": {"kind": "predictions", "path": "predictions.parquet"},
            "experiments": EXPERIMENTS,
            "budget": 0.05,
            "whole_list_up_to": whole_list_up_to,
        }
    )
    draw = np.random.default_rng(0)
    tables = {name: {} for name in ("images", "keyword_answers", "novelty_scores", "uncertainty_scores")}
    for shard in SHARDS:
        names = [f"{shard}/{place:03d}" for place in range(PER_SHARD)]
        counts = draw.integers(1, 60, PER_SHARD)
        contents = [names[0] if place % 97 == 0 else name for place, name in enumerate(names)]
        outcomes = ["corrupt" if place % 31 == 0 else "ok" for place in range(PER_SHARD)]
        answers = ["refused" if place % 17 == 0 else "ok" for place in range(PER_SHARD)]
        tables["images"][shard] = plain_rows(
            IMAGES, image_id=names, sha256=contents, split=["pool"] * PER_SHARD, outcome=outcomes
        )
        tables["keyword_answers"][shard] = plain_rows(KEYWORD_ANSWERS, image_id=names, outcome=answers)
        tables["novelty_scores"][shard] = plain_rows(
            NOVELTY_SCORES,
            image_id=names[5:],
            min_count=counts[5:],
            novelty_min=signals / counts[5:],
            rarest_keyword=[f"word {count}" for count in counts[5:]],
        )
        tables["uncertainty_scores"][shard] = plain_rows(
            UNCERTAINTY_SCORES,
            image_id=names,
            entropy=signals * draw.random(PER_SHARD).round(2),
            predicted_label=["cat"] * PER_SHARD,
        )
    kinds = plain_rows(JUNK, image_id=list(junk), kind=["blurred"] * len(junk))
    columns = {"junk": ("image_id", "kind")} if junk else {}
    for one in settings.experiments.values():
        for table, names in one.reads.items():
            columns[table] = tuple(dict.fromkeys((*columns.get(table, ()), *names)))
    project = Project(settings, folder, str(folder / "home"))
    return MemoryReader({**tables, "junk": {"pool": kinds}}, columns, project=project, batch=batch)


def listed(pool, name, *, budget=0.05):
    return mined_list(pool, pool.project.settings.experiments[name], budget=budget, labels=None)


@pytest.mark.parametrize(("budget", "batch"), [(0.01, 1), (20, 2), (0.4, 3)])
@pytest.mark.parametrize("name", ["pareto", "rank_sum", "weighted", "novelty", "chance"])
def test_the_list_of_a_large_pool_begins_as_the_whole_list_does(tmp_path, name, budget, batch):
    whole = listed(reader(tmp_path, whole_list_up_to=10_000), name, budget=budget)
    large = listed(reader(tmp_path, whole_list_up_to=1_000, batch=batch), name, budget=budget)

    columns = [column for column in COLUMNS if column in whole.rows.column_names]
    count = large.rows.num_rows
    assert large.rows.select(columns).equals(whole.rows.select(columns).slice(0, count))
    assert (large.selected_count, large.excluded_count) == (whole.selected_count, whole.excluded_count)
    assert large.pool_size == whole.pool_size
    assert min(2 * large.selected_count, whole.rows.num_rows) <= count
    assert not whole.ends_early
    assert large.ends_early == (count < large.pool_size)


def test_junk_of_a_large_pool_is_counted_whole_and_ranked_apart(tmp_path):
    junk = [f"{shard}/{place:03d}" for shard in SHARDS for place in range(40, 340, 2)]
    whole = listed(reader(tmp_path, whole_list_up_to=10_000, junk=junk), "pareto")
    large = listed(reader(tmp_path, whole_list_up_to=1_000, junk=junk), "pareto")

    is_clean = pa.compute.is_null(large.rows.column("junk"))
    clean, lane = large.rows.filter(is_clean), large.rows.filter(pa.compute.invert(is_clean))
    assert clean.select(COLUMNS).equals(whole.rows.slice(0, clean.num_rows).select(COLUMNS))
    whole_lane = whole.rows.filter(pa.compute.is_valid(whole.rows.column("junk")))
    assert lane.column("image_id").equals(whole_lane.column("image_id").slice(0, lane.num_rows))
    assert large.junk_count == whole.junk_count > lane.num_rows > 0
    assert min(whole_lane.column("front").to_pylist()) > max(clean.column("front").to_pylist()) > 1
    assert large.excluded_count == whole.excluded_count


def test_where_all_images_of_a_large_pool_are_junk_none_is(tmp_path):
    junk = [f"{shard}/{place:03d}" for shard in SHARDS for place in range(PER_SHARD)]
    whole = listed(reader(tmp_path, whole_list_up_to=10_000, junk=junk), "pareto")
    large = listed(reader(tmp_path, whole_list_up_to=1_000, junk=junk), "pareto")

    assert large.rows.column("junk").null_count == large.rows.num_rows
    assert large.rows.select(COLUMNS).equals(whole.rows.slice(0, large.rows.num_rows).select(COLUMNS))


@pytest.mark.parametrize("whole_list_up_to", [1_000, 10_000])
def test_whether_two_signals_say_the_same_is_told_at_the_budget(tmp_path, whole_list_up_to):
    rows = listed(reader(tmp_path, whole_list_up_to=10_000), "pareto").rows.sort_by("image_id")
    values = {name: rows.column(name).to_numpy() for name in SIGNALS}

    found = listed(reader(tmp_path, whole_list_up_to=whole_list_up_to), "pareto", budget=60)

    assert found.selected_count == 60
    assert found.advice == agreement_advice(values, mined_count=60)


def test_a_list_that_signals_alone_do_not_decide_is_made_of_all_images(tmp_path, caplog):
    pool = reader(tmp_path, whole_list_up_to=1_000)
    with caplog.at_level(logging.WARNING):
        found = listed(pool, "three")

    assert not found.ends_early
    assert "sorted as a whole, which takes much memory: three signals or more have fronts" in caplog.text


def test_two_signals_decide_the_list_of_a_large_pool_and_three_only_where_they_have_no_fronts(tmp_path):
    pool = reader(tmp_path, whole_list_up_to=1_000)
    three = pool.project.settings.experiments["three"]

    assert why_whole(pool, pool.project.settings.experiments["pareto"]) == ""
    assert why_whole(pool, three) == "three signals or more have fronts"
    assert why_whole(pool, three.model_copy(update={"fusion": "rank_sum"})) == ""


def test_a_large_pool_whose_images_all_lack_a_signal_is_refused(tmp_path):
    pool = reader(tmp_path, whole_list_up_to=1_000, signals=np.nan)
    with pytest.raises(MissingInputError, match=r"none of 1,\d+ images of the pool has all of novelty_min, entropy"):
        listed(pool, "pareto")
