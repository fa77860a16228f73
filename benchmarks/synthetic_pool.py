"""A pool of any size without its pixels: tables with real stamps, so that vlmine takes all of it for fresh.

Every shard is a tar with one small photo; its rows, as many as wanted, are made up and published by the lake itself.
Keywords follow a 1/x law. What is new can be real: `add_photos` writes a shard that all stages work on.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from PIL import Image

from benchmarks.tars import write_tar
from vlmine_dagster.assets import GRAPH
from vlmine_dagster.describing.providers import describer_of, keyworder_of
from vlmine_dagster.domain.tables import TABLES
from vlmine_dagster.engine.freshness import Freshness
from vlmine_dagster.engine.stage import Part, Stage
from vlmine_dagster.resources.workbench import Workbench
from vlmine_dagster.settings import DEFAULT_VARIANT, settings_hash

KEYWORDS_AN_IMAGE = 10
VOCABULARY = 50_000
CLASSES = tuple(f"class_{k}" for k in range(10))
_PUBLISHED = tuple(GRAPH.stage_of(table) for table in ("images", "embeddings", "descriptions", "keywords"))


@dataclass(frozen=True)
class SyntheticPool:
    """A project in a folder.

    Attributes:
        folder: Holds `vlmine.yaml`, the tars and the home.
        shard_count: Shards made so far, those of `add_photos` aside.
        images_a_shard: Rows of each.
    """

    folder: Path
    shard_count: int
    images_a_shard: int

    @property
    def file(self) -> Path:
        """`vlmine.yaml`."""
        return self.folder / "vlmine.yaml"

    @property
    def bench(self) -> Workbench:
        """A workbench that has looked at nothing yet."""
        return Workbench(settings_file=str(self.file))

    def make(self) -> None:
        """Write the project and publish every shard up to its keywords; nothing is done where that was done before."""
        done = self.folder / "made"
        if done.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_settings()
        for number in range(self.shard_count):
            write_tar(self._tar(number), {f"{number}.jpg": photo(number)})
        self._write_predictions(range(self.shard_count))
        self.publish(range(self.shard_count))
        done.touch()

    def add_rows(self) -> "SyntheticPool":
        """Add one more shard that is published up to its keywords; return the pool with it."""
        number = self.shard_count
        write_tar(self._tar(number), {f"{number}.jpg": photo(number)})
        self._write_predictions(range(number + 1))
        self.publish([number])
        return SyntheticPool(self.folder, number + 1, self.images_a_shard)

    def add_photos(self, count: int) -> "SyntheticPool":
        """Add one more shard of real photos, of which nothing is made yet; return the pool with it."""
        number = self.shard_count
        write_tar(self._tar(number), {f"{key(place)}.jpg": photo(place) for place in range(count)})
        self._write_predictions(range(number + 1))
        return SyntheticPool(self.folder, number + 1, self.images_a_shard)

    def publish(self, numbers: Any) -> None:
        """Publish shards stage by stage, each with the stamp that it would have had."""
        bench = self.bench
        shards = bench.source.shards()
        for stage in _PUBLISHED:
            freshness = Freshness(GRAPH, bench, shards)
            for number in numbers:
                shard = shard_name(number)
                inputs = freshness.inputs(stage, Part(bench.project, shard))
                assert inputs is not None
                for table in stage.tables:
                    rows = self._rows(table, shard, bench, stage)
                    bench.lake.publish(table, shard, rows, inputs=inputs)

    def _rows(self, table: str, shard: str, bench: Workbench, stage: Stage) -> pa.Table:
        count, number = self.images_a_shard, int(shard.rpartition("-")[2])
        names = pa.array([f"{shard}/{key(place)}" for place in range(count)])
        if table == "images":
            return _filled(table, count, image_id=names, uri=names, sha256=names, split="pool", outcome="ok", n_bytes=1)
        if table == "embeddings":
            return TABLES[table].schema.empty_table()  # nobody reads it here, and a million would be 4.6 GB
        facts = {"prompt_tokens": 0, "output_tokens": 0, "latency_s": 0.0, "cost_usd": 0.0, "is_estimated": False}
        digest = _variant_hash(table, bench)
        if table in ("descriptions", "keyword_answers"):
            return _filled(table, count, image_id=names, outcome="ok", variant_hash=digest, **facts)
        return _keyword_rows(names, number).append_column("variant_hash", pa.repeat(digest, count * KEYWORDS_AN_IMAGE))

    def _write_settings(self) -> None:
        settings = {
            "name": "synthetic",
            "dataset": {"kind": "webdataset", "root": "data"},
            "task_model": {"kind": "predictions", "path": "predictions.parquet"},
            "experiments": {"pareto": {"signals": ["novelty_min", "entropy"]}},
            "budget": 0.01,
        }
        self.file.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")

    def _write_predictions(self, numbers: Any) -> None:
        import pyarrow.parquet as pq

        draw = np.random.default_rng(len(numbers))
        names = [f"{shard_name(number)}/{key(place)}" for number in numbers for place in range(self.images_a_shard)]
        odds = draw.gamma(0.3, size=(len(names), len(CLASSES))).astype(np.float32) + 1e-6
        odds /= odds.sum(axis=1, keepdims=True)
        columns = {name: odds[:, place] for place, name in enumerate(CLASSES)}
        pq.write_table(pa.table({"image_id": names, **columns}), self.folder / "predictions.parquet")

    def _tar(self, number: int) -> Path:
        return self.folder / "data" / f"{shard_name(number)}.tar"


def shard_name(number: int) -> str:
    """Return the name of a shard."""
    return f"shard-{number:05d}"


def key(place: int) -> str:
    """Return the key of an image within its shard."""
    return f"{place:07d}"


def photo(number: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """Return a real photo as JPEG: a crop of one that scikit-image brings along, in a size (width, height)."""
    import skimage.data

    names = ("coffee", "chelsea", "rocket", "astronaut", "brick")
    picture = Image.fromarray(getattr(skimage.data, names[number % len(names)])()).convert("RGB")
    draw = np.random.default_rng(number)
    scale = min(picture.width / size[0], picture.height / size[1]) * draw.uniform(0.6, 1)
    width, height = size[0] * scale, size[1] * scale
    left, top = draw.uniform(0, picture.width - width), draw.uniform(0, picture.height - height)
    file = io.BytesIO()
    cut = picture.resize(size, Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))
    cut.save(file, "JPEG", quality=90)
    return file.getvalue()


def _variant_hash(table: str, bench: Workbench) -> str:
    """Return the hash that the stages would write, so that a shard of real photos is not of another variant."""
    described = describer_of(bench, DEFAULT_VARIANT).fingerprint
    if table == "descriptions":
        return described
    return settings_hash([described], keyworder_of(bench, DEFAULT_VARIANT).fingerprint)


def _keyword_rows(names: pa.Array, seed: int) -> pa.Table:
    """Draw keywords by a 1/x law, each once an image."""
    draw = np.random.default_rng(seed)
    shape = (len(names), KEYWORDS_AN_IMAGE)
    words = np.sort(np.exp(draw.random(shape) * np.log(VOCABULARY)).astype(np.int64), axis=1)
    repeats = np.zeros(shape, bool)
    repeats[:, 1:] = words[:, 1:] == words[:, :-1]
    words[repeats] = VOCABULARY + np.arange(words.size).reshape(shape)[repeats] % VOCABULARY  # else no row would go
    flat = words.reshape(-1)
    places = np.repeat(np.arange(len(names)), KEYWORDS_AN_IMAGE)
    text = pa.array(np.char.add("word", flat.astype(str)).tolist())
    return pa.table({"image_id": names.take(pa.array(places)), "keyword": text})


def _filled(table: str, count: int, **values: Any) -> pa.Table:
    """Return rows of a table: arrays as they are, single values in every row, the rest null."""
    columns = {}
    for column in TABLES[table].columns:
        value = values.get(column.name)
        is_array = isinstance(value, pa.Array)
        columns[column.name] = value if is_array else pa.repeat(pa.scalar(value, column.type), count)
    return pa.table(columns)
