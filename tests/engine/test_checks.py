"""The checks of the asset graph fire on data made to break them, each alone, and stay quiet on good data."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from conftest import Made, plain_rows

from vlmine_dagster.assets import GRAPH
from vlmine_dagster.automation.jobs import GLOBAL_JOB, MINING_JOB
from vlmine_dagster.domain.errors import CutSequencesError
from vlmine_dagster.domain.tables import (
    DESCRIPTIONS,
    IMAGES,
    JUNK,
    KEYWORD_ANSWERS,
    KEYWORDS,
    NOVELTY_SCORES,
    UNCERTAINTY_SCORES,
    WHOLE_POOL,
    Outcome,
)
from vlmine_dagster.engine.checks import failed_check
from vlmine_dagster.engine.stage import asset_key

SHARDS = ("a", "b")
COUNT = 150  # images a shard
RARE = 20  # images of the rare class, the first ones of shard a
IDS = [f"{shard}/{k}" for shard in SHARDS for k in range(COUNT)]
Checks = dict[str, dg.AssetCheckEvaluation]


@pytest.fixture(scope="module")
def pool(make_project) -> Made:
    """Two shards and their labels; what was made of them each test puts into the lake itself."""
    labels = "".join(f"{name},pool,{'unicycle' if k < RARE else 'car'}\n" for k, name in enumerate(IDS))
    made = make_project(
        {shard: {} for shard in SHARDS},
        experiments={"joined": {"signals": ["novelty_min", "entropy"]}},
        retraining={"kind": "cnn", "budgets": [0.3], "seeds": [0]},
        budget=0.3,
    )
    (made.folder / "labels.csv").write_text(f"key,split,class_id\n{labels}")
    bins = {"few_under": RARE + 1, "many_over": 100}
    made.settings(dataset={"kind": "webdataset", "root": "data", "labels": {"file": "labels.csv", **bins}})
    return made


def publish(made: Made, table: Any, shard: str, rows: pa.Table) -> None:
    made.bench.lake.publish(table.name, shard, rows, inputs="by hand")


def checks_of(made: Made, job: str, asset: str, partition: str | None = None) -> Checks:
    """Materialize an asset by its job; return what its checks say in Dagster."""
    result = made.job(job, partition, asset_selection=[dg.AssetKey(asset)])
    assert result.success
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


def fired(checks: Checks) -> set[str]:
    return {name for name, one in checks.items() if not one.passed}


class TestKeywords:
    """Each image has a word of 7, one of 11 and one of 13; a few have a word of their own."""

    @staticmethod
    def good(_shard: str, k: int) -> list[str]:
        return [f"kind {k % 7}", f"place {k % 11}", f"light {k % 13}", *([f"rare {k}"] if k % 50 == 0 else [])]

    @staticmethod
    def judge(made: Made, words_of: Callable[[str, int], Sequence[str]]) -> Checks:
        for shard in SHARDS:
            words = {f"{shard}/{k}": words_of(shard, k) for k in range(COUNT)}
            pairs = [(name, word) for name, found in words.items() for word in found]
            columns = {"image_id": [name for name, _ in pairs], "keyword": [word for _, word in pairs]}
            outcomes = [Outcome.OK if found else Outcome.EMPTY for found in words.values()]
            publish(made, KEYWORDS, shard, plain_rows(KEYWORDS, **columns))
            publish(made, KEYWORD_ANSWERS, shard, plain_rows(KEYWORD_ANSWERS, image_id=[*words], outcome=outcomes))
            there = {"image_id": [*words], "sha256": [*words], "split": ["pool"] * len(words)}
            publish(made, IMAGES, shard, plain_rows(IMAGES, **there))
        return checks_of(made, GLOBAL_JOB, "vocab_counts")

    def test_good_keywords_break_none(self, pool):
        checks = self.judge(pool, self.good)

        assert set(checks) == {"contract", "keywords_capture_the_pool", "no_drift", "one_variant"}
        assert fired(checks) == set()
        page = Path(checks["contract"].metadata["Data Docs"].path)
        assert "Succeeded" in page.read_text(encoding="utf-8")
        assert "expect_column_values_to_be_unique on keyword" in checks["contract"].metadata["rules"].md_str
        assert "rows, which decide for all" in checks["contract"].metadata["rules"].md_str

    @pytest.mark.parametrize(
        ("broken", "said"),
        [
            (lambda words, _s, k: [] if k % 5 == 0 else words, "20% of the images have no keyword"),
            (lambda words, s, k: [*words, f"the {s}-{k}-th photo"], "of the keywords occur in only one image"),
            (lambda words, _s, _k: ["photo", *words], "keyword 'photo' occurs in 100% of the images"),
            (lambda _w, _s, k: [f"thing {k % 48}"], "an image has 1.0 keywords"),
        ],
        ids=["none", "seen once", "everywhere", "too few"],
    )
    def test_keywords_that_do_not_capture_the_pool_are_told_with_advice(self, pool, broken, said):
        checks = self.judge(pool, lambda shard, k: broken(self.good(shard, k), shard, k))

        assert fired(checks) == {"keywords_capture_the_pool"}
        told = checks["keywords_capture_the_pool"]
        assert said in told.description
        assert told.description.count(". ") == 0  # nothing else is complained about
        assert told.severity is dg.AssetCheckSeverity.WARN

    def test_a_shard_of_another_world_is_named(self, pool):
        def broken(shard, k):
            return [f"{word} at night" for word in self.good(shard, k)] if shard == "b" else self.good(shard, k)

        checks = self.judge(pool, broken)

        assert fired(checks) == {"no_drift"}
        assert "2 of 2 shards differ by more than 0.25" in checks["no_drift"].description


class TestSignals:
    """The rare class lies where the first `RARE` places of the order are."""

    ORDER = np.arange(len(IDS), dtype=float)
    OTHER = np.random.default_rng(0).permutation(len(IDS)).astype(float)

    def judge(self, made: Made, *, novelty: np.ndarray, entropy: np.ndarray) -> tuple[Checks, Checks]:
        """Mine by two signals, each given as the place of each image, the best first."""
        for place, shard in enumerate(SHARDS):
            part = slice(place * COUNT, (place + 1) * COUNT)
            ids = IDS[part]
            publish(made, IMAGES, shard, plain_rows(IMAGES, image_id=ids, sha256=ids, split=["pool"] * COUNT))
            for table in (DESCRIPTIONS, KEYWORD_ANSWERS):
                publish(made, table, shard, plain_rows(table, image_id=ids))
            rows = plain_rows(NOVELTY_SCORES, image_id=ids, novelty_min=1 / (1 + novelty[part]))
            publish(made, NOVELTY_SCORES, shard, rows)
            rows = plain_rows(UNCERTAINTY_SCORES, image_id=ids, entropy=1 - entropy[part] / len(IDS))
            publish(made, UNCERTAINTY_SCORES, shard, rows)
        publish(made, JUNK, WHOLE_POOL, JUNK.schema.empty_table())
        asked = (checks_of(made, MINING_JOB, asset, "joined") for asset in ("pareto_set", "retrain_metrics"))
        mined, judged = asked
        return mined, judged

    def test_signals_that_differ_and_find_the_rare_break_none(self, pool):
        mined, judged = self.judge(pool, novelty=self.ORDER, entropy=self.OTHER)

        assert set(mined) == {"contract", "signals_differ", "splits_keep_sequences"}
        assert set(judged) == {"contract", "better_than_random"}
        assert fired(mined) | fired(judged) == set()
        assert "overlap of the first 90" in mined["signals_differ"].description
        assert "6.0 expected by chance" in judged["better_than_random"].description

    def test_signals_that_say_the_same_are_told_with_an_interval(self, pool):
        almost = self.ORDER + np.where(self.ORDER % 2, -1.5, 1.5)

        mined, judged = self.judge(pool, novelty=self.ORDER, entropy=np.clip(almost, 0, len(IDS)))

        assert fired(mined) == {"signals_differ"}
        assert "novelty_min and entropy: Spearman 1.00 [1.00, 1.00]" in mined["signals_differ"].description
        assert "drop one" in mined["signals_differ"].description
        assert fired(judged) == set()

    def test_mining_that_finds_no_more_than_chance_is_told_with_its_probability(self, pool):
        third = np.random.default_rng(1).permutation(len(IDS)).astype(float)

        mined, judged = self.judge(pool, novelty=self.OTHER, entropy=third)

        assert fired(mined) == set()
        assert fired(judged) == {"better_than_random"}
        assert "not significantly better than random" in judged["better_than_random"].description
        assert judged["better_than_random"].metadata["p"].value > 0.05


def test_a_sequence_that_splits_cut_breaks_the_check_of_its_name():
    mining, images = (GRAPH.stage_of(name) for name in ("pareto_set", "images"))

    found = failed_check(mining, asset_key("pareto_set"), CutSequencesError("2 sequences"))
    elsewhere = failed_check(images, asset_key("images"), CutSequencesError("2 sequences"))

    assert (found.check_name, found.passed, found.description) == ("splits_keep_sequences", False, "2 sequences")
    assert elsewhere.check_name == "contract"
