"""Compare two homes table by table: what a change of the code must leave as it is.

    python -m benchmarks.compare_homes BEFORE/.vlmine AFTER/.vlmine

Rows are compared by the key of their table, whatever their order. Columns that tell time, place or wording are left
out. The exit status is 0 if all others are equal.
"""

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pyarrow.parquet as pq

from vlmine_dagster.domain.tables import TABLES

LEFT_OUT = {"latency_s", "path", "reason", "uri", "variant_hash"}
LEFT_OUT_OF = {"mining_report": {"sha256"}, "task_model": {"sha256"}}
_SHOWN = 2


def differences(before: Path, after: Path) -> Iterator[str]:
    """Yield in words what differs between two homes, file by file.

    Args:
        before: A home, the folder that holds `lake`.
        after: The other.
    """
    files = [
        {path.relative_to(home / "lake") for path in (home / "lake").rglob("*.parquet")} for home in (before, after)
    ]
    for missing, where in ((files[0] - files[1], "first"), (files[1] - files[0], "second")):
        yield from (f"{file}: only in the {where}" for file in sorted(missing))
    for file in sorted(files[0] & files[1]):
        for text in _differing(_table(file), *(_columns(home / "lake" / file) for home in (before, after))):
            yield f"{file}: {text}"


@click.command(help=__doc__)
@click.argument("before", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("after", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(before: Path, after: Path) -> None:
    """Print what differs."""
    found = list(differences(before, after))
    count = len(list((before / "lake").rglob("*.parquet")))
    click.echo("\n".join([*found, f"{count} files compared, {len(found)} differences"]))
    sys.exit(bool(found))


def _differing(table: str, before: dict[str, list[Any]], after: dict[str, list[Any]]) -> Iterator[str]:
    for name in sorted(before.keys() ^ after.keys()):
        yield f"the column {name} is only in the {'first' if name in before else 'second'}"
    key = [name for name in (TABLES[table].key if table in TABLES else ()) if name in before and name in after]
    counts = [len(next(iter(columns.values()), [])) for columns in (before, after)]
    if counts[0] != counts[1]:
        yield f"{counts[0]} rows and {counts[1]}"
        return
    orders = [_order(columns, key, counts[0]) for columns in (before, after)]
    left_out = LEFT_OUT | LEFT_OUT_OF.get(table, set())
    for name in (name for name in before if name in after and name not in left_out):
        values = [
            [columns[name][place] for place in order] for columns, order in zip((before, after), orders, strict=True)
        ]
        unlike = [pair for pair in zip(*values, strict=True) if not _is_same(*pair)]
        if unlike:
            yield f"{name} differs in {len(unlike)} of {counts[0]} rows, such as {unlike[:_SHOWN]}"


def _order(columns: dict[str, list[Any]], key: list[str], count: int) -> list[int]:
    return sorted(range(count), key=lambda place: tuple(str(columns[name][place]) for name in key))


def _is_same(one: Any, other: Any) -> bool:
    are_nan = all(isinstance(value, float) and math.isnan(value) for value in (one, other))
    return bool(one == other or are_nan)


def _table(file: Path) -> str:
    return file.parts[0] if file.parts[0] in TABLES else file.parts[1]


def _columns(file: Path) -> dict[str, list[Any]]:
    return dict(pq.ParquetFile(file).read().to_pydict())


if __name__ == "__main__":
    main()
