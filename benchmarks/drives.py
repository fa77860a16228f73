"""What driving data costs: frames/s from Waymo's Parquet to described objects, against the bare work.

    python -m benchmarks.drives --frames 40
    python -m benchmarks.drives --segments 20 --frames 200 --stages --world /a/disk/with/1GB

Generated segments of five cameras. Turn by turn in one run: pyarrow, Pillow and onnxruntime without anything around
them, over the same pictures and the same crops; and the source, the crops and the encoder as the stages use them. With
`--stages`, the job of the shards itself takes their place, segment after segment: images opened and checked, objects,
features, descriptions and, counted apart, keywords, checked by Great Expectations, published, and told to Dagster's
instance of the project. Processor seconds are compared, which other work hurts least; everything stays on one core, so
that either way has one worker.
"""

import io
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import click
import pyarrow.parquet as pq
import yaml
from PIL import Image

from benchmarks.crops import engine
from benchmarks.measuring import machine, print_table, rates_of, took
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
@click.option("--segments", default=1, show_default=True)
@click.option("--frames", default=20, show_default=True, help="Frames of a segment, of five pictures each.")
@click.option("--rounds", default=3, show_default=True, help="Rounds over one segment; with --stages there is one.")
@click.option("--stages", "with_stages", is_flag=True, help="Measure the whole job of the shards.")
@click.option("--world", type=click.Path(path_type=Path), help="Folder to keep the generated world in, and reuse it.")
@click.option("--models", type=click.Path(path_type=Path), default=Path(".vlmine/models"), show_default=True)
def main(segments: int, frames: int, rounds: int, models: Path, world: Path | None, *, with_stages: bool) -> None:
    """Print rates and their ratio, on one core."""
    os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = make_world(world or folder / "waymo", segments, frames)
        bench = make_project(folder, root)
        encoder = Encoder(models, threads=1)
        if with_stages:
            found, count = through_stages(bench, encoder, models)
        else:
            found, count = through_parts(bench, encoder, frames * 5, rounds)
    lines = []
    for what, rates in found.items():
        share = median(bare[1] / own[1] for bare, own in zip(next(iter(found.values())), rates, strict=True))
        lines.append([what, *(f"{median(rate[place] for rate in rates):.1f}" for place in (0, 1)), f"{share:.2f}"])
    pictures = segments * frames * 5 if with_stages else frames * 5
    print(f"{machine('onnxruntime', 'pillow', 'pyarrow')}; {count:,} objects in {pictures:,} pictures\n")
    print_table(["what", "pictures/s", "processor ms a picture", "of the bare work"], lines)


def through_parts(
    bench: Workbench, encoder: Encoder, pictures: int, rounds: int
) -> tuple[dict[str, list[tuple[float, float]]], int]:
    """Return rates of the first segment, bare and by source, crops and encoder; and its number of objects."""
    shard, limit = bench.source.shards()[0], bench.project.settings.dataset.max_pixels
    rows = publish_objects(bench, shard)
    names = [row["object_id"] for row in rows if row["outcome"] == "ok"]
    file = Path(bench.project.settings.dataset.root) / f"camera_image/{shard}.parquet"
    encoder.encode(read_bytes(bench.pictures, shard, names[:16]), max_pixels=limit)
    ways: dict[str, Callable[[], object]] = {
        "pyarrow, Pillow, onnxruntime": partial(_bare, encoder, file, rows, limit),
        "vlmine": lambda: encoder.encode(read_bytes(bench.pictures, shard, names), max_pixels=limit),
    }
    return rates_of(ways, pictures, rounds=rounds), len(names)


def through_stages(
    bench: Workbench, encoder: Encoder, models: Path
) -> tuple[dict[str, list[tuple[float, float]]], int]:
    """Return rates of every segment, bare and by the job of the shards; and the number of objects."""
    from vlmine_dagster.automation.history import open_instance
    from vlmine_dagster.automation.jobs import SHARD_JOB, build_core, units_of

    shards, limit = bench.source.shards(), bench.project.settings.dataset.max_pixels
    (Path(bench.project.folder) / ".vlmine").mkdir(exist_ok=True)
    models.mkdir(parents=True, exist_ok=True)
    (Path(bench.project.folder) / ".vlmine/models").symlink_to(models.resolve())
    job = build_core(bench.project, settings_file=bench.settings_file).get_job_def(SHARD_JOB)
    tables = [unit.key for unit in units_of(SHARD_JOB, bench.project)]
    until = 1 + next(place for place, key in enumerate(tables) if key.path[-1] == "descriptions")
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in ("bare", "to descriptions", "to keywords")}
    count = 0
    with open_instance(bench.project) as instance:
        instance.add_dynamic_partitions("shards", shards)
        for shard in shards:
            run = partial(job.execute_in_process, instance=instance, partition_key=shard)
            first = took(partial(run, asset_selection=tables[:until]))
            then = took(partial(run, asset_selection=tables[until:]))
            whole = (first[0] + then[0], first[1] + then[1])
            rows = bench.lake.read("objects", shard).to_pylist()
            file = Path(bench.project.settings.dataset.root) / f"camera_image/{shard}.parquet"
            bare = took(partial(_bare, encoder, file, rows, limit))
            pictures = bench.lake.read("images", shard, columns=("image_id",)).num_rows
            described = bench.lake.read("descriptions", shard, columns=("outcome",)).column("outcome").to_pylist()
            count += described.count("ok")
            for rates, (seconds, spent) in zip(found.values(), (bare, first, whole), strict=True):
                rates.append((pictures / seconds, spent / pictures * 1e3))
            shares = [f"{bare[1] / one[1]:.2f}" for one in (first, whole)]
            print(f"{shard}: {pictures} pictures, {described.count('ok')} objects described, {' and '.join(shares)}")
    return found, count


def _bare(encoder: Encoder, file: Path, rows: Sequence[Mapping[str, Any]], limit: int) -> None:
    """Read, decode and cut the objects of a segment, and run the engine over them."""
    engine(encoder, bare_crops(file, rows, limit))


def make_world(root: Path, segments: int, frames: int) -> Path:
    """Generate the segments in Waymo's layout, unless they are there; return the folder."""
    if not root.exists():
        write_waymo(root, drives(WorldSize(segments=segments, frames=frames), random_seed=24), random_seed=24)
    return root


def make_project(folder: Path, root: Path) -> Workbench:
    """Make a project that mines the objects of the segments."""
    dataset = {"kind": "waymo", "root": str(root.resolve())}
    content = {"name": "drive", "dataset": dataset, "unit": "object", "objects": {"from_dataset": True}}
    (folder / "vlmine.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return Workbench(settings_file=str(folder / "vlmine.yaml"))


def publish_objects(bench: Workbench, shard: str) -> list[dict[str, Any]]:
    """Publish the objects of a segment; return the rows."""
    images = inspect_shard(bench.source, shard, labels=None, max_pixels=bench.project.settings.dataset.max_pixels)
    assert bench.boxes is not None
    boxes = bench.boxes.of_images(shard, images.column("image_id").to_pylist()).rows
    rows = object_rows(images, boxes, min_size=16, context=_CONTEXT).rows
    bench.lake.publish("objects", shard, rows, inputs="")
    return rows.to_pylist()


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
