"""`vlmine export`: a mined list as a file for labelling tools, and the pictures themselves beside it."""

import csv
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from vlmine_dagster.cli.mined import experiment_of, mined, shown_experiment
from vlmine_dagster.cli.session import open_bench
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.domain.files import replacing

if TYPE_CHECKING:
    from vlmine_dagster.resources.workbench import Workbench

FORMATS = {".csv": "csv", ".parquet": "parquet", ".json": "label-studio"}
"""Format by the ending of the file."""

_COLUMNS = (
    ("rank", "int64"),
    ("image_id", "string"),
    ("shard", "string"),
    ("path", "string"),
    ("reason", "string"),
)
_ROWS_AT_ONCE = 10_000

Row = Mapping[str, Any]


@click.command()
@click.option("--experiment", help="Whose list; by default that of `vlmine top`.")
@click.option("-n", "count", type=click.IntRange(min=1), help="Images to write; by default what the budget selects.")
@click.option("--budget", type=float, help="Share of the list (up to 1) or number of images, in place of its own.")
@click.option("--to", "file", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
@click.option("--format", "format_name", type=click.Choice(["csv", "parquet", "label-studio"]), help="By the ending.")
@click.option("--images", type=click.Path(file_okay=False, path_type=Path), help="Copy the pictures into this folder.")
def export(
    *,
    experiment: str | None,
    count: int | None,
    budget: float | None,
    file: Path,
    format_name: str | None,
    images: Path | None,
) -> None:
    """Write a mined list for a labelling tool: CSV, Parquet, or tasks of Label Studio (.json); and the pictures."""
    if count is not None and budget is not None:
        raise click.UsageError("give -n or --budget, not both")
    bench = open_bench()
    name = experiment or shown_experiment(bench)
    made = export_list(bench, name, file, format_name=format_name, count=count, budget=budget, images=images)
    click.echo(f"{file}: {made.row_count:,} images of {name}{f', their pictures in {images}' if images else ''}.")
    if made.served is not None:
        click.echo(f"Label Studio must serve {made.served} (docs/operations.md: Labels come back).")
    click.echo("Next: vlmine labels import LABELLED_FILE")


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        row_count: Images in the file.
        served: Folder that Label Studio must serve to find the pictures of its tasks; None for other formats, and where
            the pictures lie behind a URL.
    """

    row_count: int
    served: Path | None = None


def export_list(
    bench: "Workbench",
    experiment: str,
    file: Path,
    *,
    format_name: str | None = None,
    count: int | None = None,
    budget: float | None = None,
    images: Path | None = None,
) -> Exported:
    """Write the first images of an experiment to a file, and copy their pictures if asked to.

    A row holds rank, image_id, shard, path, reason and the signals. The path is the copied picture; without copies it
    is where the bytes lie, `archive#member` or `table#row` inside a file. The file appears whole or not at all.

    Args:
        bench: The project's resources.
        experiment: Whose list.
        file: Where to; another file there is replaced.
        format_name: csv, parquet or label-studio; by the ending of the file if None.
        count: Images to write; None writes those that a budget selects.
        budget: Share of the list or number of images, in place of the experiment's own budget.
        images: Folder for copies of the pictures, as shard/key; None copies none.

    Raises:
        ConfigError: there is no such experiment, the format is unknown, Label Studio could not open the pictures where
            they lie, or the file or folder cannot be written.
        MissingInputError: the experiment was not run yet, or an image is gone from the dataset.
    """
    from vlmine_dagster.mining.selection import budget_count

    signals = experiment_of(bench, experiment).signals
    name = _format(file, format_name)
    served = _served(bench, images) if name == "label-studio" else None
    if budget is not None:
        count = budget_count(budget, bench.lake.read("pareto_set", experiment, columns=["rank"]).num_rows)
    copies = {} if images is None else _copies(bench, mined(bench, experiment, count), images)
    rows = _rows(bench, mined(bench, experiment, count), copies, signals)
    columns = (*(column for column, _ in _COLUMNS), *signals)
    with _replaced(file) as beside:
        if name == "label-studio":
            return Exported(_write_tasks(rows, beside, served), served)
        return Exported((_write_csv if name == "csv" else _write_parquet)(rows, beside, columns))


def _format(file: Path, name: str | None) -> str:
    found = name or FORMATS.get(file.suffix.lower())
    if found is None:
        raise ConfigError(f"{file}: the ending says no format. End it in {', '.join(FORMATS)}, or pass --format.")
    return found


def _served(bench: "Workbench", images: Path | None) -> Path | None:
    """Return the folder above the pictures: Label Studio opens what lies in a folder below the one that it serves."""
    dataset = bench.project.settings.dataset
    if images is not None:
        return images.resolve().parent
    if dataset.kind != "folder":
        raise ConfigError(
            f"Label Studio opens files, and the pictures of this dataset lie inside others ({dataset.kind}). Pass "
            f"--images FOLDER: they are copied there, and the tasks point to the copies."
        )
    root = bench.project.resolve(dataset.root)
    return None if "://" in root else Path(root).resolve().parent


def _rows(bench: "Workbench", found: Iterable[Row], copies: Mapping[str, str], signals: Sequence[str]) -> Iterator[Row]:
    from vlmine_dagster.resources.sources import shard_of

    shards = frozenset(bench.lake.partitions("images"))
    for row in found:
        name = row["image_id"]
        yield {
            "rank": row["rank"],
            "image_id": name,
            "shard": shard_of(name, shards),
            "path": copies.get(name, row["uri"]),
            "reason": row["reason"],
            **{signal: row[signal] for signal in signals},
        }


def _copies(bench: "Workbench", rows: Iterable[Row], folder: Path) -> dict[str, str]:
    """Copy the encoded bytes of images to folder/shard/key, with an ending that fits them where the key has none.

    Returns:
        Absolute path of the copy by image id.
    """
    from vlmine_dagster.resources.intake import by_shard, read_bytes, refuse_gone
    from vlmine_dagster.resources.pictures import picture_suffix
    from vlmine_dagster.resources.sources.contract import is_image

    root, base = bench.project.resolve(bench.project.settings.dataset.root), folder.resolve()
    if "://" not in root and base.is_relative_to(Path(root).resolve()):
        raise ConfigError(f"{folder} lies in the dataset, which would grow by the copies. Choose another folder.")
    image_ids = [row["image_id"] for row in rows]
    copies: dict[str, str] = {}
    for shard, names in by_shard(image_ids, bench.source.shards()).items():
        for name, data in read_bytes(bench.source, shard, names):
            file = base / (name if is_image(name) else name + picture_suffix(data))
            with _writing(folder):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
            copies[name] = str(file)
    refuse_gone([name for name in image_ids if name not in copies])
    return copies


@contextmanager
def _replaced(file: Path) -> Iterator[Path]:
    """Give a file beside another to write, which takes its place in the end, if all went well."""
    with _writing(file), replacing(file) as beside:
        yield beside


@contextmanager
def _writing(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{place} cannot be written: {error.strerror or error}. Name another place, or make room there."
        ) from error


def _write_csv(rows: Iterable[Row], file: Path, columns: Sequence[str]) -> int:
    count = 0
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
            count += 1
    return count


def _write_parquet(rows: Iterable[Row], file: Path, columns: Sequence[str]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = dict(_COLUMNS)
    schema = pa.schema([(name, types.get(name, "float64")) for name in columns])
    count, left = 0, iter(rows)
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        while part := list(itertools.islice(left, _ROWS_AT_ONCE)):
            writer.write_table(pa.Table.from_pylist(part, schema))
            count += len(part)
    return count


def _write_tasks(rows: Iterable[Row], file: Path, served: Path | None) -> int:
    count = 0
    with file.open("w", encoding="utf-8") as stream:
        stream.write("[")
        for count, row in enumerate(rows, start=1):
            stream.write(f"{',' if count > 1 else ''}\n{json.dumps({'data': _task(row, served)}, ensure_ascii=False)}")
        stream.write("\n]\n")
    return count


def _task(row: Row, served: Path | None) -> Row:
    path = row["path"]
    if served is not None and not Path(path).is_relative_to(served):
        raise ConfigError(f"{path} is not below {served}: the dataset was moved since. Pass --images FOLDER.")
    if served is not None:
        path = f"/data/local-files/?d={quote(Path(path).relative_to(served).as_posix())}"
    return {"image": path, **{name: value for name, value in row.items() if name != "path"}}
