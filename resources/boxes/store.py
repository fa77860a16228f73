"""Boxes, read once from their files into two Parquet files of the home, and looked up from there by image.

Rows of `boxes` lie together by their image, and images by the last part of their name, so that a shard's are found
without a look at the box files. Nothing here keeps a file's boxes in memory.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from vlmine_dagster.domain.files import literal_pattern, replacing
from vlmine_dagster.resources.boxes.contract import BoxFile, BoxRow, ClassEntry, ImageEntry, KnowsFrames, number_of
from vlmine_dagster.resources.boxes.files import BoxFiles
from vlmine_dagster.resources.label_files.contract import composed
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.foreign_paths import end_of, fitting, named_paths
from vlmine_dagster.settings.objects import BoxFormat
from vlmine_dagster.settings.project import Project

if TYPE_CHECKING:
    import pyarrow as pa

    from vlmine_dagster.resources.lake import Lake

_BATCH = 20_000
_RAW = ("raw_files", "raw_images", "raw_boxes", "raw_classes")
_ROW_GROUP = 100_000
_UNLISTED = " (an image that its file does not list)"

_FILE_TYPES = {"file": "int32", "origin": "string"}
_IMAGE_TYPES = {
    "file": "int32",
    "name_end": "string",
    "ref": "string",
    "name": "string",
    "declared_width": "float64",
    "declared_height": "float64",
    "is_number": "bool",
}
_CLASS_TYPES = {"file": "int32", "class_ref": "string", "class_name": "string"}
_BOX_TYPES = {
    "file": "int32",
    "seq": "int64",
    "x": "float64",
    "y": "float64",
    "width": "float64",
    "height": "float64",
    "score": "float64",
    "ref": "string",
    "label": "string",
    "track_id": "string",
    "own_id": "string",
    "is_relative": "bool",
    "attributes": "string",
    "place": "string",
    "problem": "string",
}

_NAMES = f"""
    WITH explained AS (
        SELECT ref AS number, any_value(name) AS name, any_value(name_end) AS name_end,
            any_value(declared_width) AS declared_width, any_value(declared_height) AS declared_height
        FROM raw_images WHERE NOT is_number GROUP BY ref HAVING count(DISTINCT name) = 1
    )
    SELECT row_number() OVER (ORDER BY name_end, name, file)::INT AS name_id, *
    FROM (
        SELECT file, ref, coalesce(i.name, ref || '{_UNLISTED}') AS name,
            coalesce(name_end, ref || '{_UNLISTED}') AS name_end,
            declared_width, declared_height, coalesce(box_count, 0) AS box_count
        FROM (
            SELECT i.file, ref, any_value(coalesce(e.name, i.name)) AS name,
                any_value(coalesce(e.name_end, i.name_end)) AS name_end,
                max(coalesce(i.declared_width, e.declared_width)) AS declared_width,
                max(coalesce(i.declared_height, e.declared_height)) AS declared_height
            FROM raw_images AS i LEFT JOIN explained AS e ON i.is_number AND i.ref = e.number
            GROUP BY i.file, ref
        ) AS i FULL JOIN (SELECT file, ref, count(*) AS box_count FROM raw_boxes GROUP BY file, ref) USING (file, ref)
    ) JOIN (SELECT file, any_value(origin) AS origin FROM raw_files GROUP BY file) USING (file)
"""  # noqa: S608 - our own text
_BOXES = """
    WITH known AS (
        SELECT class_ref, any_value(class_name) AS class_name FROM raw_classes
        GROUP BY class_ref HAVING count(DISTINCT class_name) = 1
    ),
    unnamed AS (SELECT DISTINCT file FROM raw_images WHERE is_number)
    SELECT name_id, b.* EXCLUDE (ref) REPLACE (coalesce(known.class_name, label) AS label)
    FROM raw_boxes AS b JOIN names USING (file, ref) LEFT JOIN unnamed ON b.file = unnamed.file
    LEFT JOIN known ON unnamed.file IS NOT NULL AND b.label = known.class_ref
    ORDER BY name_id, seq
"""


@dataclass(frozen=True)
class ShardBoxes:
    """The boxes of some images.

    Attributes:
        rows: One row per box: `image_id` and what the store has of it, in the order of the files; of a name that
            means several of the images, its boxes are those of each, with that as their problem.
        annotated: The images that a box file names, with boxes or without.
    """

    rows: "pa.Table"
    annotated: frozenset[str]


class BoxStore:
    """The boxes of a project, by image.

    Args:
        files: The box files.
        folder: Where the store is.
        lake: Opens DuckDB within the bounds of the settings.
    """

    def __init__(self, files: BoxFiles, folder: Path, lake: "Lake"):
        self._files = files
        self._folder = folder
        self._lake = lake

    @property
    def fingerprint(self) -> str:
        """Hash that changes with the content of the box files, and with how they are read."""
        return self._files.fingerprint

    @property
    def uris(self) -> list[str]:
        """Path or URL of each file."""
        return self._files.uris

    def shard_fingerprint(self, _shard: str) -> str:
        """Return the hash of all box files: any of them may name images of any shard."""
        return self.fingerprint

    def of_images(self, shard: str, image_ids: Sequence[str]) -> ShardBoxes:
        """Return the boxes of images of one shard.

        Raises:
            SourceError: a box file cannot be read.
        """
        import pyarrow as pa

        with self._connect() as connection:
            matches = _matches(self._candidates(connection, image_ids, shard), shard)
            images = [image for images in matches.values() for image in images]
            problems = [_ambiguous(images) for images in matches.values() for _ in images]
            wanted = pa.table(
                {
                    "name_id": pa.array([name for name, found in matches.items() for _ in found], pa.int32()),
                    "image_id": pa.array(images, pa.string()),
                    "ambiguous": pa.array(problems, pa.string()),
                }
            )
            connection.register("wanted", wanted)
            rows = connection.sql(
                """SELECT image_id, n.origin || ': ' || place AS origin, declared_width, declared_height,
                       b.* EXCLUDE (name_id, place, problem), coalesce(ambiguous, problem) AS problem
                   FROM boxes AS b JOIN wanted USING (name_id) JOIN names AS n USING (name_id)
                   ORDER BY image_id, seq"""
            ).to_arrow_table()
        return ShardBoxes(rows, frozenset(images))

    def _candidates(self, connection: Any, image_ids: Sequence[str], shard: str) -> "list[tuple[int, str, str]]":
        """Return (number, name, image_id) of each name whose last part is that of an image."""
        import pyarrow as pa

        ends = [end_of(composed(image_id)) for image_id in image_ids]
        connection.register("asked", pa.table({"name_end": ends, "image_id": list(image_ids)}))
        found = connection.sql("SELECT name_id, name, image_id FROM names JOIN asked USING (name_end)")
        return list(found.fetchall())

    def unmatched(self, shards: Mapping[str, Sequence[str]]) -> "pa.Table":
        """Return the names that belong to no image or to several: origin, name, box_count, images (None: no image).

        Args:
            shards: The images of every shard of the pool.
        """
        import pyarrow as pa

        claims: dict[int, list[str]] = {}
        with self._connect() as connection:
            for shard, image_ids in shards.items():
                for name_id, images in _matches(self._candidates(connection, image_ids, shard), shard).items():
                    claims.setdefault(name_id, []).extend(images)
            once = pa.array([name for name, images in claims.items() if len(images) == 1], pa.int32())
            several = {name: images for name, images in claims.items() if len(images) > 1}
            connection.register("once", pa.table({"name_id": once}))
            connection.register(
                "several",
                pa.table(
                    {
                        "name_id": pa.array(list(several), pa.int32()),
                        "images": pa.array([_ambiguous(images) for images in several.values()], pa.string()),
                    }
                ),
            )
            return connection.sql(
                """SELECT origin, name, box_count, images FROM names ANTI JOIN once USING (name_id)
                   LEFT JOIN several USING (name_id) ORDER BY origin, name"""
            ).to_arrow_table()

    def class_counts(self) -> dict[str, int]:
        """Return the number of boxes by class, as the files spell it, the commonest first."""
        with self._connect() as connection:
            found = connection.sql(
                "SELECT label, count(*) FROM boxes WHERE label IS NOT NULL GROUP BY label ORDER BY 2 DESC, 1"
            )
            return dict(found.fetchall())

    @contextmanager
    def _connect(self) -> Iterator[Any]:
        self._build()
        with self._lake.connect() as connection:
            _show(connection, names=self._names, boxes=self._boxes)
            yield connection

    @property
    def _names(self) -> Path:
        return self._folder / f"{self.fingerprint}-names.parquet"

    @property
    def _boxes(self) -> Path:
        return self._folder / f"{self.fingerprint}-boxes.parquet"

    def _build(self) -> None:
        """Read the box files, once for all processes of a home; what was read of other files goes."""
        if self._names.exists():
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / "lock"):
            if self._names.exists():
                return
            with TemporaryDirectory(dir=self._folder) as scratch:
                raw = _Raw(Path(scratch))
                raw.write(self._files)
                raw.sort(self._lake, names=self._names, boxes=self._boxes)
            for file in self._folder.glob("*.parquet"):
                if not file.name.startswith(self.fingerprint):
                    file.unlink(missing_ok=True)


class _Batches:
    """A Parquet file that rows are added to one by one.

    Args:
        file: The file.
        types: Types of its columns, by name.
    """

    def __init__(self, file: Path, types: Mapping[str, str]):
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._rows: list[tuple[Any, ...]] = []
        self._schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in types.items()])
        self._writer = pq.ParquetWriter(file, self._schema)

    def __enter__(self) -> "_Batches":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def add(self, row: tuple[Any, ...]) -> None:
        """Add a row: the values of all columns, in order."""
        self._rows.append(row)
        if len(self._rows) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            columns = zip(zip(*self._rows, strict=True), self._schema.types, strict=True)
            arrays = [pa.array(column, kind) for column, kind in columns]
            self._writer.write_table(pa.table(arrays, self._schema))
        self._rows = []


def _entries(known: BoxFormat, file: BoxFile) -> Iterator[BoxRow | ImageEntry | ClassEntry]:
    """Yield what a file holds.

    Raises:
        SourceError: it cannot be read; where its reader did not foresee why, in Python's own words.
    """
    try:
        yield from known.read(file)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise file.unreadable(
            f"as {known.name} it is not made as expected ({type(error).__name__}: {error})"
        ) from error


class _Raw:
    """What the box files hold, in the order in which they are read, on its way into the store."""

    def __init__(self, folder: Path):
        self._folder = folder

    def write(self, files: BoxFiles) -> None:
        """Write everything that the files hold, a batch at a time."""
        seq = 0
        with (
            _Batches(self._folder / "raw_images.parquet", _IMAGE_TYPES) as images,
            _Batches(self._folder / "raw_boxes.parquet", _BOX_TYPES) as boxes,
            _Batches(self._folder / "raw_files.parquet", _FILE_TYPES) as named,
            _Batches(self._folder / "raw_classes.parquet", _CLASS_TYPES) as classes,
        ):
            for number, (known, file) in enumerate(files.read()):
                named.add((number, file.path))
                for one in _entries(known, file):
                    if isinstance(one, ImageEntry):
                        images.add((number, end_of(one.name), *one))
                    elif isinstance(one, ClassEntry):
                        classes.add((number, *one))
                    else:
                        boxes.add(_box_values(number, seq, one))
                        seq += 1

    def sort(self, lake: "Lake", *, names: Path, boxes: Path) -> None:
        """Write the store: boxes first, since names are what says that it is there."""
        raw = {name: self._folder / f"{name}.parquet" for name in _RAW}
        with lake.connect() as connection, replacing(names) as beside_names, replacing(boxes) as beside_boxes:
            _show(connection, **raw)
            _write(connection, f"{_NAMES} ORDER BY name_id", beside_names)
            _show(connection, names=beside_names)
            _write(connection, _BOXES, beside_boxes)


def open_boxes(project: Project, lake: "Lake", *, videos: KnowsFrames | None = None) -> BoxStore | None:
    """Open the boxes of a project, None where its settings name no box files; nothing is read yet.

    Args:
        project: The project.
        lake: Opens DuckDB within the bounds of the settings.
        videos: The dataset where its images are frames of videos.
    """
    settings = project.settings.objects
    if settings is None or not settings.boxes:
        return None
    cache = project.state_folder("cache")
    files = BoxFiles(settings, project.resolve, FingerprintCache(cache / "fingerprints.tsv"), videos=videos)
    return BoxStore(files, cache / "boxes", lake)


def _box_values(file: int, seq: int, row: BoxRow) -> tuple[Any, ...]:
    """Return the values of a box, in the order of `_BOX_TYPES`."""
    ref, box, label, score, track_id, own_id, is_relative, attributes, place, problem = row
    number = number_of(score)
    known_score = None if math.isnan(number) else number
    rest = (ref, label, track_id, own_id, is_relative, attributes, place, problem)
    return (file, seq, *box, known_score, *rest)


def _matches(candidates: Sequence[tuple[int, str, str]], shard: str) -> dict[int, list[str]]:
    """Return the images of a shard that each name means, by the name's number.

    A name is an image's if it is its image_id or its key; else if one is the end of the other, as it is or without the
    ending of the file (`train/17.jpg`, `17.jpg` and `17` are the end of `photos/train/17.jpg`).
    """
    by_name: dict[tuple[int, str], list[str]] = {}
    for number, name, image_id in sorted(candidates):
        by_name.setdefault((number, name), []).append(image_id)
    found = {}
    for (number, name), image_ids in by_name.items():
        keys = [(image_id, composed(image_id[len(shard) + 1 :])) for image_id in image_ids]
        paths = named_paths(name)
        same = next((both for path in paths if (both := [one for one, key in keys if path in (one, key)])), [])
        if images := same or fitting(name, keys):
            found[number] = images
    return found


def _ambiguous(images: Sequence[str]) -> str | None:
    if len(images) == 1:
        return None
    return f"the image's name in the box file fits {len(images)} images, such as {images[0]} and {images[1]}"


def _show(connection: Any, **files: Path) -> None:
    """Make a view over each Parquet file, for this connection alone."""
    for name, file in files.items():
        path = literal_pattern(str(file)).replace("'", "''")
        scan = f"read_parquet('{path}', hive_partitioning = false)"
        connection.execute(f"CREATE TEMP VIEW {name} AS SELECT * FROM {scan}")  # noqa: S608 - our own names


def _write(connection: Any, query: str, file: Path) -> None:
    """Write the rows of a query as they come; DuckDB itself misreads some characters of paths that it writes to."""
    import pyarrow.parquet as pq

    rows = connection.sql(query).to_arrow_reader(_ROW_GROUP)
    with pq.ParquetWriter(file, rows.schema, compression="zstd") as writer:
        for batch in rows:
            writer.write_batch(batch)
