"""Distinct few-shot moments on a list, from a pool of bursts: each photo repeated with small shifts, as Markdown.

    vlmine init tiny-imagenet-lt
    python -m benchmarks.bursts --project vlmine.yaml --draws 30

Photos of some classes are thinned to a long tail (`benchmarks.tails`), and each becomes a burst of 1 to 30 frames,
shifted by up to three pixels, at ten frames per second. One project is made of them in a temporary folder and run
twice, counting keywords by image and by sequence. A moment is a photo; it is few-shot if its class has fewer photos
than `--few`. Lists with and without the rule `gap_s: 5` are compared at the same budgets, on the same draws of whole
bursts as labelled set.
"""

import io
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import dagster as dg
import numpy as np
import yaml
from PIL import Image

from benchmarks.measuring import machine
from benchmarks.tails import Tail
from benchmarks.tars import write_tar
from vlmine_dagster.automation.runner import Runner
from vlmine_dagster.mining.selection import budget_count
from vlmine_dagster.mining.significance import mean_interval
from vlmine_dagster.mining.verdicts import interval_text
from vlmine_dagster.resources.pictures import decode_picture
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import ExperimentSettings, default_experiments
from vlmine_dagster.studies.pool import Draw, Places, Pool

LONGEST = 30
SHIFT = 3  # pixels
SHARD_IMAGES = 1000
BUDGETS = (0.01, 0.02, 0.05)
GAP_S = 5.0
FRAMES_PER_S = 10
PATTERN = r"(?P<sequence>.+)_(?P<frame>\d+)"
SIGNALS: Mapping[str, dict[str, Any]] = {
    "random": {"signals": ["random"]},
    "entropy": {"signals": ["entropy"]},
    "novelty_min": {"signals": ["novelty_min"]},
    "rank_sum": {"signals": ["novelty_min", "entropy"], "fusion": "rank_sum"},
    "fused": default_experiments()["fused"].model_dump(mode="json", include={"signals", "fusion", "weights"}),
}
WAYS: Mapping[str, Mapping[str, dict[str, float]]] = {
    "image": {"plain": {}, "gap_s": {"gap_s": GAP_S}},
    "sequence": {"gap_s, by sequence": {"gap_s": GAP_S}},
}
"""Rules of a list by what keywords are counted by and by the name of the way."""


@dataclass(frozen=True)
class Photo:
    """A photo of the pool that bursts are made of."""

    shard: str
    key: str
    label: str


def photos_of(bench: Workbench) -> list[Photo]:
    """Return the photos of a labelled project that do not judge, in the order of its shards."""
    labels = bench.labels
    assert labels is not None, "the project needs labels of its whole pool"
    found = []
    for shard in bench.source.shards():
        for raw in bench.source.read(shard):
            name = f"{shard}/{raw.key}"
            label = labels.truth(name, raw.key)
            if label is not None and labels.visible(name, raw.key)[1] not in ("val", "test"):
                found.append(Photo(shard, raw.key, label))
    return found


def contents_of(bench: Workbench, photos: Sequence[Photo]) -> dict[Photo, bytes]:
    """Return the encoded bytes of some photos, each shard read once."""
    by_place = {(photo.shard, photo.key): photo for photo in photos}
    return {
        by_place[shard, raw.key]: raw.data
        for shard in {photo.shard for photo in photos}
        for raw in bench.source.read(shard, keys={photo.key for photo in photos if photo.shard == shard})
    }


def burst(data: bytes, draw: np.random.Generator) -> Iterator[bytes]:
    """Yield 1 to 30 shifted copies of a photo, as JPEG."""
    pixels = np.asarray(decode_picture(data, max_pixels=100_000_000))
    height, width, _ = pixels.shape
    padded = np.pad(pixels, ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="edge")
    for _ in range(int(draw.integers(1, LONGEST + 1))):
        top, left = draw.integers(0, 2 * SHIFT + 1, 2)
        file = io.BytesIO()
        Image.fromarray(padded[top : top + height, left : left + width]).save(file, "JPEG", quality=90)
        yield file.getvalue()


def write_bursts(bench: Workbench, chosen: Sequence[Photo], folder: Path, *, seed: int) -> int:
    """Write tars of bursts and their labels; return the number of frames."""
    (folder / "data").mkdir(parents=True)
    rows, written = ["key,split,class_id"], 0
    pending: dict[str, bytes] = {}
    content = contents_of(bench, chosen)
    for number, photo in enumerate(chosen):
        for frame, data in enumerate(burst(content[photo], np.random.default_rng([seed, number]))):
            name = f"m{number:05}_{frame:02}"
            rows.append(f'{name},pool,"{photo.label}"')
            pending[f"{name}.jpg"] = data
        if len(pending) >= SHARD_IMAGES or photo is chosen[-1]:
            write_tar(folder / "data" / f"bursts-{written:03}.tar", pending)
            pending, written = {}, written + 1
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return len(rows) - 1


def write_settings(folder: Path, *, few_under: int, count_by: str, experiments: Mapping[str, Any]) -> Workbench:
    """Write the project's settings and open it."""
    labels = {"file": "labels.csv", "oracle": True, "seed_fraction": 0.2, "few_under": few_under, "many_over": 10**6}
    sequences = {"pattern": PATTERN, "frames_per_s": FRAMES_PER_S}
    dataset = {"kind": "webdataset", "root": "data", "labels": labels, "sequences": sequences}
    content = {"name": "bursts", "dataset": dataset, "count_by": count_by, "experiments": dict(experiments)}
    (folder / "vlmine.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return Workbench(settings_file=str(folder / "vlmine.yaml"))


def run(bench: Workbench) -> None:
    """Make the tables that do not depend on the labelled set, and one list."""
    warnings.simplefilter("ignore", dg.BetaWarning)
    with dg.DagsterInstance.ephemeral() as instance:
        outcome = Runner(bench.settings_file, instance).run()
    assert outcome.is_whole, (outcome.failures, outcome.waiting)


def found_moments(
    folder: Path, sizes: Mapping[str, int], *, few: int, few_under: int, draws: int
) -> dict[tuple[str, str, float], list[int]]:
    """Return how many distinct few-shot moments each list finds, by signal, way and budget, one number per draw."""
    found: dict[tuple[str, str, float], list[int]] = {}
    for count_by, ways in WAYS.items():
        made = {"novelty_min": SIGNALS["novelty_min"]}
        run(write_settings(folder, few_under=few_under, count_by=count_by, experiments=made))
        pool = Pool(write_settings(folder, few_under=few_under, count_by=count_by, experiments=SIGNALS))
        for number in range(draws):
            draw = pool.draw(number)
            for way, rules in ways.items():
                for name, arm in SIGNALS.items():
                    order = draw.rank(ExperimentSettings.model_validate({**arm, **rules}))
                    for budget in BUDGETS:
                        mined = order[: budget_count(budget, len(draw.ids))]
                        found.setdefault((name, way, budget), []).append(moments_among(draw, mined, sizes, few=few))
    return found


def moments_among(draw: Draw, places: Places, sizes: Mapping[str, int], *, few: int) -> int:
    """Return how many different photos of few-shot classes there are at some places of a pool."""
    return len({draw.ids[k].rpartition("_")[0] for k in places.tolist() if sizes[draw.truth[k]] < few})


def table(found: Mapping[tuple[str, str, float], Sequence[int]]) -> str:
    """Return the numbers as Markdown: one row per signal and way, and how often more than the plain list."""
    lines = [f"| list | {' | '.join(f'{budget:.0%}' for budget in BUDGETS)} | times plain at {BUDGETS[1]:.0%} |"]
    lines.append("| --- |" + " ---: |" * (len(BUDGETS) + 1))
    for name in SIGNALS:
        for way in (way for ways in WAYS.values() for way in ways):
            cells = [_spread(found[name, way, budget]) for budget in BUDGETS]
            plain, ours = (np.asarray(found[name, one, BUDGETS[1]], dtype=float) for one in ("plain", way))
            times = interval_text(mean_interval((ours / np.maximum(plain, 1)).tolist()))
            lines.append(f"| {name}, {way} | {' | '.join(cells)} | {'' if way == 'plain' else times} |")
    return "\n".join(lines)


def _spread(values: Sequence[int]) -> str:
    return f"{np.mean(values):.1f} ± {np.std(values, ddof=min(1, len(values) - 1)):.1f}"


@click.command()
@click.option("--project", "file", default="vlmine.yaml", show_default=True, type=click.Path(exists=True))
@click.option("--classes", default=30, show_default=True, help="Classes of the pool.")
@click.option("--largest", default=40, show_default=True, help="Photos of its largest class.")
@click.option("--imbalance", default=20.0, show_default=True, help="Its largest class over its smallest.")
@click.option("--few", default=10, show_default=True, help="A class with fewer photos is few-shot.")
@click.option("--seed", default=0, show_default=True, help="Of the classes, the photos, the bursts and the shifts.")
@click.option("--draws", default=10, show_default=True, help="Draws of the labelled set.")
def main(file: str, *, classes: int, largest: int, imbalance: float, few: int, seed: int, draws: int) -> None:
    """Print how many distinct few-shot moments lists find."""
    bench = Workbench(settings_file=file)
    photos = photos_of(bench)
    tail = Tail(seed, classes, imbalance, largest)
    chosen = [photos[place] for place in tail.places(np.array([photo.label for photo in photos]))]
    sizes = Counter(photo.label for photo in chosen)
    few_under = round(few * (LONGEST + 1) / 2)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        count = write_bursts(bench, chosen, folder, seed=seed)
        moments = sum(size for size in sizes.values() if size < few)
        click.echo(machine("duckdb", "onnxruntime"))
        click.echo(
            f"{len(chosen):,} photos of {classes} classes as {count:,} frames; {moments} few-shot moments of "
            f"{sum(size < few for size in sizes.values())} classes with fewer than {few} photos; seed {seed}; "
            f"{draws} draws of a labelled set of 20% of the bursts.\n"
        )
        click.echo(table(found_moments(folder, sizes, few=few, few_under=few_under, draws=draws)))


if __name__ == "__main__":
    main()
