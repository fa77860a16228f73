"""Describer `captions`: descriptions that were made elsewhere, from a Parquet or JSON Lines file."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ConfigError, SourceError
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.describers import Description, Load, Tag
from vlmine_dagster.settings import PublicLocation, settings_hash
from vlmine_dagster.settings.providers import DescriberCapabilities, DescriberPlugin, DescriberSettings, Finding

if TYPE_CHECKING:
    import pyarrow as pa

    from vlmine_dagster.resources.workbench import Workbench

NAME_COLUMNS = ("image_id", "file_name", "filename", "file", "path", "image", "key")
CAPTION_COLUMNS = ("caption", "description", "text")
_ENDINGS = (".parquet", ".jsonl", ".ndjson")


class CaptionsSettings(DescriberSettings):
    """Take descriptions that were made elsewhere."""

    kind: Literal["captions"]
    """Captions from a Parquet or JSON Lines file, for example of another pipeline; no model is asked."""
    path: PublicLocation
    """The file: .parquet, or .jsonl with one object per line."""
    name_column: str | None = None
    """Column with the image id as `vlmine top` shows it, or with the file name, with or without folders; left out, the
    first of image_id, file_name, filename, file, path, image, key."""
    caption_column: str | None = None
    """Column with the caption; left out, the first of caption, description, text. Several captions of one image are
    joined."""
    tags_column: str | None = None
    """Column with a list of tags, for keyworder `tags`."""

    @property
    def capabilities(self) -> DescriberCapabilities:
        """It needs to know no more of an image than its name."""
        return DescriberCapabilities(reads="name", gives_tags=self.tags_column is not None)


class Captions:
    """Describes an image by its captions in a file.

    An image is found by its id, else by the longest end of its id that the file has: `a/1.jpg` before `1.jpg`, and
    names without their ending last, for tars and Parquet whose keys have none.

    Args:
        location: Path or URL of the file.
        settings: Which columns hold what.
    """

    def __init__(self, location: str, settings: CaptionsSettings):
        self._location = location
        self._settings = settings

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the content of the file and with the columns that are read."""
        columns = self._settings.model_dump(exclude={"path"})
        return settings_hash("captions 1", columns, _digest(self._location))

    def describe(
        self, images: Mapping[str, str], load: Load, *, is_failure_retried: bool = False
    ) -> Iterator[Description]:
        """Yield the caption of each image; one that the file does not have is the outcome `empty`."""
        found = self._rows({name for image in images for name in _names(image)})
        for image in images:
            rows = next((found[name] for name in _names(image) if name in found), [])
            text = " ".join(caption.strip() for caption, _ in rows if caption and caption.strip())
            tags = tuple(Tag(tag, None) for tag in dict.fromkeys(tag for _, tags in rows for tag in tags))
            if text or tags:
                yield Description(image, text or ", ".join(tag.tag for tag in tags), tags or None)
            else:
                yield Description(
                    image, None, outcome=Outcome.EMPTY, failure=f"{self._location} has no caption for the image"
                )

    def known_count(self) -> int:
        """Return the number of rows of the file."""
        return int(self._table.num_rows)

    def _rows(self, wanted: set[str]) -> dict[str, list[tuple[str | None, list[str]]]]:
        """Return captions and tags by name, of the names that are wanted."""
        import pyarrow as pa
        import pyarrow.compute as pc

        found: defaultdict[str, list[tuple[str | None, list[str]]]] = defaultdict(list)
        for names in (self._table.column("name"), pc.replace_substring_regex(self._table.column("name"), _ENDING, "")):
            rows = self._table.set_column(0, "name", names)
            rows = rows.filter(pc.is_in(names, value_set=pa.array(sorted(wanted - found.keys()), pa.string())))
            for row in rows.to_pylist():
                found[row["name"]].append((row["caption"], row.get("tags") or []))
        return found

    @cached_property
    def _table(self) -> "pa.Table":
        """The file's rows: name, caption and, where asked for, tags."""
        import pyarrow as pa

        rows = _read(self._location)
        names = self._column(rows, self._settings.name_column, NAME_COLUMNS, "name_column")
        captions = self._column(rows, self._settings.caption_column, CAPTION_COLUMNS, "caption_column")
        columns = {"name": names.cast(pa.string()), "caption": captions.cast(pa.string())}
        if self._settings.tags_column is not None:
            tags = self._column(rows, self._settings.tags_column, (), "tags_column")
            columns["tags"] = tags.cast(pa.list_(pa.string()))
        return pa.table(columns)

    def _column(self, rows: "pa.Table", wanted: str | None, usual: tuple[str, ...], setting: str) -> Any:
        name = wanted or next((name for name in usual if name in rows.column_names), None)
        if name is None or name not in rows.column_names:
            raise ConfigError(
                f"{self._location} has no column {name or ' or '.join(usual)}. It has: {', '.join(rows.column_names)}. "
                f"Set describer.{setting} in vlmine.yaml."
            )
        return rows.column(name)


_ENDING = r"\.[A-Za-z0-9]{1,5}$"


def _names(image_id: str) -> Iterator[str]:
    """Yield the names under which captions of an image may stand, the most exact first.

    Examples:
        >>> list(_names("shard-000/a/1.jpg"))
        ['shard-000/a/1.jpg', 'a/1.jpg', '1.jpg', 'shard-000/a/1', 'a/1', '1']
    """
    import re

    for name in dict.fromkeys((image_id, re.sub(_ENDING, "", image_id))):
        parts = name.split("/")
        yield from ("/".join(parts[start:]) for start in range(len(parts)))


def _read(location: str) -> "pa.Table":
    """Read the file.

    Raises:
        ConfigError: its name ends in another way.
        SourceError: it is not there, or cannot be read.
    """
    import pyarrow.json
    import pyarrow.parquet as pq

    if not location.lower().endswith(_ENDINGS):
        raise ConfigError(f"describer.path: {location} does not end in one of {', '.join(_ENDINGS)}.")
    with _opened(location) as file:
        return pq.read_table(file) if location.lower().endswith(".parquet") else pyarrow.json.read_json(file)


def _digest(location: str) -> str:
    import hashlib

    with _opened(location) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _opened(location: str) -> Iterator[Any]:
    import pyarrow as pa
    from upath import UPath

    try:
        with UPath(location).open("rb") as file:
            yield file
    except (OSError, pa.ArrowException) as error:
        raise SourceError(
            f"the captions {location} cannot be read: {error}. Correct describer.path, or the file."
        ) from error


def _make(bench: "Workbench", settings: CaptionsSettings) -> Captions:
    return Captions(bench.project.resolve(settings.path), settings)


def _look(bench: "Workbench", settings: CaptionsSettings) -> Finding:
    return Finding("ok", f"{counted(_make(bench, settings).known_count(), 'caption')} in {settings.path}")


PLUGIN = DescriberPlugin(CaptionsSettings, _make, _look)
