"""What cropping costs: objects/s from scenes to features, against onnxruntime on ready arrays and on ready crops.

    python -m benchmarks.crops --scenes 60

Scenes are the sample scenes (`vlmine demo --objects`), about nine objects in each. Turn by turn in one run: the engine
alone on arrays of its input size, the encoder on crops that are there as pictures, and the encoder on crops that are
cut from their scenes, each scene decoded once. Processor seconds are compared, which other work hurts least.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import click
import numpy as np
import yaml

from benchmarks.measuring import machine, print_table, rates_of
from vlmine_dagster.resources.encoder import Encoder, prepare_pixels
from vlmine_dagster.resources.intake import inspect_shard, read_bytes
from vlmine_dagster.resources.objects import object_rows
from vlmine_dagster.resources.sample_scenes import BOX_FILE, make_sample_scenes
from vlmine_dagster.resources.workbench import Workbench


@click.command()
@click.option("--scenes", "count", default=60, show_default=True, help="Scenes, at most 120.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--models", type=click.Path(path_type=Path), default=Path(".vlmine/models"), show_default=True)
def main(count: int, rounds: int, models: Path) -> None:
    """Print rates and ratios, with one worker."""
    with tempfile.TemporaryDirectory() as folder:
        bench, names = make_project(Path(folder), count)
        shard, limit = bench.source.shards()[0], bench.project.settings.dataset.max_pixels
        encoder = Encoder(models, threads=1)
        ready = list(read_bytes(bench.pictures, shard, names))
        pixels = [prepare_pixels(data, max_pixels=limit) for _, data in ready]
        encoder.encode(ready[:32], max_pixels=limit)
        ways: dict[str, Callable[[], object]] = {
            "engine on ready arrays": lambda: engine(encoder, pixels),
            "encoder on ready crops": lambda: encoder.encode(ready, max_pixels=limit),
            "encoder on scenes": lambda: encoder.encode(read_bytes(bench.pictures, shard, names), max_pixels=limit),
        }
        found = rates_of(ways, len(ready), rounds=rounds)
    rows = []
    for name, rates in found.items():
        share = median(bare[1] / own[1] for bare, own in zip(next(iter(found.values())), rates, strict=True))
        rows.append([name, *(f"{median(rate[place] for rate in rates):.1f}" for place in (0, 1)), f"{share:.2f}"])
    print(f"{machine('onnxruntime', 'pillow')}; {len(ready)} objects in {count} scenes, medians of {rounds}\n")
    print_table(["what", "objects/s", "processor ms an object", "of the engine"], rows)


def make_project(folder: Path, count: int) -> tuple[Workbench, list[str]]:
    """Make a project of scenes whose objects are published; return it and the ids of the objects."""
    scenes = make_sample_scenes(folder / "sample")
    for place, file in enumerate(sorted((scenes / "scenes").iterdir())):
        if place >= count:
            file.unlink()
    dataset = {"kind": "folder", "root": "sample/scenes", "shard_count": 1}
    content = {"name": "scenes", "dataset": dataset, "unit": "object", "objects": {"boxes": f"sample/{BOX_FILE}"}}
    (folder / "vlmine.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    bench = Workbench(settings_file=str(folder / "vlmine.yaml"))
    shard = bench.source.shards()[0]
    images = inspect_shard(bench.source, shard, labels=None, max_pixels=bench.project.settings.dataset.max_pixels)
    assert bench.boxes is not None
    boxes = bench.boxes.of_images(shard, images.column("image_id").to_pylist()).rows
    rows = object_rows(images, boxes, min_size=16, context=0.2).rows
    bench.lake.publish("objects", shard, rows, inputs="")
    return bench, rows.column("object_id").to_pylist()


def engine(encoder: Encoder, pixels: list[np.ndarray], *, batch: int = 16) -> None:
    """Run the engine alone; arrays of a size go together."""
    for side in {len(one) for one in pixels}:
        same = np.stack([one for one in pixels if len(one) == side])
        for at in range(0, len(same), batch):
            encoder.session.run(None, {"pixels": same[at : at + batch]})


if __name__ == "__main__":
    main()
