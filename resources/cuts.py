"""Rows of many shards, cut by shard."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def by_shard(rows: "pa.Table", shards: Sequence[str]) -> "dict[str, pa.Table]":
    """Cut rows by shard, those of a shard in the order of their ids.

    In that order the rows of a shard lie together, but for those of shards that lie inside it, so a few ids are looked
    at and not all.

    Args:
        rows: Rows with an `image_id`; sorted by it where they are not yet.
        shards: Names of shards. Rows of none of them are left out.

    Examples:
        >>> import pyarrow as pa
        >>> rows = pa.table({"image_id": ["a/1", "a/b/2", "a/c", "d/4"]})
        >>> {name: part.column("image_id").to_pylist() for name, part in by_shard(rows, ["a/b", "a"]).items()}
        {'a': ['a/1', 'a/c'], 'a/b': ['a/b/2']}
    """
    import pyarrow as pa

    rows = _in_order(rows)
    ids = rows.column("image_id")
    names = sorted(f"{shard}/" for shard in shards)
    spans = [tuple(_place(ids, edge) for edge in (name, _end(name))) for name in names]
    parts = {}
    for number, (name, (start, stop)) in enumerate(zip(names, spans, strict=True)):
        pieces, place = [], start
        for inner_start, inner_stop in spans[number + 1 : bisect_left(names, _end(name))]:
            pieces.append(rows.slice(place, max(inner_start - place, 0)))
            place = max(place, inner_stop)
        parts[name[:-1]] = pa.concat_tables([*pieces, rows.slice(place, stop - place)])
    return parts


def _in_order(rows: "pa.Table") -> "pa.Table":
    import pyarrow.compute as pc

    ids = rows.column("image_id")
    is_sorted = pc.all(pc.less_equal(ids.slice(0, max(len(ids) - 1, 0)), ids.slice(1))).as_py()
    return rows if is_sorted else rows.sort_by("image_id")


def _place(ids: "pa.ChunkedArray", edge: str) -> int:
    """Return the first place whose id is not before an edge."""
    return bisect_left(range(len(ids)), edge, key=lambda place: str(ids[place].as_py()))


def _end(prefix: str) -> str:
    """Return the least text after all that starts with a prefix."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
