"""The rows of `list_changes`: which images entered a mined list since the last one, which left it, and why."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from vlmine_dagster.domain.changes import ENTERED, LEFT, Cause
from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.signals import SIGNALS
from vlmine_dagster.domain.tables import LIST_CHANGES
from vlmine_dagster.domain.verdicts import Verdict
from vlmine_dagster.mining.judging import standing_verdicts
from vlmine_dagster.mining.list_changes import Comparison, Standing, why_entered, why_left
from vlmine_dagster.resources.sources import shard_of
from vlmine_dagster.scoring.grounding import denied_images
from vlmine_dagster.scoring.ranking import MinedList
from vlmine_dagster.scoring.reading import Reader

if TYPE_CHECKING:
    import duckdb

_CHANGED = """
SELECT image_id, coalesce(now.selected, false) AS is_selected
FROM (SELECT image_id, selected FROM before WHERE selected) before
FULL JOIN (SELECT image_id, selected FROM now WHERE selected) now USING (image_id)
WHERE before.selected IS NULL OR now.selected IS NULL
"""
# ids are joined once and not carried along: sorting 10 million of them in several orders would take gigabytes
_OF_BOTH = """
SELECT image_id, placed.* FROM (
    SELECT now_rank, {places}
    FROM (SELECT now.rank AS now_rank, before.rank AS before_rank{signals} FROM before JOIN now USING (image_id))
) placed JOIN now ON now.rank = now_rank SEMI JOIN changed USING (image_id)
"""


class Last(Protocol):
    """What was published last of a partition (`engine.stage_run.Previous`)."""

    @property
    def read(self) -> Any:
        """Returns its rows."""
        ...

    @property
    def inputs(self) -> str:
        """Hash of all that went into it."""
        ...

    @property
    def connect(self) -> Any:
        """Opens DuckDB with a view `before` of its rows."""
        ...


@dataclass(frozen=True)
class ListChanges:
    """What changed in a mined list.

    Attributes:
        rows: Rows of `list_changes`: those that entered by rank, then those that left by their last rank.
        is_first: Whether there was no list before.
    """

    rows: pa.Table
    is_first: bool

    @property
    def counts(self) -> dict[str, int]:
        """How many images entered and left; nothing where there was no list before."""
        changes = self.rows.column("change").to_pylist()
        return {} if self.is_first else {name: changes.count(name) for name in ("entered", "left")}


def list_changes(reader: Reader, found: MinedList, last: Last | None, last_changes: Last | None) -> ListChanges:
    """Compare a list with the one before it.

    A list that selects the same images is no other list: what was said of it still holds, so a run that is killed
    and repeated, or that had to be made again for another reason, loses no change.

    Args:
        reader: Reads `items` (image_id, split, outcome), `verdicts` where the list learns from them, and
            `grounded_keywords` (image_id, is_confirmed) where keywords are confirmed.
        found: The list.
        last: The `pareto_set` that it replaces; None: there is none.
        last_changes: The `list_changes` that it replaces.
    """
    if last is None:
        return ListChanges(LIST_CHANGES.schema.empty_table(), is_first=True)
    with last.connect() as connection:
        rows = _compared(reader, found, connection)
    # those of another list are of a run that was killed before it published its list
    if not rows and last_changes is not None and last_changes.inputs == last.inputs:
        return ListChanges(last_changes.read(), is_first=False)
    rows.sort(key=lambda row: (row["change"], row["rank"] if row["change"] == "entered" else row["rank_before"]))
    return ListChanges(pa.Table.from_pylist(rows, LIST_CHANGES.schema), is_first=False)


def _compared(reader: Reader, found: MinedList, connection: "duckdb.DuckDBPyConnection") -> list[dict[str, Any]]:
    connection.register("now", found.rows)
    connection.execute(f"CREATE TEMP TABLE changed AS {_CHANGED}")
    changed: dict[str, bool] = dict(connection.sql("SELECT image_id, is_selected FROM changed").fetchall())
    if not changed:
        return []
    signals = [[name for name in connection.sql(f"FROM {one}").columns if name in SIGNALS] for one in ("before", "now")]
    shared = [name for name in signals[1] if name in signals[0]]
    places = _places(connection, shared)
    before, now = (_standings(connection, one, shared, places) for one in ("before", "now"))
    selected_before = connection.sql("SELECT count(*) FROM before WHERE selected").fetchall()[0][0]
    denied = denied_images(reader)
    lists = Comparison(
        selected_before,
        found.selected_count,
        has_same_signals=set(signals[0]) == set(signals[1]),
        has_verdicts=reader.needs("verdicts"),
        has_denied=bool(denied),
        counted=reader.project.settings.counted,
        noun=reader.project.settings.unit,
    )
    entered = [name for name, is_selected in changed.items() if is_selected]
    left = [name for name, is_selected in changed.items() if not is_selected]
    old = _old_shards(connection, entered, reader.shards)
    states, verdicts = _states(reader, left), _verdicts(reader)
    rows = []
    for name in entered:
        shard = shard_of(name, frozenset(reader.shards))
        why = why_entered(before.get(name), now[name], lists, shard=shard, is_shard_new=shard not in old)
        rows.append(_row(name, "entered", why, before.get(name), now[name]))
    for name in left:
        split, outcome = states.get(name, (None, None))
        verdict = verdicts.get(name)
        facts: dict[str, Any] = {"split": split, "outcome": outcome, "verdict": verdict, "is_denied": name in denied}
        why = why_left(before[name], now.get(name), lists, **facts)
        rows.append(_row(name, "left", why, before[name], now.get(name)))
    return rows


def _row(
    name: str, change: str, why: tuple[Cause, str], before: Standing | None, now: Standing | None
) -> dict[str, Any]:
    return {
        "image_id": name,
        "change": change,
        "cause": why[0].value,
        "why": why[1],
        "rank": None if now is None else now.rank,
        "rank_before": None if before is None else before.rank,
    }


def _places(connection: "duckdb.DuckDBPyConnection", signals: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return the ranks of changed images among those that are in both lists, by image and name of the rank."""
    both = [(which, name) for which in ("before", "now") for name in signals]
    columns = [f"row_number() OVER (ORDER BY {which}_rank) AS {which}_place" for which in ("before", "now")]
    columns += [f'rank() OVER (ORDER BY "{which} {name}" DESC) AS "{which} {name}"' for which, name in both]
    columns += [f'count(*) OVER (PARTITION BY "{which} {name}") AS "{which} {name} ties"' for which, name in both]
    values = "".join(f', {which}."{name}" AS "{which} {name}"' for which, name in both)
    query = _OF_BOTH.format(places=", ".join(columns), signals=values)
    rows = connection.sql(query).to_arrow_table().to_pylist()
    return {row.pop("image_id"): row for row in rows}


def _standings(
    connection: "duckdb.DuckDBPyConnection", which: str, signals: Sequence[str], places: Mapping[str, Mapping[str, int]]
) -> dict[str, Standing]:
    """Return where the changed images are in a list, by id; those that are not in it are left out."""
    columns = connection.sql(f"FROM {which}").columns
    names = ["image_id", "rank", *(one for one in ("junk", "listed_instead") if one in columns), *signals]
    chosen = ", ".join(f'"{name}"' for name in names)
    rows = connection.sql(f"SELECT {chosen} FROM {which} SEMI JOIN changed USING (image_id)").to_arrow_table()  # noqa: S608
    found = {}
    for row in rows.to_pylist():
        at = places.get(row["image_id"], {})
        found[row["image_id"]] = Standing(
            row["rank"],
            at.get(f"{which}_place"),
            {name: row[name] for name in signals},
            {name: at[f"{which} {name}"] for name in signals if at},
            {name: at[f"{which} {name} ties"] for name in signals if at},
            row.get("junk"),
            row.get("listed_instead"),
        )
    return found


def _old_shards(connection: "duckdb.DuckDBPyConnection", entered: Iterable[str], shards: Sequence[str]) -> set[str]:
    """Return those shards of entered images of which the last list held an image."""
    all_shards = frozenset(shards)
    found = set()
    for shard in {shard_of(name, all_shards) for name in entered}:
        query = "SELECT count(*) > 0 FROM (SELECT 1 FROM before WHERE starts_with(image_id, $shard) LIMIT 1)"
        if connection.sql(query, params={"shard": f"{shard}/"}).fetchall()[0][0]:
            found.add(shard)
    return found


def _states(reader: Reader, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return split and outcome of some items; those that the data set no longer holds are left out."""
    if not names:
        return {}
    with reader.connect(ITEMS) as connection:
        connection.register("wanted", pa.table({"image_id": pa.array(names, pa.string())}))
        rows = connection.sql("SELECT image_id, split, outcome FROM items SEMI JOIN wanted USING (image_id)").fetchall()
    return {name: (split, outcome) for name, split, outcome in rows}


def _verdicts(reader: Reader) -> dict[str, Verdict]:
    if not reader.needs("verdicts"):
        return {}
    rows = reader.read("verdicts", ["image_id", "reviewer", "verdict"]).to_pylist()
    return standing_verdicts((row["image_id"], row["reviewer"], Verdict(row["verdict"])) for row in rows)


def changes_text(rows: pa.Table, *, noun: str = "image") -> str:
    """Return what changed in a list, in a sentence; "" where nothing did.

    Args:
        rows: Columns `change` and `cause`.
        noun: What one row is about.

    Examples:
        >>> changes = [("entered", "new")] * 12 + [("entered", "signal")] + [("left", "labelled")]
        >>> rows = pa.table({"change": [change for change, _ in changes], "cause": [cause for _, cause in changes]})
        >>> changes_text(rows)
        'Since the last list 13 images entered (12 new, 1 risen by a signal) and 1 left (1 labelled now)'
    """
    pairs = list(zip(rows.column("change").to_pylist(), rows.column("cause").to_pylist(), strict=True))
    if not pairs:
        return ""
    parts = []
    for change, phrases in (("entered", ENTERED), ("left", LEFT)):
        causes = Counter(Cause(cause) for kind, cause in pairs if kind == change)
        total = sum(causes.values())
        reasons = ", ".join(f"{count:,} {phrases[cause]}" for cause, count in causes.most_common())
        what = counted(total, noun) if change == "entered" else f"{total:,}"
        parts.append(f"{what} {change}" + (f" ({reasons})" if reasons else ""))
    return f"Since the last list {' and '.join(parts)}"
