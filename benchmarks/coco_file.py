"""A COCO file of any size, generated, read into the store of a project: time and peak of memory.

    python -m benchmarks.coco_file --gb 2

Annotations come before images and categories, as some tools write them, each with a polygon of 60 points. The file is
written in one process and read in another, so that the peak is that of reading alone.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from benchmarks.measuring import machine, own_peak_mb, print_table
from vlmine_dagster.resources.boxes.files import BoxFiles
from vlmine_dagster.resources.boxes.store import BoxStore
from vlmine_dagster.resources.lake import Lake
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.settings.objects import ObjectSettings

BOXES_AN_IMAGE = 10
_POINTS = 60
_SHAPES = 1000
_BATCH = 10_000


def write_coco(file: Path, size: float) -> int:
    """Write a COCO file of so many bytes or a little more; return its annotations."""
    draw = np.random.default_rng(0)
    sides = draw.uniform(1, 300, (_SHAPES, 4)).round(2).tolist()
    outlines = draw.uniform(0, 640, (_SHAPES, 2 * _POINTS)).round(2).tolist()
    shapes = [
        json.dumps({"bbox": box, "segmentation": [line], "area": 1.5})
        for box, line in zip(sides, outlines, strict=True)
    ]
    count = 0
    with file.open("w", encoding="ascii") as out:
        out.write('{"info": {}, "annotations": [')
        while out.tell() < size:
            for number in range(count, count + _BATCH):
                comma, image = "," if number else "", number // BOXES_AN_IMAGE
                ids = f'"id": {number}, "image_id": {image}, "category_id": {number % 80}, "iscrowd": 0, '
                out.write(f"{comma}{{{ids}{shapes[number % _SHAPES][1:]}")
            count += _BATCH
        images = (_image(number) for number in range(count // BOXES_AN_IMAGE))
        out.write('], "images": [' + next(images))
        out.writelines(f",{image}" for image in images)
        categories = [{"id": number, "name": f"class {number}"} for number in range(80)]
        out.write(f'], "categories": {json.dumps(categories)}}}')
    return count


def _image(number: int) -> str:
    return json.dumps({"id": number, "file_name": f"{number:09}.jpg", "width": 640, "height": 480})


def read_coco(folder: Path) -> dict[str, float]:
    """Read the file into a store, then the boxes of a thousand images; return what it took."""
    settings = ObjectSettings(boxes=("boxes.json",))
    files = BoxFiles(settings, lambda path: str(folder / path), FingerprintCache())
    store = BoxStore(files, folder / "store", Lake(str(folder / "lake"), scratch=folder / "scratch"))
    bare = own_peak_mb()
    started, spent = time.perf_counter(), time.process_time()
    boxes = sum(store.class_counts().values())
    took, cpu = time.perf_counter() - started, time.process_time() - spent
    peak, spent = own_peak_mb(), time.process_time()
    found = store.of_images("s", [f"s/{number:09}.jpg" for number in range(1000)]).rows.num_rows
    looked_up = time.process_time() - spent
    return {"boxes": boxes, "s": took, "cpu": cpu, "before": bare, "peak": peak, "found": found, "look_cpu": looked_up}


@click.command()
@click.option("--gb", default=2.0, show_default=True, help="Size of the file.")
@click.option(
    "--read", "folder", type=click.Path(path_type=Path), help="Only read the file that is there.", hidden=True
)
def main(gb: float, folder: Path | None) -> None:
    """Print boxes, time and memory."""
    if folder is not None:
        click.echo(json.dumps(read_coco(folder)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary, "boxes.json")
        count = write_coco(file, gb * 1e9)
        command = [sys.executable, "-m", "benchmarks.coco_file", "--read", temporary]
        lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
        found = json.loads(next(line for line in lines if line.startswith("{")))
        size = file.stat().st_size
        kept = sum(one.stat().st_size for one in Path(temporary, "store").iterdir() if one.is_file())
    if (found["boxes"], found["found"]) != (count, 1000 * BOXES_AN_IMAGE):
        raise SystemExit(f"{found['boxes']:,} of {count:,} boxes were read, {found['found']:,} of them looked up")
    print(f"{machine('duckdb', 'pyarrow')}; {size / 1e9:.2f} GB, {count:,} boxes, kept as {kept / 1e6:,.0f} MB\n")
    heads = ("boxes", "CPU s", "wall s", "MB before", "peak MB", "CPU s to look up 1,000 images")
    values = (f"{count:,}", *(f"{found[name]:,.1f}" for name in ("cpu", "s", "before", "peak", "look_cpu")))
    print_table(heads, [values])


if __name__ == "__main__":
    main()
