"""The classes that a random draw showed say how many more labels would bring."""

import json
import re
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from conftest import Made

from vlmine_dagster.cli.main import main
from vlmine_dagster.mining.discovery import cluster_factor, new_kinds, unseen_share
from vlmine_dagster.resources.tracking import Tracking
from vlmine_dagster.scoring.discovery import class_discovery, keyword_discovery


def test_report_and_verdicts_say_what_more_random_images_would_bring(finished: Made, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(finished.folder)
    images = finished.frame("images")
    usable = images[images.outcome == "ok"]
    left = int((usable.split == "pool").sum())

    printed = " ".join(CliRunner().invoke(main, ["verdicts"]).output.split())
    page = Path(finished.frame("mining_report", "fused")["path"][0]).read_text(encoding="utf-8")

    wanted = rf"New classes in another {left} random images: about \d+ "
    assert re.search(wanted, printed)
    assert re.search(wanted, page)
    keywords = r"New keywords in another 500 random images: about \d+ .* of what they say is not in the vocabulary"
    assert re.search(keywords, printed)
    assert re.search(keywords, page)


def test_keywords_that_are_missing_are_estimated_from_those_that_occur_once(finished: Made):
    words, counts = finished.frame("keywords"), finished.frame("vocab_counts")
    once = set(counts[counts["unit_count"] == 1]["keyword"])
    per_image = words[words["keyword"].isin(once)].groupby("image_id").size().to_numpy()

    with finished.bench.lake.connect(
        keywords=finished.bench.lake.require("keywords", finished.bench.lake.partitions("keywords")),
        vocab_counts=finished.bench.lake.require("vocab_counts", ["pool"]),
    ) as connection:
        found = keyword_discovery(connection)

    assert found is not None
    assert found.seen == len(counts)
    assert found.unseen == unseen_share(counts["unit_count"], cluster=cluster_factor(per_image))
    assert found.new == new_kinds(counts["unit_count"], 500 * counts["unit_count"].sum() / found.images)
    assert 0 < found.unseen.low < found.unseen.mean < found.unseen.high < 1


def test_mlflow_json_and_a_check_have_the_numbers(finished: Made, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(finished.folder)

    told = json.loads(CliRunner().invoke(main, ["verdicts", "--json"]).output)["more_images"]
    run_id = Tracking(finished.project).latest(experiment="fused", asset="pareto_set")
    metrics = Tracking(finished.project).client.get_run(run_id).data.metrics

    assert metrics["class_sample_coverage"] == pytest.approx(1 - told["classes"]["unseen"]["mean"])
    assert metrics["class_sample_coverage_low"] <= metrics["class_sample_coverage"]
    assert metrics["keyword_sample_coverage_low"] == pytest.approx(1 - told["keywords"]["unseen"]["high"])
    assert metrics["new_keywords_in_500"] == pytest.approx(told["keywords"]["new"]["mean"])
    result = finished.job("mining_job", "fused", asset_selection=[dg.AssetKey("mining_report")])
    (check,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "worth_labelling_more"]
    assert check.passed
    assert "New classes in another" in str(check.description)


def test_mined_images_do_not_count(finished: Made):
    bench = finished.bench
    rows = finished.frame("images")[["image_id", "label", "split", "outcome"]].itertuples(index=False, name=None)
    items = [(name, label if isinstance(label, str) else None, split, outcome) for name, label, split, outcome in rows]
    shards = bench.lake.partitions("images")
    told = class_discovery(items, bench.labels, shards)

    class Mined:
        """Labels of which all came back from mining."""

        def is_mined(self, *_image: str) -> bool:
            return True

    assert told is not None
    assert class_discovery(items, None, shards) is None
    assert class_discovery(items, Mined(), shards) is None  # type: ignore[arg-type]


class Chosen:
    """Labels of which one came back from mining."""

    def is_mined(self, image_id: str, key: str) -> bool:
        return (image_id, key) == ("s/a/mined", "mined")


def test_only_classes_of_labelled_images_that_were_drawn_count():
    seed = [(f"s/a/{place}", "road" if place else "tram", "seed", "ok") for place in range(5)]
    pool = [(f"s/a/pool-{place}", None, "pool", "ok") for place in range(20)]
    others = [
        ("s/a/mined", "yak", "seed", "ok"),
        ("s/a/hidden", "yak", "pool", "ok"),  # an oracle knows
        ("s/a/test", "yak", "test", "ok"),
        ("s/a/broken", "yak", "seed", "corrupt"),
    ]

    found = class_discovery([*seed, *pool, *others], Chosen(), ["s/a"])  # type: ignore[arg-type]

    assert found is not None
    assert (found.seen, found.images, found.more) == (2, 5, 22)  # of 27 that may be drawn
    assert class_discovery([*seed, *pool], None, ["s/a"]) is None
    assert class_discovery(pool, Chosen(), ["s/a"]) is None  # type: ignore[arg-type]
    assert class_discovery(seed, Chosen(), ["s/a"]) is None  # type: ignore[arg-type]
