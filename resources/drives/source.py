"""Driving data as a source of images that knows its sequences and its objects."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa

from vlmine_dagster.resources.drives.contract import BOX_SIDES, DriveLayout, Sweep
from vlmine_dagster.resources.sources.contract import (
    Glance,
    Moment,
    RawImage,
    image_id,
    require_shard,
    too_large,
)
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.tree import FileTree
from vlmine_dagster.settings import settings_hash

_SAID = ("camera", "weather", "time_of_day", "location")
_OF_OBJECT = (*BOX_SIDES, "point_count", "speed", "visibility", "camera_object_id")


class DriveSource:
    """Segments of driving data as shards: pictures of all cameras, the objects in them, and what the LiDAR saw.

    A sequence is a segment with all its cameras: they show one moment from several sides, and one track passes from
    one to the next, so that a split by segments is the only one that keeps tracks whole.

    Args:
        layout: Reads the files.
        tree: The files.
        max_bytes: Larger pictures are refused.
        cache: Fingerprints of an earlier time.
        kinds: Finer class by track, which the layout gives to objects.
    """

    def __init__(
        self,
        layout: DriveLayout,
        tree: FileTree,
        *,
        max_bytes: int,
        cache: FingerprintCache,
        kinds: Mapping[str, str] | None = None,
    ):
        self.layout, self._tree, self._max_bytes, self._cache = layout, tree, max_bytes, cache
        self._kinds = settings_hash(sorted((kinds or {}).items()))

    @cached_property
    def _names(self) -> list[str]:
        return self.layout.shards()

    def shards(self) -> list[str]:
        """Return the names of the segments; see `ImageSource.shards`."""
        return self._names

    def fingerprint(self, shard: str) -> str:
        """Return a hash of the files with the segment's pictures; see `ImageSource.fingerprint`."""
        return self._hash(shard, self.layout.picture_files(self._known(shard)))

    def glance(self, shard: str) -> Glance:
        """Return what is known of these files without reading them; see `ImageSource.glance`."""
        return self._cache.glance([self._tree.entry(path) for path in self.layout.picture_files(self._known(shard))])

    def object_fingerprint(self, shard: str) -> str:
        """Return a hash of the files with the segment's objects."""
        return settings_hash(self._hash(shard, self.layout.object_files(self._known(shard))), self._kinds)

    def read(self, shard: str, *, keys: Collection[str] | None = None) -> Iterator[RawImage]:
        """Yield the pictures of a segment; see `ImageSource.read`."""
        frames = {row["key"]: row for row in self.layout.frames(self._known(shard)).to_pylist()}
        for picture in self.layout.pictures(shard, keys):
            problem = picture.failure or too_large(len(picture.data), self._max_bytes)
            yield RawImage(
                picture.key,
                picture.uri,
                b"" if problem else picture.data,
                problem,
                _moment(frames.get(picture.key)),
                _frame_attributes(frames.get(picture.key)),
            )

    def objects(self, shard: str) -> pa.Table:
        """Return the objects of a segment with the columns that box files give (`ShardBoxes.rows`)."""
        found = self.layout.objects(self._known(shard))
        frames = {row["key"]: row for row in self.layout.frames(shard).to_pylist()}
        rows = [_box_row(shard, row, frames.get(row["key"])) for row in found.to_pylist()]
        return pa.Table.from_pylist(rows, schema=OBJECT_ROWS)

    def boxes(self, shard: str) -> pa.Table:
        """Return the boxes in space of a segment; see `contract.BOXES`."""
        return self.layout.boxes(self._known(shard))

    def sweeps(self, shard: str) -> Iterator[Sweep]:
        """Yield the sweeps of a segment."""
        return self.layout.sweeps(self._known(shard))

    def _known(self, shard: str) -> str:
        require_shard(shard, self._names, self._tree.root)
        return shard

    def _hash(self, shard: str, paths: Sequence[str]) -> str:
        def content() -> str:
            digest = hashlib.sha256()
            for path in paths:
                digest.update(f"{path}\0{self._tree.content_hash(path)}\n".encode("utf-8", "surrogateescape"))
            return digest.hexdigest()

        return self._cache.get([self._tree.entry(path) for path in paths], content)


_TEXTS = ("image_id", "origin", "label", "track_id", "own_id", "attributes", "problem")
_NUMBERS = ("declared_width", "declared_height", "x", "y", "width", "height", "score")
OBJECT_ROWS = pa.schema(
    [
        *((name, pa.string()) for name in _TEXTS),
        *((name, pa.float64()) for name in _NUMBERS),
        ("is_relative", pa.bool_()),
    ]
)


def _moment(frame: Mapping[str, Any] | None) -> Moment | None:
    if frame is None or frame["sequence"] is None:
        return None
    return Moment(frame["sequence"], frame["frame_index"], frame["timestamp_us"] / 1e6)


def _frame_attributes(frame: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return {} if frame is None else {name: frame[name] for name in _SAID if frame[name] is not None}


def _box_row(shard: str, row: Mapping[str, Any], frame: Mapping[str, Any] | None) -> dict[str, Any]:
    known = {name: row[name] for name in _OF_OBJECT if row[name] is not None}
    rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in known.items()}
    return {
        "image_id": image_id(shard, row["key"]),
        "origin": f"{shard}: track {row['track_id']}",
        "label": row["class_name"],
        "track_id": row["track_id"],
        "own_id": row["track_id"],
        "attributes": json.dumps({**_frame_attributes(frame), **rounded}, ensure_ascii=False, sort_keys=True),
        **{name: row[name] for name in ("x", "y", "width", "height")},
        "is_relative": False,
    }
