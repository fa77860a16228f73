"""What the junk lane is worth: precision of lists before and after, and which junk it finds, by kind.

    python -m benchmarks.planted_junk /data/caltech101-lt --into /data/caltech101-junk --share 0.2
    cd project-on-it && vlmine run && python -m benchmarks.junk --first 50

The project must have been run with `junk: lane` on a pool whose labels are known (`oracle: true`). "Before" is each
list ranked anew from its own signals with the junk in it, as `junk: keep` has it. Precision is the share of few-shot
images among the first of a list, recall their share among 5% of the pool.
"""

import argparse
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.planted_junk import SHARD
from benchmarks.verdicts import few_shot_images
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.mining.selection import rank_images
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import ExperimentSettings

_SHARE = 0.05


def list_before(rows: pa.Table, experiment: ExperimentSettings) -> list[str]:
    """Return the ids of a list as it would be without a junk lane, best first.

    Args:
        rows: Rows of `pareto_set`.
        experiment: The experiment, without a second step and without rules about frames.
    """
    names: list[str] = rows.column("image_id").to_pylist()
    signals = {name: rows.column(name).to_numpy(zero_copy_only=False) for name in experiment.signals}
    order = rank_images(signals, names, fusion=experiment.fusion, weights=experiment.weights).order
    return [names[place] for place in order.tolist()]


def judged(listed: Sequence[str], is_few: Mapping[str, bool], *, first: int) -> dict[str, float]:
    """Return precision and junk among the first of a list, and recall at 5%."""
    few = np.array([bool(is_few.get(name)) for name in listed])
    planted = np.array([name.startswith(SHARD) for name in listed])
    return {
        "precision": float(few[:first].mean()),
        "junk": int(planted[:first].sum()),
        "recall": float(few[: round(_SHARE * len(listed))].sum() / max(few.sum(), 1)),
    }


def found_by_kind(bench: Workbench) -> list[tuple[str, int, int]]:
    """Return how many images were planted of each kind, and how many of them are in the lane; "" is the pool's own."""
    lane = set(bench.lake.read("junk", columns=["image_id"]).column(0).to_pylist())
    rows = bench.lake.read_all(ITEMS, bench.lake.partitions(ITEMS), columns=["image_id", "split"])
    names = [name for name, split in zip(*(rows.column(i).to_pylist() for i in (0, 1)), strict=True) if split == "pool"]
    kinds = {name: name.rpartition("/")[2].rpartition("-")[0] if name.startswith(SHARD) else "" for name in names}
    planted, found = Counter(kinds.values()), Counter(kinds[name] for name in names if name in lane)
    return [(kind, count, found[kind]) for kind, count in sorted(planted.items())]


def _line(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    cells = [f"{one[what]:.3f}" for what in ("precision", "recall") for one in (before, after)]
    return f"| {name} | {before['junk']} | {after['junk']} | {' | '.join(cells)} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, default=Path("vlmine.yaml"))
    parser.add_argument("--first", type=int, default=50)
    given = parser.parse_args()
    os.environ["VLMINE_PROJECT"] = str(given.project)
    bench = Workbench()
    print("| kind | planted | in the lane |\n| --- | ---: | ---: |")
    for kind, count, found in found_by_kind(bench):
        print(f"| {kind or 'the pool itself'} | {count:,} | {found:,} |")
    is_few = few_shot_images(bench)
    print(f"\n| list | junk in {given.first}, before | after | precision at {given.first}, before | after | ", end="")
    print("recall at 5%, before | after |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, experiment in bench.project.settings.experiments.items():
        rows = bench.lake.read("pareto_set", name).sort_by("rank")
        after = rows.column("image_id").to_pylist()
        before = list_before(rows, experiment)
        print(_line(name, *(judged(one, is_few, first=given.first) for one in (before, after))), flush=True)


if __name__ == "__main__":
    main()
