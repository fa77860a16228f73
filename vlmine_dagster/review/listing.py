"""A mined list as the page asks for it: filtered, sorted, a screenful at a time."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vlmine_dagster.domain.errors import ConfigError, ContractError
from vlmine_dagster.domain.items import ITEMS, OBJECT
from vlmine_dagster.domain.signals import SIGNALS
from vlmine_dagster.reporting.telling import telling

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from vlmine_dagster.resources.lake import Lake
    from vlmine_dagster.resources.workbench import Workbench

MOST_ITEMS = 100_000
"""Items of a list that the page holds: the first ones. A person sees a few thousand a day."""

MOST_JUNK = 10_000
"""Items of the junk lane that the page holds besides."""

LANES = {"list": "junk IS NULL", "junk": "junk IS NOT NULL", "all": "true"}
"""What the page may show: the list, its junk lane, or both; each as SQL."""

_KEPT_VIEWS = 64
_MOST_WORDS = 500
_OPTIONAL = {
    "descriptions": ("description",),
    "novelty_scores": ("rarest_keyword", "min_count"),
    "uncertainty_scores": ("predicted_label",),
    "rarity_scores": ("rare_class",),
}
"""Columns that a page shows where the tables are there; null where they are not."""
_ITEM = ("width", "height", "sha256", "label", "sequence_id", "frame_index", "timestamp_s")
_BOX = ("x", "y", "width", "height")
_SCENE = ("width", "height", "sha256")


@dataclass(frozen=True)
class Filter:
    """What of a list is shown, and in which order.

    Attributes:
        text: Part of an id, a description, a reason or a keyword, in any case; empty: all.
        keyword: Only items with this keyword.
        class_name: Only items of which the model, the list or the labels name this class.
        front: Only this front; 0: all.
        slice_name: Only items of this slice.
        signal: Only items whose value of this signal lies within `low` and `high`.
        low: Smallest value.
        high: Largest value.
        moment: Only the items that are skipped in favour of this one.
        is_selected: Whether to show those alone that the budget reaches.
        sort: `rank` or a signal.
        is_descending: Whether the highest values come first.
        lane: One of `LANES`.
        among: Only these positions, best sorted already; None: all.
    """

    text: str = ""
    keyword: str = ""
    class_name: str = ""
    front: int = 0
    slice_name: str = ""
    signal: str = ""
    low: float | None = None
    high: float | None = None
    moment: str = ""
    is_selected: bool = False
    sort: str = "rank"
    is_descending: bool = False
    lane: str = "all"
    among: tuple[int, ...] | None = None


@dataclass
class View:
    """Positions of a list that pass a filter, in its order.

    Attributes:
        name: What the page calls it.
        positions: Shape (N,), int64.
    """

    name: str
    positions: "npt.NDArray[np.int64]"


@dataclass
class Listing:
    """The first items of an experiment's list, in memory.

    A position is an item's place in the list, from 0; it stays while the list does.

    Attributes:
        experiment: Whose list.
        rows: One row per item, best first, with all that the page shows of it.
        keywords: Position and keyword, one row per pair.
        signals: The list's signals.
        unit: "image" or "object".
        digest: Changes when the experiment is mined again.
        total: Items of the whole list, those not loaded too.
    """

    experiment: str
    rows: "pa.Table"
    keywords: "pa.Table"
    signals: tuple[str, ...]
    unit: str
    digest: str
    total: int
    _views: "OrderedDict[str, View]" = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def count(self) -> int:
        """Items that are loaded."""
        return int(self.rows.num_rows)

    @cached_property
    def places(self) -> dict[str, int]:
        """Position by id."""
        return {name: place for place, name in enumerate(self.rows.column("image_id").to_pylist())}

    def image_id(self, position: int) -> str:
        """Return the id of an item.

        Raises:
            ContractError: the list has no such position.
        """
        return str(self.row(position)["image_id"])

    def row(self, position: int) -> dict[str, Any]:
        """Return the row of an item."""
        if not 0 <= position < self.count:
            raise ContractError(f"review: position {position} of a list of {self.count}. Load the page again.")
        found: dict[str, Any] = self.rows.slice(position, 1).to_pylist()[0]
        return found

    def view(self, chosen: Filter) -> View:
        """Return the positions that pass a filter; the same one again without looking."""
        name = hashlib.sha256(repr(chosen).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        with self._lock:
            if name not in self._views:
                self._views[name] = View(name, self._positions(chosen))
                while len(self._views) > _KEPT_VIEWS:
                    self._views.popitem(last=False)
            self._views.move_to_end(name)
            return self._views[name]

    def seen(self, name: str) -> View | None:
        """Return a view that was asked for before, None where it was forgotten."""
        with self._lock:
            return self._views.get(name)

    def _positions(self, chosen: Filter) -> "npt.NDArray[np.int64]":
        import numpy as np

        wheres, values = self._conditions(chosen)
        where = " AND ".join(["true", *wheres])
        with self._connect() as connection:
            if chosen.among is not None:
                import pyarrow as pa

                connection.register("among", pa.table({"position": pa.array(chosen.among, pa.int64())}))
            query = f"SELECT position FROM list WHERE {where} ORDER BY {self._order(chosen)}"  # noqa: S608 - our own names
            found = connection.sql(query, params=values).fetchnumpy()["position"]
        return np.asarray(found, dtype=np.int64)

    def _conditions(self, chosen: Filter) -> tuple[list[str], dict[str, Any]]:
        """Return what must hold, as SQL, and the values that it names."""
        wheres: list[str] = []
        values: dict[str, Any] = {}
        if chosen.text:
            places = ("image_id", "description", "reason", "rarest_keyword")
            any_place = " OR ".join(f"contains(lower({name}), lower($text))" for name in places)
            words = "SELECT position FROM words WHERE contains(lower(keyword), lower($text))"
            wheres.append(f"({any_place} OR position IN ({words}))")
            values["text"] = chosen.text
        if chosen.keyword:
            wheres.append("position IN (SELECT position FROM words WHERE keyword = $keyword)")
            values["keyword"] = chosen.keyword
        if chosen.class_name:
            wheres.append("$class IN (predicted_label, rare_class, label)")
            values["class"] = chosen.class_name
        if chosen.front:
            wheres.append("front = $front")
            values["front"] = chosen.front
        if chosen.slice_name:
            wheres.append("slice = $slice")
            values["slice"] = chosen.slice_name
        if chosen.signal:
            name = self._signal(chosen.signal)
            for bound, sign in (("low", ">="), ("high", "<=")):
                if (value := getattr(chosen, bound)) is not None:
                    wheres.append(f'"{name}" {sign} ${bound}')
                    values[bound] = value
        if chosen.moment:
            wheres.append("listed_instead = $moment")
            values["moment"] = chosen.moment
        wheres += ["selected"] if chosen.is_selected and chosen.lane != "junk" else []
        wheres.append(self._lane(chosen.lane))
        wheres += ["position IN (SELECT position FROM among)"] if chosen.among is not None else []
        return wheres, values

    def _order(self, chosen: Filter) -> str:
        if chosen.sort == "rank":
            return f"position {'DESC' if chosen.is_descending else 'ASC'}"
        way = "DESC" if chosen.is_descending else "ASC"
        return f'"{self._signal(chosen.sort)}" {way} NULLS LAST, position'

    @staticmethod
    def _lane(name: str) -> str:
        if name not in LANES:
            raise ConfigError(f"review: no lane {name!r}. There are: {', '.join(LANES)}.")
        return LANES[name]

    def _signal(self, name: str) -> str:
        if name not in self.signals:
            raise ConfigError(f"{self.experiment} has no signal {name!r}. It has {', '.join(self.signals)}.")
        return name

    def _connect(self) -> "duckdb.DuckDBPyConnection":
        import duckdb

        connection = duckdb.connect()
        connection.register("list", self.rows)
        connection.register("words", self.keywords)
        return connection

    def common_words(self) -> list[tuple[str, int]]:
        """Return the keywords of most items of the list, with how many have each."""
        with self._connect() as connection:
            return connection.sql(
                f"SELECT keyword, count(*) FROM words GROUP BY keyword ORDER BY 2 DESC, 1 LIMIT {_MOST_WORDS}"  # noqa: S608
            ).fetchall()

    def classes(self) -> list[str]:
        """Return the classes that the model, the list or the labels name."""
        with self._connect() as connection:
            rows = connection.sql(
                """SELECT DISTINCT name FROM (SELECT unnest([predicted_label, rare_class, label]) AS name FROM list)
                   WHERE name IS NOT NULL ORDER BY name"""
            ).fetchall()
        return [row[0] for row in rows]

    def slices(self) -> list[tuple[str, int]]:
        """Return the slices of the list with how many of its items belong to each, by name; none without slices."""
        with self._connect() as connection:
            return connection.sql(
                "SELECT slice, count(*) FROM list WHERE slice IS NOT NULL GROUP BY slice ORDER BY slice"
            ).fetchall()

    def words_of(self, positions: Sequence[int]) -> dict[int, list[str]]:
        """Return the keywords of some items, by position."""
        import pyarrow as pa

        found: dict[int, list[str]] = {position: [] for position in positions}
        with self._connect() as connection:
            connection.register("wanted", pa.table({"position": pa.array(list(positions), pa.int64())}))
            rows = connection.sql(
                "SELECT position, keyword FROM words SEMI JOIN wanted USING (position) ORDER BY position, keyword"
            ).fetchall()
        for position, keyword in rows:
            found[position].append(keyword)
        return found


def load_listing(bench: "Workbench", experiment: str, *, most: int = MOST_ITEMS) -> Listing:
    """Read the first items of an experiment's list with all that is known of them.

    Args:
        bench: The project's resources.
        experiment: Name of the experiment.
        most: Items to load.

    Raises:
        ConfigError: there is no such experiment.
        MissingInputError: it was not run yet.
    """
    experiments = bench.project.settings.experiments
    if experiment not in experiments:
        raise ConfigError(f"there is no experiment {experiment!r}. There are: {', '.join(experiments)}")
    lake, variant = bench.lake, experiments[experiment].variant
    tables = {"pareto_set": lake.require("pareto_set", [experiment])}
    tables |= {table: lake.require(table, lake.partitions(table)) for table in _item_tables(bench)}
    extra = _there(lake, variant)
    with lake.connect(**tables, **{name: files for name, (files, _) in extra.items()}) as connection:
        names = connection.sql("FROM pareto_set").columns
        total = connection.sql("SELECT count(*) FROM pareto_set").fetchall()[0][0]
        rows = connection.sql(
            _query(names, bench, [name for name in extra if name != "keywords"], most)
        ).to_arrow_table()
        words = _words(connection, rows, has_keywords="keywords" in extra)
    signals = telling(rows, [name for name in names if name in SIGNALS])
    unit = bench.project.settings.unit
    return Listing(experiment, rows, words, signals, unit, digest_of(lake, experiment), total)


def digest_of(lake: "Lake", experiment: str) -> str:
    """Return 16 hex digits that change when an experiment's list does, nothing where it was not mined."""
    stamp = lake.stamp("pareto_set", experiment)
    return "" if stamp is None else stamp.version()


def _item_tables(bench: "Workbench") -> tuple[str, ...]:
    return (ITEMS, "images") if bench.project.settings.items is OBJECT else (ITEMS,)


def _there(lake: "Lake", variant: str) -> dict[str, tuple[Any, str]]:
    """Return the files of the tables that add to a list, of those that are there."""
    found: dict[str, tuple[Any, str]] = {}
    for table in (*_OPTIONAL, "keywords"):
        for kept in dict.fromkeys((variant, "default")):
            if partitions := lake.partitions(table, variant=kept):
                found[table] = lake.require(table, partitions, variant=kept), kept
                break
    return found


def _query(names: Sequence[str], bench: "Workbench", tables: Sequence[str], most: int) -> str:
    is_object = bench.project.settings.items is OBJECT
    added = [
        f"{table}.{name}" if table in tables else f"NULL::VARCHAR AS {name}"
        for table, columns in _OPTIONAL.items()
        for name in columns
    ]
    own = [f"items.{name}" for name in (*_ITEM, *(("x", "y", "parent_id") if is_object else ()))]
    own += [f"scenes.{name} AS scene_{name}" for name in _SCENE] if is_object else []
    scenes = "JOIN images scenes ON scenes.image_id = items.parent_id" if is_object else ""
    ranks = [f'rank() OVER (ORDER BY pareto_set."{name}" DESC) AS "{name}_rank"' for name in names if name in SIGNALS]
    text = "NULL::VARCHAR"
    missing = {"more_frames": "0", "listed_instead": text, "junk": text, "slice": text}  # older files lack them
    old = [f"{value} AS {name}" for name, value in missing.items() if name not in names]
    joins = " ".join(f"LEFT JOIN {table} USING (image_id)" for table in tables)
    return f"""
        WITH ranked AS (SELECT pareto_set.*, {", ".join([*ranks, *old, "1"])} AS one FROM pareto_set)
        SELECT row_number() OVER (ORDER BY ranked.rank) - 1 AS position, ranked.* EXCLUDE (one),
               {", ".join([*own, *added])}
        FROM ranked JOIN items USING (image_id) {joins} {scenes}
        WHERE ranked.rank <= {most}
           OR ranked.rank < (SELECT min(rank) FROM ranked WHERE junk IS NOT NULL) + {MOST_JUNK} AND junk IS NOT NULL
        ORDER BY ranked.rank
    """  # noqa: S608 - our own names


def _words(connection: "duckdb.DuckDBPyConnection", rows: "pa.Table", *, has_keywords: bool) -> "pa.Table":
    import pyarrow as pa

    if not has_keywords:
        return pa.table({"position": pa.array([], pa.int64()), "keyword": pa.array([], pa.string())})
    connection.register("list", rows.select(["position", "image_id"]))
    return connection.sql("SELECT position, keyword FROM keywords JOIN list USING (image_id)").to_arrow_table()


def shown(row: Mapping[str, Any], signals: Sequence[str], keywords: Sequence[str]) -> dict[str, Any]:
    """Return what the page shows of an item."""
    box = {name: row[name] for name in _BOX} if "parent_id" in row and row["x"] is not None else None
    return {
        "position": row["position"],
        "image_id": row["image_id"],
        "image": row.get("parent_id"),
        "rank": row["rank"],
        "front": row["front"],
        "selected": row["selected"],
        "reason": row["reason"],
        "description": row["description"],
        "keywords": list(keywords),
        "keyword": row["rarest_keyword"],
        "keyword_count": row["min_count"],
        "predicted": row["predicted_label"],
        "rare_class": row["rare_class"],
        "label": row["label"],
        "width": row["width"],
        "height": row["height"],
        "box": box,
        "scene_width": row.get("scene_width"),
        "scene_height": row.get("scene_height"),
        "sequence": row["sequence_id"],
        "frame": row["frame_index"],
        "time_s": row["timestamp_s"],
        "more_frames": row["more_frames"],
        "instead_of": row["listed_instead"],
        "junk": row["junk"],
        "slice": row["slice"],
        "picture": row["sha256"][:12],
        "signals": [{"name": name, "value": row[name], "rank": row[f"{name}_rank"]} for name in signals],
    }
