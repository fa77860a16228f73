import logging
from functools import partial
from types import SimpleNamespace

import pyarrow as pa
import pytest

from benchmarks.engine import run_stage
from benchmarks.synthetic_lake import LakeSize, make_lake
from vlmine_dagster.assets import GRAPH
from vlmine_dagster.domain.errors import ContractError, MissingInputError
from vlmine_dagster.domain.tables import TABLES
from vlmine_dagster.engine import making
from vlmine_dagster.engine.freshness import Freshness
from vlmine_dagster.engine.stage import Unit
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.settings.project import Project, ProjectSettings

SIZE = LakeSize(images=60, shards=3, vocabulary=20)
NOVELTY, UNCERTAINTY = (Unit(GRAPH.stage_of(table)) for table in ("novelty_scores", "uncertainty_scores"))


@pytest.fixture
def bench(tmp_path):
    bench = make_lake(tmp_path, SIZE)
    run_stage(bench, "vocab_counts")
    return bench


def test_only_the_shard_that_has_to_fails_in_a_batch(bench):
    bench.lake.remove("keywords", SIZE.names[1])
    runs = partial(
        StageRun,
        NOVELTY.stage,
        GRAPH,
        bench,
        variant="default",
        shards=SIZE.names,
        config=NOVELTY.stage.config(),
        log=logging.getLogger("test"),
        run_id="run",
    )

    made = dict(making.attempt(runs, list(SIZE.names), Freshness(GRAPH, bench, SIZE.names)))

    assert isinstance(made[SIZE.names[1]], MissingInputError)
    assert bench.lake.partitions("novelty_scores") == [SIZE.names[0], SIZE.names[2]]
    assert [made[name].metadata["dagster/row_count"] for name in (SIZE.names[0], SIZE.names[2])] == [20, 20]


def test_scores_made_at_once_are_those_made_one_by_one(bench):
    run_stage(bench, "novelty_scores")
    at_once = [bench.lake.stamp("novelty_scores", name) for name in SIZE.names]

    freshness = Freshness(GRAPH, bench, SIZE.names)
    for name in SIZE.names:
        run = StageRun(
            NOVELTY.stage,
            GRAPH,
            bench,
            partitions=[name],
            variant="default",
            shards=SIZE.names,
            config=NOVELTY.stage.config(),
            log=logging.getLogger("test"),
            run_id="run",
        )
        making.make(run, freshness)

    assert [bench.lake.stamp("novelty_scores", name) for name in SIZE.names] == at_once


def test_batches_hold_as_many_values_as_fit(bench, monkeypatch):
    freshness = Freshness(GRAPH, bench, SIZE.names)
    assert list(making.batches(NOVELTY, freshness, SIZE.names)) == [list(SIZE.names)]

    monkeypatch.setattr(making, "_MOST_VALUES", 800)  # of a shard 200 keywords of 2 columns are read

    batches = list(making.batches(NOVELTY, freshness, SIZE.names))
    assert batches == [list(SIZE.names[:2]), [SIZE.names[2]]]


def test_a_batch_is_measured_by_what_it_writes_where_that_is_more(tmp_path):
    task_model = {"kind": "predictions", "path": "p.parquet"}
    project = Project(
        ProjectSettings(name="p", dataset={"kind": "folder", "root": "."}, task_model=task_model), tmp_path
    )
    stamp = SimpleNamespace(row_count=100)
    freshness = SimpleNamespace(graph=GRAPH, shards=("a",), stamp=lambda *_: stamp)

    count = making._value_count(UNCERTAINTY, freshness, UNCERTAINTY.part(project, "a"))

    assert count == 100 * len(TABLES["uncertainty_scores"].columns)


def test_a_row_goes_to_the_deepest_shard_that_its_id_starts_with():
    run = SimpleNamespace(partitions=("a", "a/b", "c"), partition="a to c")
    rows = pa.table({"image_id": ["a/1", "a/b/2", "c/3", "a/bc/4"]})

    parts = making._parts(run, {"images": rows})

    found = {name: part["images"].column("image_id").to_pylist() for name, part in parts.items()}
    assert found == {"a": ["a/1", "a/bc/4"], "a/b": ["a/b/2"], "c": ["c/3"]}


def test_rows_of_no_shard_of_the_batch_are_refused():
    run = SimpleNamespace(partitions=("a", "b"), partition="a to b")

    with pytest.raises(ContractError, match=r"images\[a to b\]: rows of other shards came out"):
        making._parts(run, {"images": pa.table({"image_id": ["a/1", "z/2"]})})
