"""How near the tagger comes to its engine: images/s from tars to Parquet against onnxruntime on ready arrays.

    python -m benchmarks.describing --project vlmine.yaml --images 2000

Both rates are measured in one run, turn by turn, so that a noisy machine hurts both.
"""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import click
import numpy as np

from assets.descriptions import description_row
from assets.embeddings import embedding_rows
from resources.describers import DescriberInput, Tagger
from resources.encoder import Encoder, prepare_pixels
from resources.intake import inspect_shard, read_bytes
from resources.lake import Lake
from resources.ordered import core_count
from resources.rows import RowBuffer
from resources.workbench import Workbench
from vlmine_dagster.project import TaggerSettings
from vlmine_dagster.tables import DESCRIPTIONS

ROUNDS = 5
DECODED = "decode to published descriptions"
WHOLE = "the same, every image opened and checked before"


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
    rates: dict[str, list[float]] = {"engine": [], "decode and engine": [], DECODED: [], WHOLE: []}
    for _ in range(ROUNDS):
        rates["engine"].append(bare(encoder, pixels, batch=bench.project.settings.encoder.batch_size))
        started = time.perf_counter()
        encoder.encode(data, max_pixels=limit)
        rates["decode and engine"].append(len(data) / (time.perf_counter() - started))
        for name, is_checked in ((DECODED, False), (WHOLE, True)):
            rates[name].append(len(data) / _published(bench, shard, names, is_checked=is_checked))
    print(f"{core_count()} cores, {len(data)} images\n")
    print("| what | images/s (median of 5) | of the engine |")
    print("| --- | ---: | ---: |")
    for name, found in rates.items():
        ratio = np.median(np.array(found) / np.array(rates["engine"]))
        print(f"| {name} | {np.median(found):.0f} | {ratio:.2f} |")


def _published(bench: Workbench, shard: str, names: list[str], *, is_checked: bool) -> float:
    """Return seconds from the tar to published Parquet, with or without the check of every image before."""
    limit = bench.project.settings.dataset.max_pixels
    describer = Tagger(bench.encoder, TaggerSettings())
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(folder)
        started = time.perf_counter()
        if is_checked:
            rows = inspect_shard(bench.source, shard, labels=None, max_pixels=limit)
            lake.publish("images", shard, rows, inputs="")
        found = bench.encoder.encode(read_bytes(bench.source, shard, names), max_pixels=limit)
        lake.publish("embeddings", shard, embedding_rows(found), inputs="")
        seen = dict(zip(found.image_ids, found.probabilities.astype(np.float32), strict=True))
        rows = RowBuffer(DESCRIPTIONS.schema)
        wanted, fingerprint = dict.fromkeys(names, ""), describer.fingerprint
        for answer in describer.describe(
            wanted, lambda ids: (DescriberInput(i, tag_probabilities=seen[i]) for i in ids)
        ):
            rows.add(description_row(answer, fingerprint))
        lake.publish("descriptions", shard, rows.table(), inputs="")
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
