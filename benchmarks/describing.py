"""How near the tagger comes to its engine: images/s from tars to Parquet against onnxruntime on ready arrays.

    python -m benchmarks.describing --images 512

Photos of two sizes are cropped from those that scikit-image brings along. All rates are measured in one run, turn by
turn, so that a noisy machine hurts all. The ratio is of processor seconds an image, which other work hurts least: what
the engine needs over what the whole way needs. One against two workers shows whether work scales.
"""

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click
import numpy as np
import yaml

from benchmarks.measuring import machine, print_table, rates_of
from benchmarks.synthetic_pool import key, photo
from benchmarks.tars import write_tar
from vlmine_dagster.describing.describers.tagger import Tagger, TaggerSettings
from vlmine_dagster.domain.tables import DESCRIPTIONS
from vlmine_dagster.resources.describers import DescriberInput
from vlmine_dagster.resources.encoder import Encoder, embedding_rows, prepare_pixels
from vlmine_dagster.resources.extraction import description_row
from vlmine_dagster.resources.intake import inspect_shard, read_bytes
from vlmine_dagster.resources.lake import Lake
from vlmine_dagster.resources.ordered import core_count
from vlmine_dagster.resources.rows import RowBuffer
from vlmine_dagster.resources.workbench import Workbench

SHARD = "photos"
SIZES = ((64, 48), (500, 375))
ENGINE, DECODED = "engine", "decode and engine"
PUBLISHED, WHOLE = "decode to published descriptions", "the same, every image opened and checked before"
Rate = tuple[float, float]
"""Images a second, and processor milliseconds an image."""


@dataclass(frozen=True)
class Photos:
    """Photos of one size in a tar.

    Attributes:
        bench: The project.
        encoder: The encoder, with the workers to be measured.
        data: (image_id, encoded bytes).
        pixels: The same, as the engine takes them.
        limit: Largest images that are decoded, in pixels.
    """

    bench: Workbench
    encoder: Encoder
    data: list[tuple[str, bytes]]
    pixels: np.ndarray
    limit: int

    def bare(self, *, batch: int = 16) -> None:
        """Run the engine alone, one session call a thread and worker."""
        cuts = range(0, len(self.pixels), batch)
        with ThreadPoolExecutor(self.encoder.worker_count) as pool:
            list(pool.map(lambda at: self.encoder.session.run(None, {"pixels": self.pixels[at : at + batch]}), cuts))

    def encode(self) -> None:
        """Decode and run the engine."""
        self.encoder.encode(self.data, max_pixels=self.limit)

    def publish(self, *, is_checked: bool) -> None:
        """Go from the tar to published Parquet, with or without the check of every image before."""
        names = [name for name, _ in self.data]
        describer = Tagger(self.encoder, TaggerSettings())
        with tempfile.TemporaryDirectory() as folder:
            lake = Lake(folder)
            if is_checked:
                rows = inspect_shard(self.bench.source, SHARD, labels=None, max_pixels=self.limit)
                lake.publish("images", SHARD, rows, inputs="")
            found = self.encoder.encode(read_bytes(self.bench.source, SHARD, names), max_pixels=self.limit)
            lake.publish("embeddings", SHARD, embedding_rows(found), inputs="")
            seen = dict(zip(found.image_ids, found.probabilities.astype(np.float32), strict=True))
            answers = RowBuffer(DESCRIPTIONS.schema)
            wanted, fingerprint = dict.fromkeys(names, ""), describer.fingerprint
            for answer in describer.describe(
                wanted, lambda ids: (DescriberInput(i, tag_probabilities=seen[i]) for i in ids)
            ):
                answers.add(description_row(answer, fingerprint))
            lake.publish("descriptions", SHARD, answers.table(), inputs="")


@click.command()
@click.option("--images", "count", default=512, show_default=True, help="Photos of each size.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--models", type=click.Path(path_type=Path), default=Path(".vlmine/models"), show_default=True)
def main(count: int, rounds: int, models: Path) -> None:
    """Print rates and ratios for both sizes, with one and with as many workers as there are cores."""
    rows = []
    for size in SIZES:
        for workers in dict.fromkeys((1, core_count())):
            with tempfile.TemporaryDirectory() as folder:
                photos = make_photos(Path(folder), size, count, encoder=Encoder(models, threads=workers))
                found = measured(photos, count, rounds=rounds)
            for what, rates in found.items():
                share = median(bare[1] / own[1] for bare, own in zip(found[ENGINE], rates, strict=True))
                middle = [f"{median(rate[place] for rate in rates):.1f}" for place in (0, 1)]
                rows.append([f"{size[0]} px, {workers} workers: {what}", *middle, f"{share:.2f}"])
    print(f"{machine('onnxruntime', 'pillow')}; {count} photos of each size, medians of {rounds}\n")
    print_table(["what", "images/s", "processor ms an image", "of the engine"], rows)


def make_photos(folder: Path, size: tuple[int, int], count: int, *, encoder: Encoder) -> Photos:
    """Write a tar of photos and warm everything up."""
    write_tar(folder / "data" / f"{SHARD}.tar", {f"{key(k)}.jpg": photo(k, size) for k in range(count)})
    settings = {"name": "photos", "dataset": {"kind": "webdataset", "root": "data"}}
    (folder / "vlmine.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    bench = Workbench(settings_file=str(folder / "vlmine.yaml"))
    limit = bench.project.settings.dataset.max_pixels
    data = list(read_bytes(bench.source, SHARD, [f"{SHARD}/{key(k)}" for k in range(count)]))
    pixels = np.stack([prepare_pixels(content, max_pixels=limit) for _, content in data])
    encoder.encode(data[:32], max_pixels=limit)
    return Photos(bench, encoder, data, pixels, limit)


def measured(photos: Photos, count: int, *, rounds: int) -> dict[str, list[Rate]]:
    """Return the rates of each way, turn by turn."""
    ways: dict[str, Callable[[], None]] = {
        ENGINE: photos.bare,
        DECODED: photos.encode,
        PUBLISHED: lambda: photos.publish(is_checked=False),
        WHOLE: lambda: photos.publish(is_checked=True),
    }
    return rates_of(ways, count, rounds=rounds)


if __name__ == "__main__":
    main()
