"""Near-duplicates: precision and recall on planted ones, beside a peer, and how long many vectors take.

    cd project && vlmine run && python -m benchmarks.near_duplicates --planted 200 [--peer]
    python -m benchmarks.near_duplicates --vectors 300000

Of random photos of the pool five changed copies each are planted: cut by a tenth, coded again (JPEG 60), resized to
three quarters, a quarter brighter, mirrored. Recall is the share of them that are joined with their photo, precision
the share of joined pairs that are of one planted group. A pair of the pool's own images counts as wrong, though it may
be right.

`--peer` puts the same files before cleanvision's near-duplicates (`pip install cleanvision`, not a dependency).
`--vectors` makes a large pool of features: mixtures of two of the pool's each, a hundredth of them with a copy, which
is as far from its original as a planted one is. Recall there is against all pairs, over a sample.
"""

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from vlmine_dagster.mining.near_duplicates import candidate_pairs, pixel_pairs, same_pictures, standard_blocks
from vlmine_dagster.resources.intake import read_bytes
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.scoring.near_duplicates import PIXEL_POOL, reduced_grey
from vlmine_dagster.scoring.vectors import matrix
from vlmine_dagster.studies.reading import PoolReader

Pairs = set[tuple[int, int]]
_SAMPLE = 2000
_MAX_PIXELS = 10**8
_LEAST = 0.6


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


@dataclass(frozen=True)
class Planted:
    """A pool with copies: ids, where a copy's holds its original's and how it was changed; features; files."""

    names: list[str]
    vectors: np.ndarray
    data: Mapping[str, bytes]
    copied: int

    def origin(self, place: int) -> str:
        """Return the id of the image that a copy is of, or its own."""
        return self.names[place].partition("+")[0]


def planted_pool(bench: Workbench, count: int) -> Planted:
    """Plant copies of `count` images."""
    reader = PoolReader(bench)
    names: list[str] = []
    vectors, data = [], {}
    for shard in reader.shards:
        rows = reader.read("embeddings", ["image_id", "embedding"], partitions=[shard])
        own = rows.column(0).to_pylist()
        names += own
        vectors.append(matrix(rows, "embedding"))
        data |= dict(read_bytes(bench.encoder_inputs, shard, own))
    made = {}
    for place in np.random.default_rng(0).choice(len(names), count, replace=False):
        picture = Image.open(BytesIO(data[names[place]])).convert("RGB")
        made |= {f"{names[place]}+{way}": make(picture) for way, make in WAYS.items()}
    found = bench.encoder.encode(list(made.items()), max_pixels=_MAX_PIXELS)
    whole = np.concatenate([*vectors, found.embeddings.astype(np.float32)])
    return Planted(names + found.image_ids, whole, data | made, count)


def joined_pairs(pool: Planted, search: str) -> Pairs:
    """Join as the stage does, and say how long it takes."""
    times = [time.perf_counter()]
    pairs = {(one, other) for one, other, _ in candidate_pairs(lambda: [pool.vectors], search=search)}
    times.append(time.perf_counter())
    is_whole = len(pool.names) <= PIXEL_POOL
    wanted = list(range(len(pool.names))) if is_whole else sorted({k for pair in pairs for k in pair})
    greys = np.stack([reduced_grey(pool.data[pool.names[k]], max_pixels=_MAX_PIXELS) for k in wanted])
    times.append(time.perf_counter())
    if is_whole:
        pairs |= set(pixel_pairs(greys))
    at = {place: number for number, place in enumerate(wanted)}
    chosen = sorted(pairs)
    _, is_one = same_pictures(greys, [(at[one], at[other]) for one, other in chosen])
    times.append(time.perf_counter())
    steps = [f"{name} {end - start:.0f} s" for name, (start, end) in zip(_STEPS, pairwise(times), strict=True)]
    print(f"{len(pool.names):,} images, {len(chosen):,} candidates: {', '.join(steps)}")
    return {pair for pair, one in zip(chosen, is_one, strict=True) if one}


_STEPS = ("features", "reading pictures", "pixels")


def peer_pairs(pool: Planted) -> Pairs:
    """Join by cleanvision: each image of a set of near or exact duplicates with each other one."""
    from cleanvision import Imagelab

    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(pool.names):
            (Path(folder) / f"{number}.jpg").write_bytes(pool.data[name])
        started = time.perf_counter()
        lab = Imagelab(data_path=folder, verbose=False)
        lab.find_issues({"near_duplicates": {}, "exact_duplicates": {}}, n_jobs=1, verbose=False)
        print(f"cleanvision: {time.perf_counter() - started:.0f} s")
        pairs: Pairs = set()
        for kind in ("near_duplicates", "exact_duplicates"):
            for group in lab.info[kind]["sets"]:
                places = sorted(int(Path(file).stem) for file in group)
                pairs |= {(one, other) for k, one in enumerate(places) for other in places[k + 1 :]}
    return pairs


def report(name: str, pool: Planted, joined: Pairs) -> None:
    """Print a row: recall by change, precision, and how many pairs are none of planted ones."""
    right = sum(pool.origin(one) == pool.origin(other) for one, other in joined)
    hit = {
        pool.names[copy]
        for pair in joined
        for copy, other in (pair, pair[::-1])
        if "+" in pool.names[copy] and pool.names[other] == pool.origin(copy)
    }
    count = Counter(one.partition("+")[2] for one in hit)
    shares = " | ".join(f"{count[way] / pool.copied:.3f}" for way in WAYS)
    print(f"| {name} | {shares} | {right / max(len(joined), 1):.3f} | {len(joined) - right} |")


def large_pool(pool: Planted, size: int) -> tuple[np.ndarray, Pairs]:
    """Return made-up features, mixtures of two of the pool's, and pairs as far apart as planted copies are."""
    rng = np.random.default_rng(1)
    own = [k for k, name in enumerate(pool.names) if "+" not in name]
    at = {name: k for k, name in enumerate(pool.names)}
    copies = [k for k, name in enumerate(pool.names) if "+" in name]
    steps = pool.vectors[copies] - pool.vectors[[at[pool.origin(k)] for k in copies]]
    made = np.empty((size, pool.vectors.shape[1]), np.float16)
    for start in range(0, size, 10_000):
        count = min(10_000, size - start)
        one, other = rng.choice(own, (2, count))
        share = rng.uniform(0.2, 0.8, (count, 1)).astype(np.float32)
        made[start : start + count] = share * pool.vectors[one] + (1 - share) * pool.vectors[other]
    moved = rng.choice(size, size // 50, replace=False)
    first, second = np.array_split(moved, 2)
    first = first[: len(second)]
    made[second] = made[first] + steps[rng.integers(0, len(steps), len(second))]
    return made, {(min(pair), max(pair)) for pair in zip(first.tolist(), second.tolist(), strict=True)}


def measure_vectors(pool: Planted, size: int) -> None:
    """Print what candidates among many vectors take, and the share of all pairs that they hold."""
    made, copies = large_pool(pool, size)

    def blocks() -> Iterator[np.ndarray]:
        return iter([made[start : start + 20_000] for start in range(0, size, 20_000)])

    clock, started = time.process_time(), time.perf_counter()
    found = {(one, other) for one, other, _ in candidate_pairs(blocks, search="index")}
    print(f"{size:,} vectors: {time.process_time() - clock:.0f} CPU s, {time.perf_counter() - started:.0f} s, ", end="")
    standard = standard_blocks(blocks)
    pairs = np.array(sorted(copies))
    cosines = (_rows(standard, pairs[:, 0]) * _rows(standard, pairs[:, 1])).sum(axis=1)
    copied = [tuple(pair) for pair in pairs[cosines >= _LEAST].tolist()]
    share = sum(pair in found for pair in copied) / max(len(copied), 1)
    print(f"{len(found):,} candidates, {share:.3f} of {len(copied):,} copies with a cosine of {_LEAST}; ", end="")
    sample = np.random.default_rng(2).choice(size, min(_SAMPLE, size), replace=False)
    near = _nearest(standard, sample)
    exact = {(min(one, other), max(one, other)) for one, other in near}
    print(f"{len(exact & found) / max(len(exact), 1):.3f} of the {len(exact):,} pairs that a sample's 8 nearest make")


def _nearest(blocks: Callable[[], Iterator[np.ndarray]], sample: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield the 8 nearest of each of a sample, among all, of at least the least cosine."""
    asked = _rows(blocks, sample)
    best = np.full((len(sample), 9), -1.0, np.float32)
    places = np.zeros((len(sample), 9), np.int64)
    start = 0
    for block in blocks():
        cosines = np.hstack([best, asked @ block.T])
        at = np.hstack([places, np.broadcast_to(np.arange(start, start + len(block)), (len(sample), len(block)))])
        order = np.argpartition(-cosines, 8, axis=1)[:, :9]
        best, places = np.take_along_axis(cosines, order, axis=1), np.take_along_axis(at, order, axis=1)
        start += len(block)
    for row, column in zip(*np.nonzero(best >= _LEAST), strict=True):
        if places[row, column] != sample[row]:
            yield int(sample[row]), int(places[row, column])


def _rows(blocks: Callable[[], Iterator[np.ndarray]], wanted: np.ndarray) -> np.ndarray:
    order = np.argsort(wanted)
    rows: list[np.ndarray] = []
    start = 0
    for block in blocks():
        inside = wanted[order][(wanted[order] >= start) & (wanted[order] < start + len(block))]
        rows.append(block[inside - start])
        start += len(block)
    found = np.empty((len(wanted), rows[0].shape[1]), np.float32)
    found[order] = np.concatenate(rows)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, default=Path("vlmine.yaml"))
    parser.add_argument("--planted", type=int, default=200)
    parser.add_argument("--search", default="auto")
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--vectors", type=int)
    given = parser.parse_args()
    os.environ["VLMINE_PROJECT"] = str(given.project)
    pool = planted_pool(Workbench(), given.planted)
    if given.vectors is not None:
        measure_vectors(pool, given.vectors)
        return
    joined = joined_pairs(pool, given.search)
    print(f"| | {' | '.join(WAYS)} | precision | pairs of the pool's own images |")
    report("vlmine", pool, joined)
    if given.peer:
        report("cleanvision", pool, peer_pairs(pool))


if __name__ == "__main__":
    main()
