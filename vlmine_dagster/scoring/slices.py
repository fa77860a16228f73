"""Slices of the pool: to which one each item belongs, floors for a list, and rarity within a slice."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.domain.counting import CountedUnit
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.hints import did_you_mean
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.outcomes import Split
from vlmine_dagster.mining.novelty import novelty_from_count
from vlmine_dagster.mining.selection import Ranking
from vlmine_dagster.mining.slices import NONE_OF_THEM, NOT_KNOWN, binned, refuse_many, with_floors
from vlmine_dagster.resources.sources import shard_of
from vlmine_dagster.scoring.labelled import labelled_images
from vlmine_dagster.scoring.moments import part_of
from vlmine_dagster.scoring.pool import image_ids
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.scoring.vocabulary import counted_words
from vlmine_dagster.settings.slices import BY_SHARD

if TYPE_CHECKING:
    from vlmine_dagster.settings import ExperimentSettings
    from vlmine_dagster.settings.slices import SliceSettings

_KEYWORDS = """
SELECT image_id, min(place) AS place FROM keywords LEFT JOIN chosen USING (keyword) GROUP BY image_id
"""
_COUNTS = """
SELECT keyword, slice, sum(CASE WHEN unit IS NULL THEN images ELSE 1 END)::BIGINT AS unit_count
FROM (SELECT keyword, slice, {unit} AS unit, count(*) AS images
      FROM {words} JOIN sliced USING (image_id) JOIN items USING (image_id) GROUP BY ALL)
GROUP BY ALL
"""
_POOLED = """
SELECT place, min(unit_count) AS min_count, avg(unit_count) AS mean_count,
       arg_min(keyword, (unit_count, keyword)) AS rarest_keyword
FROM (SELECT place, keyword, coalesce(unit_count, 1) AS unit_count
      FROM keywords JOIN pool USING (image_id) JOIN sliced USING (image_id) LEFT JOIN counts USING (keyword, slice))
GROUP BY place
"""


@dataclass(frozen=True, eq=False)
class Slices:
    """The slices of some items.

    Attributes:
        names: Names of the slices, in alphabetical order; what is not known comes last.
        codes: Shape (N,), int64, the slice of each item.
    """

    names: Sequence[str]
    codes: npt.NDArray[np.int64]

    def of(self, places: npt.NDArray[np.int64]) -> pa.Array:
        """Return the names of the slices of some items."""
        return pa.array(self.names, pa.string()).take(pa.array(self.codes[places]))


def slices_of(reader: Reader, slicing: "SliceSettings", image_ids: Sequence[str]) -> Slices:
    """Return the slices of items.

    Args:
        reader: Reads `attributes` (image_id, attributes), or `keywords` (image_id, keyword) where these make slices.
        slicing: What makes them.
        image_ids: N ids.

    Raises:
        ConfigError: nothing makes slices of the pool, or far too many.
    """
    if slicing.by == BY_SHARD:
        known = frozenset(reader.shards)
        return _coded([shard_of(name, known) for name in image_ids])
    table = _by_keywords(reader, slicing.keywords) if slicing.reads_keywords else _by_column(reader, slicing)
    found = dict(zip(table.column("image_id").to_pylist(), table.column("slice").to_pylist(), strict=True))
    return _coded([found.get(name, NOT_KNOWN) for name in image_ids])


def judged_slices(reader: Reader, image_ids: Sequence[str]) -> dict[str, str]:
    """Return the slice of images of the pool and of all test images, by id; nothing where there are no slices.

    Args:
        reader: Reads what `slices_of` reads, and `items` (image_id, label, split, outcome).
        image_ids: Images of the pool.
    """
    slicing = reader.project.settings.slices_of(reader.partition)
    if slicing is None:
        return {}
    names = [*image_ids, *labelled_images(reader, Split.TEST)]
    slices = slices_of(reader, slicing, names)
    return {name: slices.names[code] for name, code in zip(names, slices.codes.tolist(), strict=True)}


def _coded(slices: Sequence[str]) -> Slices:
    names = sorted(set(slices), key=lambda name: (name in (NOT_KNOWN, NONE_OF_THEM), name))
    places = {name: place for place, name in enumerate(names)}
    return Slices(names, np.array([places[name] for name in slices], dtype=np.int64))


def _by_column(reader: Reader, slicing: "SliceSettings") -> pa.Table:
    """Return `image_id` and `slice` of all items that have a value."""
    known: set[str] = set()
    ids: list[str] = []
    values: list[str | None] = []
    for name, found in _attributes(reader):
        known.update(found)
        if slicing.by in found:
            ids.append(name)
            values.append(_text(found[slicing.by])[: slicing.characters])
    if not ids:
        raise ConfigError(f"slices.by: no image has a column {slicing.by!r}{did_you_mean(slicing.by, known)}")
    if slicing.bins:
        values = binned(values, slicing.bins, column=slicing.by)
    refuse_many(sorted({value for value in values if value is not None}), column=slicing.by)
    return pa.table({"image_id": pa.array(ids, pa.string()), "slice": pa.array(values, pa.string())})


def _attributes(reader: Reader) -> Iterator[tuple[str, Mapping[str, object]]]:
    rows = reader.read("attributes", ["image_id", "attributes"])
    for batch in rows.to_batches():
        for name, text in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
            if text:
                yield name, json.loads(text)


def _text(value: object) -> str:
    """Return a value as the name of a slice: yes and no as JSON has them, whole numbers without a fraction.

    Examples:
        >>> _text("fog"), _text(True), _text(3.0), _text(0.5)
        ('fog', 'true', '3', '0.5')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _by_keywords(reader: Reader, keywords: Sequence[str]) -> pa.Table:
    """Return `image_id` and `slice` of all items with keywords: the first of the list that each has."""
    with reader.connect("keywords") as connection:
        chosen = {"keyword": pa.array(keywords, pa.string()), "place": pa.array(range(len(keywords)), pa.int64())}
        connection.register("chosen", pa.table(chosen))
        rows = connection.sql(_KEYWORDS).to_arrow_table()
        absent = [
            name
            for (name,) in connection.sql("SELECT keyword FROM chosen ANTI JOIN keywords USING (keyword)").fetchall()
        ]
        if absent:
            words = [row[0] for row in connection.sql("SELECT DISTINCT keyword FROM keywords").fetchall()]
            raise ConfigError(
                f"slices.keywords: no image has the keyword {absent[0]!r}{did_you_mean(absent[0], words)}"
            )
    names = pa.array([*keywords, NONE_OF_THEM], pa.string())
    places = pc.fill_null(rows.column("place"), len(keywords))
    return pa.table({"image_id": rows.column("image_id"), "slice": names.take(places)})


@dataclass(frozen=True)
class SlicedList:
    """What slices add to a list.

    Attributes:
        slices: The slice of each image of the pool; None where there are none.
        lifted: What reasons say of images that are selected for a floor alone, by place in the pool.
        within: What every reason says where keywords are counted within slices.
    """

    slices: Slices | None = None
    lifted: Mapping[int, str] = field(default_factory=dict)
    within: str = ""

    def names_of(self, places: npt.NDArray[np.int64]) -> pa.Array:
        """Return the names of the slices of some images; null where there are none."""
        return pa.nulls(len(places), pa.string()) if self.slices is None else self.slices.of(places)


def counted_within(reader: Reader, experiment: "ExperimentSettings", pool: pa.Table) -> pa.Table:
    """Return the pool; where its experiment counts keywords within slices, with the columns of novelty made so."""
    slicing = reader.project.settings.slices_of(reader.partition)
    if slicing is None or not slicing.within or not experiment.counts_keywords:
        return pool
    return novelty_within(reader, slicing, pool, reader.project.settings.counted)


def split_budget(
    reader: Reader, experiment: "ExperimentSettings", ranking: Ranking, pool: pa.Table, count: int
) -> tuple[Ranking, SlicedList]:
    """Return a ranking in which each slice has its floor, and what slices add to the list.

    Args:
        reader: Reads what `slices_of` reads.
        experiment: The experiment.
        ranking: The list.
        pool: `image_id` of the images that the ranking's places mean.
        count: Images that the budget reaches.
    """
    slicing = reader.project.settings.slices_of(reader.partition)
    if slicing is None:
        return ranking, SlicedList()
    slices = slices_of(reader, slicing, list(image_ids(pool)))
    within = f" · counted within its {slicing.by}" if slicing.within and experiment.counts_keywords else ""
    if not slicing.has_floor:
        return ranking, SlicedList(slices, within=within)
    moved, lifted = floored(ranking, slices, slicing, count=count)
    return moved, SlicedList(slices, lifted, within)


def floored(
    ranking: Ranking, slices: Slices, slicing: "SliceSettings", *, count: int
) -> tuple[Ranking, Mapping[int, str]]:
    """Return a ranking in which each slice has its floor, and what reasons say of whom that lifted, by place.

    Args:
        ranking: The list.
        slices: The slice of each image of the pool.
        slicing: The floors.
        count: Images that the budget reaches.

    Raises:
        ConfigError: the floors need more, or name a slice that is not there.
    """
    codes = slices.codes[ranking.order]
    order, is_lifted = with_floors(codes, slices.names, count=count, floors=slicing.floors)
    moved = part_of(ranking, order)
    lifted = moved.order[is_lifted].tolist()
    return moved, {
        place: f" · for the floor of {slicing.by} {name}"
        for place, name in zip(lifted, slices.of(np.array(lifted, dtype=np.int64)).to_pylist(), strict=True)
    }


def novelty_within(reader: Reader, slicing: "SliceSettings", pool: pa.Table, unit: CountedUnit) -> pa.Table:
    """Return the pool with the columns of `novelty_scores` made anew: keywords count within the slice of each image.

    Args:
        reader: Reads `keywords` (image_id, keyword), `keyword_answers` (image_id, outcome), `items` (image_id, sha256,
            split, outcome and the columns of the unit), and what `slices_of` reads.
        slicing: The slices.
        pool: `image_id` and columns of `novelty_scores`, of N images.
        unit: What counts once per keyword.
    """
    with reader.connect("keywords", "keyword_answers", ITEMS) as connection:
        names = [row[0] for row in connection.sql("SELECT image_id FROM items").fetchall()]
        found = slices_of(reader, slicing, names)
        connection.register("sliced", pa.table({"image_id": pa.array(names, pa.string()), "slice": found.codes}))
        words, _, _ = counted_words(reader, connection)
        counts = connection.sql(_COUNTS.format(words=words, unit=unit.key_in("items"))).to_arrow_table()
        connection.register("counts", counts)
        connection.register("pool", pool.select(["image_id"]).append_column("place", pa.array(range(pool.num_rows))))
        pooled = connection.sql(_POOLED).to_arrow_table()
    return _replaced(pool, pooled)


def _replaced(pool: pa.Table, pooled: pa.Table) -> pa.Table:
    """Return the pool with the columns that were pooled; null where an image has no keywords."""
    row_of = np.full(pool.num_rows, -1, dtype=np.int64)
    row_of[np.asarray(pooled.column("place"))] = np.arange(pooled.num_rows)
    rows = pa.array(row_of, mask=row_of < 0)
    made = {
        **{name: pooled.column(name) for name in ("min_count", "mean_count", "rarest_keyword")},
        "novelty_min": pa.array(novelty_from_count(pooled.column("min_count"))),
        "novelty_mean": pa.array(novelty_from_count(pooled.column("mean_count"))),
    }
    for name, values in made.items():
        if name in pool.column_names:
            pool = pool.set_column(pool.schema.get_field_index(name), name, values.take(rows))
    return pool
