"""Whatever order shards come, change and go in: what is brought up to date equals what a fresh project would make."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from conftest import plain_rows
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vlmine_dagster.assets import GRAPH
from vlmine_dagster.domain.encoders import ENCODER
from vlmine_dagster.domain.tables import DESCRIPTIONS, EMBEDDINGS, IMAGES, KEYWORD_ANSWERS, KEYWORDS
from vlmine_dagster.engine.freshness import Freshness
from vlmine_dagster.engine.stage import Stage, StageConfig, Unit
from vlmine_dagster.engine.stage_run import StageRun
from vlmine_dagster.resources.lake import WHOLE_POOL
from vlmine_dagster.resources.workbench import Workbench

READ_MORE_THAN_THEIR_SHARD = {
    "vocab_counts",
    "novelty_scores",
    "junk",
    "rarity_scores",
    "task_model",
    "uncertainty_scores",
    "pareto_set",
}
AFTER_SHARDS = tuple(stage for stage in GRAPH.stages if stage.table in READ_MORE_THAN_THEIR_SHARD)
EXPERIMENTS = {
    "both": {"signals": ["novelty_min", "entropy"]},
    "fused": {"signals": ["expected_rarity", "keyword_value", "sparsity"], "fusion": "fisher"},
}
WORDS = ("cup", "table", "rocket", "cat", "road", "unicycle")
SHARDS = ("a", "b", "c")
CONTENTS = (0, 1, 2)


def shard_tables(shard: str, content: int) -> dict[str, pa.Table]:
    """Tables of a shard of five images, two of them labelled; another content has other images and words."""
    draw = np.random.default_rng([SHARDS.index(shard), content])
    ids = [f"{shard}/{content}-{k}" for k in range(5)]
    words = [(name, str(word)) for name in ids for word in sorted(draw.choice(WORDS, 2, replace=False))]
    labels, splits = ["cup", "rocket", None, None, None], ["seed", "seed", "pool", "pool", "pool"]
    embeddings = list(draw.normal(size=(5, ENCODER.embedding_size)).astype(np.float16))
    tags = list(draw.dirichlet(np.full(ENCODER.class_count, 0.01), 5).astype(np.float16))
    return {
        "images": plain_rows(IMAGES, image_id=ids, sha256=ids, label=labels, split=splits),
        "embeddings": plain_rows(EMBEDDINGS, image_id=ids, embedding=embeddings, tag_probabilities=tags),
        "descriptions": plain_rows(DESCRIPTIONS, image_id=ids),
        "keywords": plain_rows(KEYWORDS, image_id=[name for name, _ in words], keyword=[word for _, word in words]),
        "keyword_answers": plain_rows(KEYWORD_ANSWERS, image_id=ids),
    }


class Pool:
    """A project whose shards are put into the lake as what their own stages would have made of them."""

    def __init__(self, folder: Path):
        folder.mkdir()
        dataset = {"kind": "folder", "root": ".", "labels": {"file": "labels.csv"}}
        content = {"name": "any-order", "dataset": dataset, "experiments": EXPERIMENTS, "budget": 3}
        (folder / "vlmine.yaml").write_text(yaml.safe_dump(content))
        (folder / "labels.csv").write_text("key,split,class_id\nx,test,cup\n")
        self.bench = Workbench(settings_file=str(folder / "vlmine.yaml"))
        self.shards: dict[str, int] = {}

    def put(self, shard: str, content: int) -> None:
        """A shard comes, or other bytes come in its place."""
        for name, rows in shard_tables(shard, content).items():
            self.bench.lake.publish(name, shard, rows, inputs=f"{shard} {content}")
        self.shards[shard] = content

    def remove(self, shard: str) -> None:
        """A shard goes; what was made of it stays in the lake."""
        self.shards.pop(shard, None)

    def bring_up(self) -> int:
        """Make what is not fresh, in pipeline order, as `vlmine run` and the refresh do; return how much that was."""
        made = 0
        for stage in AFTER_SHARDS if self.shards else ():
            for partition in self.partitions(stage):
                freshness = Freshness(GRAPH, self.bench, list(self.shards))
                if not freshness.is_current(Unit(stage), partition):
                    part = Unit(stage).part(self.bench.project, partition)
                    self._make(stage, partition, str(freshness.inputs(stage, part)))
                    made += 1
        return made

    def _make(self, stage: Stage, partition: str, inputs: str) -> None:
        run = StageRun(
            stage,
            GRAPH,
            self.bench,
            partitions=[partition],
            variant="default",
            shards=list(self.shards),
            config=stage.config() if stage.config is not StageConfig else StageConfig(),
            log=logging.getLogger("any-order"),
            run_id="none",
        )
        run.inputs = inputs
        product = stage.compute(run)
        for table, rows in {**product.companions, stage.table: product.rows}.items():
            self.bench.lake.publish(table, partition, rows, inputs=inputs)

    def partitions(self, stage: Stage) -> list[str]:
        kinds = {"pool": [WHOLE_POOL], "shard": sorted(self.shards), "experiment": list(EXPERIMENTS)}
        return kinds[stage.contract.partition]

    def content(self) -> dict[tuple[str, str], dict[str, str]]:
        """Hashes of all columns of all that follows from the shards."""
        return {
            (stage.table, partition): {
                name: value
                for name, value in self.bench.lake.stamp(stage.table, partition).columns.items()
                if (stage.table, name) != ("task_model", "path")
            }
            for stage in AFTER_SHARDS
            for partition in self.partitions(stage)
        }


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)  # probes on ten images: threads only wait for each other
    yield
    torch.set_num_threads(before)


shards, contents = st.sampled_from(SHARDS), st.sampled_from(CONTENTS)
events = st.lists(
    st.tuples(st.sampled_from(["put", "put", "remove"]), shards, contents, st.booleans()), min_size=2, max_size=6
)
IN_BETWEEN = True


@settings(max_examples=6)
@given(events)
@example(
    [("put", "a", 0, IN_BETWEEN), ("put", "b", 0, IN_BETWEEN), ("remove", "a", 0, IN_BETWEEN), ("put", "a", 0, False)]
)
@example([("put", "a", 0, False), ("put", "b", 0, IN_BETWEEN), ("put", "a", 1, IN_BETWEEN), ("put", "a", 0, False)])
def test_in_any_order_counts_and_scores_equal_those_of_a_fresh_project(tmp_path_factory, sequence):
    lived = Pool(tmp_path_factory.mktemp("any-order") / "lived")
    for what, shard, content, is_brought_up in sequence:
        lived.put(shard, content) if what == "put" else lived.remove(shard)
        if is_brought_up:
            lived.bring_up()
    lived.put("c", 0)  # a pool of nothing has no counts
    lived.bring_up()
    fresh = Pool(tmp_path_factory.mktemp("any-order") / "fresh")
    for shard, content in sorted(lived.shards.items()):
        fresh.put(shard, content)
    assert fresh.bring_up() == len(fresh.content())

    assert lived.content() == fresh.content()
    assert lived.bring_up() == 0
