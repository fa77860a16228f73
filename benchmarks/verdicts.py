"""What verdicts are worth: recall of rare images among those not yet judged, with hidden labels as the reviewer.

    python -m benchmarks.planted_junk /data/caltech101-lt --into /data/caltech101-junk
    cd project-on-it && vlmine run && python -m benchmarks.verdicts --judged 100 200 300

The project must have been run on a pool whose labels are known (`oracle: true`). The reviewer judges the first images
of each list: rare where the class is few-shot, junk where the image was planted, else common, and with `--named` also
by its class, which then is a label. Then 5% of those that are not judged are taken, by the list that learned from the
verdicts and by the same list without: from that one all planted junk is taken out, judged or not, while the first has
to sink it itself. Shares of the few-shot images not yet judged.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.verdicts import Verdict
from vlmine_dagster.mining.longtail import shot_bins
from vlmine_dagster.mining.verdict_rule import next_order
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.scoring.labelled import labelled_images, true_classes
from vlmine_dagster.scoring.verdicts import evidence_of
from vlmine_dagster.studies.reading import PoolReader

JUNK = "planted/"
_SHARE = 0.05


def reviewed(names: Sequence[str], is_few: Mapping[str, bool]) -> dict[str, Verdict]:
    """Return what the reviewer says of images."""
    return {
        name: Verdict.JUNK if name.startswith(JUNK) else Verdict.RARE if is_few.get(name) else Verdict.COMMON
        for name in names
    }


def measured(
    reader: PoolReader, listed: Sequence[str], is_few: Mapping[str, bool], judged_count: int, classes: Mapping[str, str]
) -> dict[str, Any]:
    """Return recall at 5% of what is not judged, with and without verdicts.

    Args:
        reader: Reads the pool.
        listed: The list, best first.
        is_few: Whether each image with a class is of a few-shot one.
        judged_count: How many of the first are judged.
        classes: Class of each image of which the reviewer names it.
    """
    standing = reviewed(listed[:judged_count], is_few)
    places = {name: place for place, name in enumerate(listed)}
    ranks = {name: place + 1 for name, place in places.items()}
    labels = {**labelled_images(reader), **{name: classes[name] for name in standing if name in classes}}
    judged, evidence = evidence_of(reader, standing, ranks, places, len(listed), labels=labels)
    first = np.array([places[name] for name, verdict in standing.items() if verdict is Verdict.RARE], dtype=np.int64)
    last = np.array([places[name] for name, verdict in standing.items() if verdict is not Verdict.RARE], dtype=np.int64)
    order, _ = next_order(np.arange(len(listed)), judged, evidence, first=first, last=last)
    few = np.array([bool(is_few.get(name)) for name in listed])
    junk = np.array([name.startswith(JUNK) for name in listed])
    is_open = np.array([name not in standing for name in listed])
    count = round(_SHARE * int(is_open.sum()))
    total = int((few & is_open).sum())
    with_verdicts = order[is_open[order]][:count]
    without = np.flatnonzero(is_open & ~junk)[:count]
    return {
        "judged": judged_count,
        "confirmed": len(first),
        "junk judged": int(junk[:judged_count].sum()),
        "junk taken": int(junk[with_verdicts].sum()),
        "with": _share(few, with_verdicts, total),
        "without": _share(few, without, total),
        "few-shot left": total,
    }


def _share(few: npt.NDArray[np.bool_], taken: npt.NDArray[np.int64], total: int) -> float:
    return float(few[taken].sum() / max(total, 1))


def few_shot_images(bench: Workbench) -> dict[str, bool]:
    """Return whether each image with a known class is of a few-shot one."""
    labels, settings = bench.labels, bench.project.settings.dataset.labels
    assert labels is not None, "the project needs labels: the reviewer reads them"
    assert settings is not None
    bins = shot_bins(labels.class_counts(), many_over=settings.many_over, few_under=settings.few_under)
    shards = bench.lake.partitions(ITEMS)
    names = bench.lake.read_all(ITEMS, shards, columns=["image_id"]).column("image_id").to_pylist()
    return {name: bins[label] == "few" for name, label in true_classes(labels, names, shards).items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, default=Path("vlmine.yaml"))
    parser.add_argument("--experiments", nargs="*")
    parser.add_argument("--named", action="store_true", help="the reviewer names the class of each image too")
    parser.add_argument("--judged", nargs="+", type=int, default=[100, 200, 300])
    given = parser.parse_args()
    os.environ["VLMINE_PROJECT"] = str(given.project)
    bench = Workbench()
    reader, is_few = PoolReader(bench), few_shot_images(bench)
    classes = true_classes(bench.labels, list(is_few), reader.shards) if given.named else {}
    print("| list | judged | confirmed | junk judged | without | with | ratio | junk taken |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for experiment in given.experiments or bench.project.settings.experiments:
        rows = bench.lake.read("pareto_set", experiment, columns=["image_id", "rank"]).sort_by("rank")
        listed = rows.column("image_id").to_pylist()
        for count in given.judged:
            found = measured(reader, listed, is_few, count, classes)
            ratio = found["with"] / found["without"] if found["without"] else float("nan")
            print(
                f"| {experiment} | {count} | {found['confirmed']} | {found['junk judged']} | {found['without']:.3f} | "
                f"{found['with']:.3f} | {ratio:.2f} | {found['junk taken']} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
