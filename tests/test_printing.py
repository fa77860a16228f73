"""What `vlmine run` shows while it works."""

from resources.progress import ALL_SHARDS, Progress, Step
from vlmine_dagster.printing import RunDisplay


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
