"""A lake of any size without images: what `keywords` and `uncertainty_scores` would have published, stamps and all.

Keywords follow a 1/x law: of V words, word r is drawn with a probability near 1 / (r ln V), ten times an image, repeats
left out and drawn again until the image has ten. With objects, the items are objects in a tenth as many images.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import yaml

from vlmine_dagster.domain.tables import TABLES
from vlmine_dagster.resources.lake import Lake
from vlmine_dagster.resources.ordered import core_count
from vlmine_dagster.resources.workbench import Workbench

KEYWORDS_AN_IMAGE = 10
_DRAWS = 32  # of which an image's first ten different words count; fewer than one image in a million has less
_INPUTS = "synthetic"


@dataclass(frozen=True)
class LakeSize:
    """How much to make.

    Attributes:
        images: Images or objects in all, spread evenly over the shards.
        shards: Files a table.
        vocabulary: Words to draw from.
        objects_an_image: So many of them are objects of one image each; 0 where the items are images.
    """

    images: int
    shards: int
    vocabulary: int
    objects_an_image: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the shards."""
        return tuple(f"pool/{number:05d}" for number in range(self.shards))


def make_lake(folder: Path, size: LakeSize) -> Workbench:
    """Write `vlmine.yaml` and publish every table up to keywords, and uncertainty; return the workbench."""
    settings: dict[str, Any] = {
        "name": "synthetic",
        "dataset": {"kind": "folder", "root": "."},
        "task_model": {"kind": "predictions", "path": "predictions.parquet"},
        "experiments": {
            "novelty_min": {"signals": ["novelty_min"]},
            "pareto": {"signals": ["novelty_min", "entropy"]},
        },
        "budget": 0.01,
        "junk": "keep",  # there are no pictures to judge
    }
    if size.objects_an_image:
        settings |= {"unit": "object", "objects": {"boxes": "boxes.json"}}
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "vlmine.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    bench = Workbench(settings_file=str(file))
    with ThreadPoolExecutor(core_count()) as pool:
        list(pool.map(lambda number: _publish(bench.lake, size, number), range(size.shards)))
    return bench


def _publish(lake: Lake, size: LakeSize, number: int) -> None:
    for table, rows in _tables(size, number):
        lake.publish(table, size.names[number], _filled(table, rows), inputs=_INPUTS)


def _filled(table: str, rows: pa.Table) -> pa.Table:
    """Return the rows with nulls in the columns that nobody asked for."""
    for column in TABLES[table].columns:
        if column.name not in rows.column_names:
            rows = rows.append_column(column.name, pa.nulls(rows.num_rows, column.type))
    return rows


def _tables(size: LakeSize, number: int) -> Iterator[tuple[str, pa.Table]]:
    first, last = (size.images * k // size.shards for k in (number, number + 1))
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(f"SELECT setseed({(number + 1) / (size.shards + 1)})")
        several = size.objects_an_image
        of_image = f"lpad((i // {max(several, 1)})::VARCHAR, 8, '0') || '.jpg'"
        of_object = f" || '#' || (i % {several} + 1)" if several else ""
        connection.execute(
            f"CREATE TABLE pool AS SELECT i, '{size.names[number]}/' || {of_image} AS parent_id, "  # noqa: S608 - our own
            f"parent_id{of_object} AS image_id FROM range({first}, {last}) AS t(i)"
        )
        connection.register("drawn", _drawn(last - first, size.vocabulary, first=first, seed=number))
        for table, query in (_QUERIES | (_OF_OBJECTS if several else {})).items():
            yield table, connection.sql(query).to_arrow_table()


def _drawn(images: int, vocabulary: int, *, first: int, seed: int) -> pa.Table:
    """Return the words of some images: columns `i` and `word`, the first different ones of an image's draws."""
    random = np.random.default_rng(seed).random((images, _DRAWS), dtype=np.float32)
    words = np.exp(random * np.float32(np.log(vocabulary))).astype(np.int64)
    keys = words * _DRAWS + np.arange(_DRAWS)
    keys.sort(axis=1)
    words, draws = keys // _DRAWS, keys % _DRAWS
    draws[:, 1:][words[:, 1:] == words[:, :-1]] = _DRAWS  # drawn before: comes last
    kept = np.argsort(draws, axis=1)[:, :KEYWORDS_AN_IMAGE]
    is_new = np.take_along_axis(draws, kept, axis=1) < _DRAWS
    places = np.repeat(np.arange(first, first + images), KEYWORDS_AN_IMAGE).reshape(images, -1)
    return pa.table({"i": places[is_new], "word": np.take_along_axis(words, kept, axis=1)[is_new]})


_QUERIES = {
    "images": """SELECT image_id, image_id AS uri, sha256(image_id) AS sha256, 64::INT AS width, 48::INT AS height,
                        2000 + (random() * 1000)::BIGINT AS n_bytes, NULL::VARCHAR AS sequence_id,
                        NULL::BIGINT AS frame_index, NULL::DOUBLE AS timestamp_s, NULL::VARCHAR AS label,
                        'pool' AS split, 'ok' AS outcome, NULL::VARCHAR AS failure
                 FROM pool ORDER BY image_id""",
    "descriptions": """SELECT image_id, 'a photo' AS description,
                              NULL::STRUCT(tag VARCHAR, probability FLOAT)[] AS tags, 'ok' AS outcome,
                              NULL::VARCHAR AS failure, 0::INT AS prompt_tokens, 0::INT AS output_tokens,
                              0::FLOAT AS latency_s, 0::DOUBLE AS cost_usd, FALSE AS is_estimated,
                              'synthetic' AS variant_hash
                       FROM pool ORDER BY image_id""",
    "keywords": """SELECT image_id, 'word' || word AS keyword, 'synthetic' AS variant_hash
                   FROM pool JOIN drawn USING (i) ORDER BY image_id, keyword""",
    "keyword_answers": """SELECT image_id, 'ok' AS outcome, NULL::VARCHAR AS failure, 0::INT AS prompt_tokens,
                                 0::INT AS output_tokens, 0::FLOAT AS latency_s, 0::DOUBLE AS cost_usd,
                                 FALSE AS is_estimated, 'synthetic' AS variant_hash
                          FROM pool ORDER BY image_id""",
    "uncertainty_scores": """SELECT image_id, -ln(random()) AS entropy, random() * 0.9 AS variation_ratio,
                                    random() AS margin, 'class ' || (random() * 200)::INT AS predicted_label
                             FROM pool ORDER BY image_id""",
}
_OF_OBJECTS = {
    "images": _QUERIES["images"].replace("FROM pool", "FROM (SELECT DISTINCT parent_id AS image_id FROM pool)"),
    "objects": """SELECT image_id AS object_id, parent_id AS image_id,
                         2.0 AS x, 3.0 AS y, 20.0 AS width, 30.0 AS height,
                         'class ' || (random() * 200)::INT AS class_name, random() AS score,
                         NULL::VARCHAR AS track_id, 'boxes.json' AS origin, sha256(image_id) AS sha256,
                         'pool' AS split, 'ok' AS outcome
                  FROM pool ORDER BY object_id""",
}
assert set(_QUERIES | _OF_OBJECTS) <= set(TABLES)
