"""The same work by others, in one run: frequency selection, uncertainty, uniqueness.

    pip install -c constraints.txt -e '.[bench]'
    python -m benchmarks.peers --images 1000000 --vectors 10000

Frequency selection is Data-Juicer's way in pandas: all keywords in memory, counted, mapped, the minimum an image, the
rarest 1%. Ours is all three stages, with validation, stamps and MLflow. Uncertainty is modAL's; uniqueness (neighbours
by cosine) is scikit-learn's, which fiftyone-brain calls too. Each runs in a process of its own; all must find the same.
"""

import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmarks.engine import run_stage
from benchmarks.measuring import cost_of, machine, own_peak_mb, print_table
from benchmarks.synthetic_lake import LakeSize, make_lake
from vlmine_dagster.resources.workbench import Workbench

NEIGHBOURS, CLASSES, WIDTH = 20, 100, 1280
Work = Callable[[Path, int], list[float]]


def select_by_vlmine(folder: Path, _size: int) -> list[float]:
    """Count, score and select by the stages; return the image counts of the selected images' rarest keywords."""
    bench = Workbench(settings_file=str(folder / "vlmine.yaml"))
    for name in ("vocab_counts", "novelty_scores", "novelty_min"):
        run_stage(bench, name)
    rows = bench.lake.read("pareto_set", "novelty_min", columns=["selected", "novelty_min"])
    chosen = rows.filter(rows.column("selected")).column("novelty_min").to_numpy()
    return [float(value) for value in np.sort(np.rint(1 / chosen))]


def select_by_pandas(folder: Path, size: int) -> list[float]:
    """Count, score and select in memory."""
    import pandas as pd

    files = sorted((folder / ".vlmine" / "lake" / "keywords").rglob("*.parquet"))
    frame = pd.concat([pd.read_parquet(file, columns=["image_id", "keyword"]) for file in files])
    frame["image_count"] = frame["keyword"].map(frame["keyword"].value_counts())
    rarest = frame.groupby("image_id")["image_count"].min().nsmallest(max(size // 100, 1))
    return [float(value) for value in np.sort(rarest.to_numpy())]


def probabilities(size: int) -> npt.NDArray[np.float64]:
    """Draw what a task model might say."""
    odds = np.random.default_rng(size).gamma(0.3, size=(size, CLASSES)) + 1e-9
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def uncertainty_by_vlmine(_folder: Path, size: int) -> list[float]:
    """Entropy, variation ratio and margin; return their sums."""
    from vlmine_dagster.mining.uncertainty import margin, predictive_entropy, variation_ratio

    given = probabilities(size)
    return [float(measure(given).sum()) for measure in (predictive_entropy, variation_ratio, margin)]


def uncertainty_by_modal(_folder: Path, size: int) -> list[float]:
    """The same by modAL, of a classifier that says what it is given."""
    from modAL import uncertainty

    class Classifier:
        def predict_proba(self, given: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            return given

    measures = (uncertainty.classifier_entropy, uncertainty.classifier_uncertainty, uncertainty.classifier_margin)
    shares = probabilities(size)
    return [float(measure(Classifier(), shares).sum()) for measure in measures]


def vectors(size: int) -> npt.NDArray[np.float32]:
    """Draw unit vectors around some centres."""
    draw = np.random.default_rng(size)
    centres = draw.normal(size=(100, WIDTH))
    drawn = centres[draw.integers(0, 100, size)] + draw.normal(size=(size, WIDTH))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), dtype=np.float32)


def uniqueness_by_vlmine(_folder: Path, size: int, search: str = "exact") -> list[float]:
    """Mean distance to the nearest neighbours; return its sum."""
    from vlmine_dagster.mining.neighbours import nearest_neighbours

    drawn = vectors(size)
    found = nearest_neighbours(lambda: [drawn], count=NEIGHBOURS, search=search)
    return [float(sum((1 - similar).mean(axis=1).sum() for _, similar in found))]


def uniqueness_by_sklearn(_folder: Path, size: int) -> list[float]:
    """The same by scikit-learn, all pairs."""
    from sklearn.neighbors import NearestNeighbors

    drawn = vectors(size)
    fitted = NearestNeighbors(n_neighbors=NEIGHBOURS, metric="cosine", algorithm="brute").fit(drawn)
    return [float(fitted.kneighbors()[0].mean(axis=1).sum())]


TASKS: Mapping[str, Mapping[str, Work]] = {
    "rarest 1% by keyword": {"vlmine, three stages": select_by_vlmine, "pandas, in memory": select_by_pandas},
    "uncertainty": {"vlmine": uncertainty_by_vlmine, "modAL-python": uncertainty_by_modal},
    "uniqueness": {"vlmine, exact": uniqueness_by_vlmine, "scikit-learn, brute": uniqueness_by_sklearn},
}


def work(task: str, who: str, folder: Path, size: int) -> None:
    """Do one piece of work and print what it took and found, as JSON."""
    for library in ("great_expectations.expectations", "mlflow", "pandas", "sklearn.neighbors", "faiss", "modAL"):
        importlib.import_module(library)
    started, spent = time.perf_counter(), time.process_time()
    found = TASKS[task][who](folder, size)
    took = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - spent}
    peak = own_peak_mb()
    print(json.dumps({**took, "peak": peak, "found": found}), flush=True)
    os._exit(0)  # threads of the libraries may abort a process that ends in the ordinary way


def compare(task: str, folder: Path, size: int) -> list[list[Any]]:
    """Run one task by all; return the rows of the table.

    Raises:
        SystemExit: somebody finds something else.
    """
    took: dict[str, dict[str, Any]] = {}
    for who in TASKS[task]:
        command = [sys.executable, "-m", "benchmarks.peers", "--work", task, who, "--folder", str(folder)]
        said = cost_of([*command, "--size", str(size)]).output.splitlines()
        took[who] = json.loads(next(line for line in said if line.startswith("{")))
    ours = next(iter(took.values()))
    for who, costs in took.items():
        if not np.allclose(costs["found"], ours["found"], rtol=1e-4):
            raise SystemExit(f"{task}: {who} finds something else")
    return [
        [
            f"{task}, {size:,}: {who}",
            *(f"{costs[key]:.2f}" for key in ("seconds", "cpu")),
            f"{costs['peak']:,.0f}",
            *(f"{costs[key] / ours[key]:.2f}" for key in ("cpu", "peak")),
        ]
        for who, costs in took.items()
    ]


def missing(library: str) -> str | None:
    """Return why a library cannot be used, or None."""
    try:
        importlib.import_module(library)
    except ImportError as error:
        return f"{library} cannot be compared with: {error}"
    return None


@click.command()
@click.option("--images", default=1_000_000, show_default=True, help="Of the selection and of the uncertainty.")
@click.option("--vectors", "vector_count", default=10_000, show_default=True, help="Of the uniqueness.")
@click.option("--folder", type=click.Path(path_type=Path), help="A lake of `--images` by benchmarks.engine; else made.")
@click.option("--work", "who", nargs=2, type=str, help="Do only this, TASK WHO, on `--folder`.")
@click.option("--size", type=int, help="Images or vectors of `--work`.")
def main(images: int, vector_count: int, folder: Path | None, who: tuple[str, str] | None, size: int | None) -> None:
    """Print a Markdown table with the ratios of others to vlmine."""
    if who is not None:
        assert folder is not None
        assert size is not None
        work(*who, folder, size)
        return
    with tempfile.TemporaryDirectory() as temporary:
        home = folder or Path(temporary)
        if folder is None:
            make_lake(home, LakeSize(images, max(images // 10_000, 1), max(images // 10, 10)))
        sizes = dict(zip(TASKS, (images, images, vector_count), strict=True))
        rows = [row for task, count in sizes.items() for row in compare(task, home, count)]
    print(f"{machine('pandas', 'modAL-python', 'scikit-learn', 'faiss-cpu', 'duckdb')}\n")
    print_table(("task", "s", "CPU s", "peak MB", "CPU, times vlmine's", "memory, times vlmine's"), rows)
    for line in filter(None, map(missing, ("fiftyone.brain",))):
        print(f"\n{line}")


if __name__ == "__main__":
    main()
