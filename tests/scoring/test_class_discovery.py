"""The classes that a random draw showed say how many more labels would bring."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import Made

from vlmine_dagster.cli.main import main
from vlmine_dagster.scoring.discovery import class_discovery


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
