"""The objects that a data set itself knows, in the place of box files."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.resources.boxes.store import ShardBoxes
from vlmine_dagster.settings import settings_hash


@runtime_checkable
class KnowsObjects(Protocol):
    """A source that knows the objects in its images."""

    def shards(self) -> list[str]:
        """Return the names of all shards."""

    def object_fingerprint(self, shard: str) -> str:
        """Return a hash that changes with the objects of a shard."""

    def objects(self, shard: str) -> pa.Table:
        """Return the objects of a shard with the columns of `ShardBoxes.rows`."""


class OwnBoxes:
    """The objects of a source, shard by shard; see `BoxStore`, whose place it takes.

    Args:
        source: Knows them.
    """

    def __init__(self, source: KnowsObjects):
        self._source = source

    @property
    def fingerprint(self) -> str:
        """Hash that changes with the objects of any shard."""
        return settings_hash(*(self._source.object_fingerprint(shard) for shard in self._source.shards()))

    def shard_fingerprint(self, shard: str) -> str:
        """Return a hash that changes with the objects of a shard."""
        return self._source.object_fingerprint(shard)

    def of_images(self, shard: str, image_ids: Sequence[str]) -> ShardBoxes:
        """Return the objects of images of one shard; every image of the data set counts as annotated."""
        rows = self._source.objects(shard)
        known = pc.is_in(rows.column("image_id"), pa.array(image_ids, pa.string()))
        return ShardBoxes(rows.filter(known), frozenset(image_ids))

    def unmatched(self, shards: Mapping[str, Sequence[str]]) -> pa.Table:
        """Return the images that objects name and the data set lacks: origin, name, box_count, images."""
        found: list[tuple[str, str, int]] = []
        for shard, image_ids in shards.items():
            names = self._source.objects(shard).column("image_id")
            lost = names.filter(pc.invert(pc.is_in(names, pa.array(image_ids, pa.string()))))
            found += [(shard, one["values"], one["counts"]) for one in pc.value_counts(lost).to_pylist()]
        columns = list(zip(*sorted(found), strict=True)) or [(), (), ()]
        types = (pa.string(), pa.string(), pa.int64())
        arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
        return pa.table([*arrays, pa.nulls(len(found), pa.string())], ["origin", "name", "box_count", "images"])

    def class_counts(self) -> dict[str, int]:
        """Return the number of objects by class, the commonest first."""
        counts: dict[str, int] = {}
        for shard in self._source.shards():
            for one in pc.value_counts(self._source.objects(shard).column("label").drop_null()).to_pylist():
                counts[one["values"]] = counts.get(one["values"], 0) + one["counts"]
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
