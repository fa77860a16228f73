"""What driving data costs: frames/s from Waymo's Parquet to features and tags of objects, against the bare work.

    python -m benchmarks.drives --frames 20

One generated segment of five cameras. Turn by turn in one run: pyarrow, Pillow and onnxruntime without anything around
them, over the same pictures and the same crops; and the source, the crops and the encoder as the stages use them.
Processor seconds are compared, which other work hurts least.
"""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import click
import pyarrow.parquet as pq
import yaml
from PIL import Image

from benchmarks.crops import engine
from benchmarks.measuring import machine, print_table, rates_of
from vlmine_dagster.resources.crops import Crop
from vlmine_dagster.resources.drives.waymo import CAMERA, IMAGE, TIME, picture_key
from vlmine_dagster.resources.driving.waymo_files import write_waymo
from vlmine_dagster.resources.driving.world import WorldSize, drives
from vlmine_dagster.resources.encoder import Encoder, prepare_pixels
from vlmine_dagster.resources.intake import inspect_shard, read_bytes
from vlmine_dagster.resources.objects import object_rows
from vlmine_dagster.resources.pictures import ppm
from vlmine_dagster.resources.workbench import Workbench

_CONTEXT = 0.2


@click.command()
@click.option("--frames", default=20, show_default=True, help="Frames of the segment, of five pictures each.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--models", type=click.Path(path_type=Path), default=Path(".vlmine/models"), show_default=True)
def main(frames: int, rounds: int, models: Path) -> None:
    """Print rates and their ratio, with one worker."""
    with tempfile.TemporaryDirectory() as folder:
        bench, rows = make_segment(Path(folder), frames)
        shard, limit = bench.source.shards()[0], bench.project.settings.dataset.max_pixels
        encoder = Encoder(models, threads=1)
        names = [row["object_id"] for row in rows if row["outcome"] == "ok"]
        file = Path(folder) / "waymo/camera_image" / f"{shard}.parquet"
        encoder.encode(read_bytes(bench.pictures, shard, names[:16]), max_pixels=limit)
        ways: dict[str, Callable[[], object]] = {
            "pyarrow, Pillow, onnxruntime": lambda: engine(encoder, bare_crops(file, rows, limit)),
            "vlmine": lambda: encoder.encode(read_bytes(bench.pictures, shard, names), max_pixels=limit),
        }
        found = rates_of(ways, frames * 5, rounds=rounds)
    lines = []
    for name, rates in found.items():
        share = median(bare[1] / own[1] for bare, own in zip(next(iter(found.values())), rates, strict=True))
        lines.append([name, *(f"{median(rate[place] for rate in rates):.1f}" for place in (0, 1)), f"{share:.2f}"])
    print(f"{machine('onnxruntime', 'pillow', 'pyarrow')}; {len(names)} objects in {frames * 5} pictures\n")
    print_table(["what", "pictures/s", "processor ms a picture", "of the bare work"], lines)


def make_segment(folder: Path, frames: int) -> tuple[Workbench, list[dict[str, Any]]]:
    """Make a project of one segment whose objects are published; return it and the rows of `objects`."""
    write_waymo(folder / "waymo", drives(WorldSize(segments=1, frames=frames), random_seed=24), random_seed=24)
    dataset = {"kind": "waymo", "root": "waymo"}
    content = {"name": "drive", "dataset": dataset, "unit": "object", "objects": {"from_dataset": True}}
    (folder / "vlmine.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    bench = Workbench(settings_file=str(folder / "vlmine.yaml"))
    shard = bench.source.shards()[0]
    images = inspect_shard(bench.source, shard, labels=None, max_pixels=bench.project.settings.dataset.max_pixels)
    assert bench.boxes is not None
    boxes = bench.boxes.of_images(shard, images.column("image_id").to_pylist()).rows
    rows = object_rows(images, boxes, min_size=16, context=_CONTEXT).rows
    bench.lake.publish("objects", shard, rows, inputs="")
    return bench, rows.to_pylist()


def bare_crops(file: Path, rows: list[dict[str, Any]], limit: int) -> list[Any]:
    """Return the encoder's input for each object: read, decoded, cut and scaled, one picture after the other."""
    crops: dict[str, list[Crop]] = {}
    for row in rows:
        if row["outcome"] == "ok":
            sides = (row["x"], row["y"], row["width"], row["height"])
            crops.setdefault(row["image_id"].rpartition("/")[2], []).append(Crop(row["object_id"], *sides))
    found = []
    for batch in pq.ParquetFile(file).iter_batches(16, columns=[TIME, CAMERA, IMAGE]):
        for row in batch.to_pylist():
            wanted = crops.get(picture_key(row[TIME], row[CAMERA]), [])
            if wanted:
                picture = Image.open(io.BytesIO(row[IMAGE])).convert("RGB")
                cut = (picture.crop(crop.corners(picture.size, _CONTEXT)) for crop in wanted)
                found += [prepare_pixels(ppm(one), max_pixels=limit) for one in cut]
    return found


if __name__ == "__main__":
    main()
