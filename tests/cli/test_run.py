"""What `vlmine run` shows while it works."""

import re

import pytest
from conftest import members

from vlmine_dagster.automation.outcome import Outcome
from vlmine_dagster.cli.progress import RunDisplay, Totals
from vlmine_dagster.cli.run import print_outcome
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.resources.progress import ALL_SHARDS, Progress, Step


def test_a_slow_rate_keeps_its_digits_and_tells_how_long_is_left():
    assert str(Step(ALL_SHARDS, "shards", 3, 1000, 60.0)) == (
        "all shards: 3 of 1,000 shards, 0.05 shards/s, 5 h 32 min left"
    )
    assert str(Step("embeddings[a]", "images", 1300, 4000, 10.0)) == (
        "embeddings[a]: 1,300 of 4,000 images, 130 images/s, 21 s left"
    )


def test_each_finished_line_tells_how_far_all_shards_have_come(capsys):
    with RunDisplay(is_quiet=False) as display:
        overall = Progress(ALL_SHARDS, total=2, unit="shards")
        for shard in ("a", "b"):
            display.on_run("images", shard)
            overall.add(1)
        display.on_run("vocab_counts", "pool")

    first, second, third = capsys.readouterr().out.strip().splitlines()
    assert first.startswith("a images 0.0 s, 1 of 2 shards, ") and first.endswith(" left")
    assert "2 of 2 shards" in second
    assert third.startswith("vocab_counts 0.0 s") and "shards" not in third


def test_work_that_is_refused_is_not_shown_as_done(capsys):
    def refused() -> None:
        with RunDisplay(is_quiet=False) as display:
            display.on_run("images", "a")
            display.on_run("study pooling", "pool")
            raise ConfigError("it needs labels")

    with pytest.raises(ConfigError):
        refused()

    assert re.fullmatch(r"a images \d\.\d s", capsys.readouterr().out.strip())


def test_without_a_terminal_long_work_tells_how_far_it_is_now_and_then(capsys, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("vlmine_dagster.cli.progress.time.monotonic", lambda: clock[0])
    with RunDisplay(is_quiet=False) as display:
        display.on_run("study draws", "pool")
        for done in range(1, 8):
            clock[0] += 10.0
            display.on_step(Step("study[draws]", "steps", done, 8, 10.0 * done))

    lines = capsys.readouterr().out.strip().splitlines()
    assert [line.partition(",")[0] for line in lines] == ["study[draws]: 4 of 8 steps", "study draws 70.0 s"]


def test_rates_of_all_workers_are_added_and_money_and_failures_stay(capsys):
    totals = Totals()
    totals.add(Step("descriptions[a]", "images", 100, 200, 10.0, failed=1, cost_usd=0.5), place=0)
    totals.add(Step("descriptions[b]", "images", 50, 200, 10.0, failed=2, cost_usd=0.25), place=1)
    together = str(totals)
    totals.add(Step("descriptions[a]", "images", 200, 200, 20.0, failed=1, cost_usd=1.0), place=0)
    totals.add(Step("keywords[a]", "descriptions", 80, 200, 1.0), place=0)
    totals.leave(1)

    assert together == "15 images/s, $0.7500, 3 failed"
    assert str(totals) == "80 descriptions/s, $1.2500, 3 failed"


def test_the_line_of_all_shards_tells_what_all_workers_do(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # the rate may be in the thousands
    with RunDisplay(is_quiet=False) as display:
        overall = Progress(ALL_SHARDS, total=2, unit="shards")
        for place, shard in enumerate(("a", "b")):
            display.on_run("images, descriptions", shard, place)
            display.on_step(Step(f"descriptions[{shard}]", "images", 5, 10, 1.0, cost_usd=0.5), place)
        display.on_done(1)
        overall.add(1)
        display.on_run("vocab_counts", "pool", 1)

    first, *_ = capsys.readouterr().out.strip().splitlines()
    assert first.startswith("b images, descriptions 0.0 s, 1 of 2 shards, ")
    assert first.endswith(" left, 5 images/s, $1.0000")


def test_what_waits_is_told_in_a_line_an_asset_with_an_example_and_where_all_is(capsys):
    waiting = {
        "vocab_counts": "waits for keywords of a, b, c and 4 more",
        "pareto_set[random]": "waits for images of a",
        "pareto_set[fused]": "waits for images of a; rarity_scores of pool",
        **{
            f"mining_report[{arm}]": f"waits for pareto_set of {arm}; retrain_metrics of {arm}; images of a"
            for arm in ("random", "fused", "entropy")
        },
    }

    print_outcome(Outcome(waiting=waiting))

    assert capsys.readouterr().out.splitlines() == [
        "waiting vocab_counts: waits for keywords of a, b, c and 4 more",
        "waiting pareto_set[random] and 1 more: waits for images of a",
        "waiting mining_report[random] and 2 more: waits for pareto_set of random; ...",
        "Everything that waits, and why: `vlmine run --json`",
        "0 made, 0 already fresh, 0 failed",
    ]


def test_one_that_waits_is_told_whole(capsys):
    print_outcome(Outcome(waiting={"2 more shards": "the money is spent"}))

    assert capsys.readouterr().out.splitlines() == [
        "waiting 2 more shards: the money is spent",
        "0 made, 0 already fresh, 0 failed",
    ]


def test_of_many_shards_that_failed_five_are_told_and_where_the_others_are(capsys):
    failures = {("images", f"s{k}"): f"images[s{k}]: 9 of 9 images failed" for k in range(7)}

    print_outcome(Outcome(failures={**failures, ("embeddings", "t"): "no space left"}))

    told = capsys.readouterr().out.splitlines()
    assert told[:7] == [
        *(f"failed  images[s{k}]: 9 of 9 images failed" for k in range(5)),
        "  and 2 more of images: `vlmine status --json`",
        "failed  embeddings[t]: no space left",
    ]


def test_a_shard_is_named_by_its_file_too(make_project):
    made = make_project({"10:30": members({"coffee": 2}, start=0)})

    for name in ("10:30", "10~3A30"):
        with pytest.raises(ConfigError, match="there is no experiment 'none'"):
            made.run(shards=[name], experiments=["none"])
    with pytest.raises(ConfigError, match="there is no shard '10:31'. There are: 10~3A30"):
        made.run(shards=["10:31"], experiments=["none"])
