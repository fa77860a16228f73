"""How near the tagger comes to its engine: images/s from tars to Parquet against onnxruntime on ready arrays.

    python -m benchmarks.describing --project vlmine.yaml --images 2000

Both rates are measured in one run, turn by turn, so that a noisy machine hurts both.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import click
import numpy as np

from resources.describers import DescriberInput
from resources.encoder import Encoder, prepare_pixels
from resources.intake import inspect_shard, read_bytes
from resources.ordered import core_count
from resources.workbench import Workbench

ROUNDS = 3


def bare(encoder: Encoder, pixels: np.ndarray, *, batch: int) -> float:
    """Return images/s of the engine alone, one session call a thread and core."""
    started = time.perf_counter()
    with ThreadPoolExecutor(core_count()) as pool:
        cuts = range(0, len(pixels), batch)
        list(pool.map(lambda start: encoder.session.run(None, {"pixels": pixels[start : start + batch]}), cuts))
    return len(pixels) / (time.perf_counter() - started)


@click.command()
@click.option("--project", "file", default="vlmine.yaml", show_default=True, type=click.Path(exists=True))
@click.option("--images", "count", default=2000, show_default=True)
def main(file: str, count: int) -> None:
    """Print both rates and their ratio."""
    bench = Workbench(settings_file=file)
    limit = bench.project.settings.dataset.max_pixels
    shard = bench.source.shards()[0]
    names = [r["image_id"] for r in bench.lake.read("images", shard).to_pylist() if r["outcome"] == "ok"][:count]
    data = list(islice(read_bytes(bench.source, shard, names), count))
    pixels = np.stack([prepare_pixels(content, max_pixels=limit) for _, content in data])
    encoder = bench.encoder
    encoder.encode(data[:64], max_pixels=limit)
    rates: dict[str, list[float]] = {"engine": [], "decode and engine": [], "tar to descriptions": []}
    for _ in range(ROUNDS):
        rates["engine"].append(bare(encoder, pixels, batch=bench.project.settings.encoder.batch_size))
        started = time.perf_counter()
        encoder.encode(data, max_pixels=limit)
        rates["decode and engine"].append(len(data) / (time.perf_counter() - started))
        rates["tar to descriptions"].append(len(data) / _whole(bench, shard, names))
    print("| what | images/s (median of 3) | of the engine |")
    print("| --- | ---: | ---: |")
    for name, found in rates.items():
        ratio = np.median(np.array(found) / np.array(rates["engine"]))
        print(f"| {name} | {np.median(found):.0f} | {ratio:.2f} |")


def _whole(bench: Workbench, shard: str, names: list[str]) -> float:
    """Return seconds from the tar to descriptions, with the check of every image."""
    started = time.perf_counter()
    limit = bench.project.settings.dataset.max_pixels
    inspect_shard(bench.source, shard, labels=None, max_pixels=limit)
    found = bench.encoder.encode(read_bytes(bench.source, shard, names), max_pixels=limit)
    inputs = (
        DescriberInput(name, "", tag_probabilities=row)
        for name, row in zip(found.image_ids, found.probabilities.astype(np.float32), strict=True)
    )
    assert len(list(bench.describer("default").describe(inputs))) == len(names)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
