"""Near-duplicates: precision and recall on planted ones, and how long a pool takes with its embeddings at hand.

    cd project && vlmine run && python -m benchmarks.near_duplicates --planted 500

Of random photos of the pool five changed copies each are planted: cut by a tenth, coded again (JPEG 60), resized to
three quarters, a quarter brighter, mirrored. Recall is the share of them that are joined with their photo, precision
the share of joined pairs that are of one planted group. A pair of the pool's own images counts as wrong, though it may
be right.
"""

import argparse
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from vlmine_dagster.mining.near_duplicates import LEAST_CORRELATION, SIDE, candidate_pairs, same_picture
from vlmine_dagster.resources.intake import read_bytes
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.scoring.vectors import matrix
from vlmine_dagster.studies.reading import PoolReader


def _coded(picture: Image.Image, quality: int = 90) -> bytes:
    out = BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def _cut(picture: Image.Image) -> Image.Image:
    wide, high = picture.size
    left, top = round(wide / 20), round(high / 20)
    return picture.crop((left, top, wide - left, high - top))


WAYS: Mapping[str, Callable[[Image.Image], bytes]] = {
    "cut by a tenth": lambda picture: _coded(_cut(picture)),
    "coded again": lambda picture: _coded(picture, 60),
    "resized": lambda picture: _coded(picture.resize((picture.width * 3 // 4, picture.height * 3 // 4))),
    "brighter": lambda picture: _coded(ImageEnhance.Brightness(picture).enhance(1.25)),
    "mirrored": lambda picture: _coded(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
}


def _grey(data: bytes) -> np.ndarray:
    picture = Image.open(BytesIO(data)).convert("RGB").convert("L")
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.float32)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, default=Path("vlmine.yaml"))
    parser.add_argument("--planted", type=int, default=500)
    parser.add_argument("--search", default="auto")
    given = parser.parse_args()
    os.environ["VLMINE_PROJECT"] = str(given.project)
    bench = Workbench()
    reader = PoolReader(bench)
    names: list[str] = []
    vectors = []
    for shard in reader.shards:
        rows = reader.read("embeddings", ["image_id", "embedding"], partitions=[shard])
        names += rows.column(0).to_pylist()
        vectors.append(matrix(rows, "embedding"))
    data: dict[str, bytes] = {}
    for shard in reader.shards:
        data |= dict(read_bytes(bench.encoder_inputs, shard, [one for one in names if one.startswith(f"{shard}/")]))
    chosen = np.random.default_rng(0).choice(len(names), given.planted, replace=False)
    planted: dict[str, tuple[str, str]] = {}
    for place in chosen:
        picture = Image.open(BytesIO(data[names[place]])).convert("RGB")
        for way, make in WAYS.items():
            planted[f"{names[place]}+{way}"] = (names[place], way)
            data[f"{names[place]}+{way}"] = make(picture)
    found = bench.encoder.encode([(one, data[one]) for one in planted], max_pixels=10**8)
    names, vectors = names + found.image_ids, [*vectors, found.embeddings.astype(np.float32)]
    started = time.perf_counter()
    pairs = list(candidate_pairs(lambda: vectors, search=given.search))
    middle = time.perf_counter()
    greys: dict[str, np.ndarray] = {}
    joined = []
    for one, other, _ in pairs:
        for place in (one, other):
            greys.setdefault(names[place], _grey(data[names[place]]))
        if same_picture(greys[names[one]], greys[names[other]]) >= LEAST_CORRELATION:
            joined.append((names[one], names[other]))
    ended = time.perf_counter()
    origin = {name: planted.get(name, (name, ""))[0] for name in names}
    right = [pair for pair in joined if origin[pair[0]] == origin[pair[1]]]
    hit = {
        max(pair, key=len) for pair in joined if set(pair) & planted.keys() and min(pair, key=len) == origin[pair[1]]
    }
    told = Counter(planted[one][1] for one in hit)
    print(f"{len(names):,} images, {len(pairs):,} candidates ({middle - started:.0f} s), ", end="")
    print(f"{len(joined):,} pairs joined ({ended - middle:.0f} s), precision {len(right) / max(len(joined), 1):.3f}")
    for way in WAYS:
        print(f"| {way} | {told[way] / given.planted:.3f} |")


if __name__ == "__main__":
    main()
