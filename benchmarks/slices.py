"""What floors of slices are worth: recall of few-shot images in the worst slice, and in all, without and with floors.

    cd project && vlmine run && python -m benchmarks.slices --by contrast --bins 5

The project must have been run on a pool whose labels are known (`oracle: true`). Slices are five equally large parts of
the pool by a measure of its photos (`contrast`, `sharpness`, `brightest`, `width` ... of `images`), such as night and
fog would be. A floor is given as a share of what each slice would get of an evenly split budget.
"""

import argparse
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.verdicts import few_shot_images
from vlmine_dagster.mining.slices import with_floors
from vlmine_dagster.resources.workbench import Workbench


def slices_of(bench: Workbench, listed: list[str], *, by: str, bins: int) -> npt.NDArray[np.int64]:
    """Return the slice of each listed image by the quantiles of a measure."""
    rows = bench.lake.read_all("images", bench.lake.partitions("images"), columns=["image_id", by])
    known = dict(zip(rows.column("image_id").to_pylist(), rows.column(by).to_pylist(), strict=True))
    values = np.array([known[name] for name in listed], dtype=np.float64)
    edges = np.nanquantile(values, np.linspace(0, 1, bins + 1)[1:-1])
    return np.searchsorted(edges, np.nan_to_num(values), side="right").astype(np.int64)


def recalls(few: npt.NDArray[np.bool_], codes: npt.NDArray[np.int64], chosen: npt.NDArray[np.int64]) -> list[float]:
    """Return the recall of few-shot images in each slice."""
    is_chosen = np.zeros(len(few), dtype=bool)
    is_chosen[chosen] = True
    return [float(is_chosen[few & (codes == code)].mean()) for code in np.unique(codes)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, default=Path("vlmine.yaml"))
    parser.add_argument("--experiments", nargs="*")
    parser.add_argument("--by", default="contrast")
    parser.add_argument("--bins", type=int, default=5)
    parser.add_argument("--budget", type=float, default=0.1)
    parser.add_argument("--floors", nargs="+", type=float, default=[0.0, 0.5, 0.75, 1.0])
    given = parser.parse_args()
    os.environ["VLMINE_PROJECT"] = str(given.project)
    bench = Workbench()
    is_few = few_shot_images(bench)
    print(f"| list | slices by | floor | worst slice | all |{' by slice |'}\n| --- | --- | ---: | ---: | ---: | --- |")
    for name in given.experiments or bench.project.settings.experiments:
        rows = bench.lake.read("pareto_set", name, columns=["image_id", "rank", "junk"]).sort_by("rank")
        listed = rows.filter(rows.column("junk").is_null()).column("image_id").to_pylist()
        codes = slices_of(bench, listed, by=given.by, bins=given.bins)
        few = np.array([bool(is_few.get(one)) for one in listed])
        count = round(given.budget * len(listed))
        for share in given.floors:
            floor = int(share * count / given.bins)
            order, _ = with_floors(codes, [str(k) for k in range(given.bins)], count=count, floors=floor)
            found = recalls(few, codes, order[:count])
            every = f"{few[order[:count]].sum() / few.sum():.3f}"
            shown = " ".join(f"{one:.2f}" for one in found)
            print(f"| {name} | {given.by} | {floor} | {min(found):.3f} | {every} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
