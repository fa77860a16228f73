"""The frames around mined frames: what a labelling tool shows beside them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ConfigError

if TYPE_CHECKING:
    from vlmine_dagster.resources.workbench import Workbench

# In a sequence, frames follow each other by number, else by time; failed ones are not neighbours.
_AROUND = """
WITH mined AS (SELECT sequence_id FROM images JOIN wanted USING (image_id)),
     frames AS (SELECT image_id, uri, sequence_id,
                       row_number() OVER (PARTITION BY sequence_id ORDER BY frame_index, timestamp_s, image_id) AS place
                FROM images SEMI JOIN mined USING (sequence_id) WHERE outcome = 'ok'),
     around AS (SELECT wanted.rank, wanted.image_id AS context_of, other.image_id, other.uri,
                       other.place - own.place AS distance
                FROM wanted JOIN frames own USING (image_id) JOIN frames other USING (sequence_id)
                WHERE abs(other.place - own.place) BETWEEN 1 AND $count)
SELECT rank, context_of, image_id, uri, distance FROM around ANTI JOIN wanted USING (image_id)
QUALIFY row_number() OVER (PARTITION BY image_id ORDER BY rank) = 1
ORDER BY rank, distance
"""


def frames_around(bench: "Workbench", rank_of: Mapping[str, int], count: int) -> dict[str, list[dict[str, Any]]]:
    """Return the frames before and after mined ones, each once, at the best mined frame that it is near to.

    Args:
        bench: The project's resources.
        rank_of: Rank by image id of the mined frames; none of them is the context of another.
        count: Frames before, and as many after.

    Returns:
        By the id of the mined frame: image_id, uri and distance (-1 is the frame before), in the order of the sequence.

    Raises:
        ConfigError: the dataset has no sequences.
        MissingInputError: `images` is missing.
    """
    import pyarrow as pa

    if not bench.project.settings.dataset.has_sequences:
        raise ConfigError("--context needs sequences: set dataset.sequences in vlmine.yaml (docs/sequences.md).")
    wanted = pa.table(
        {"image_id": pa.array(rank_of.keys(), pa.string()), "rank": pa.array(rank_of.values(), pa.int64())}
    )
    found: dict[str, list[dict[str, Any]]] = {}
    with bench.lake.connect(images=bench.lake.require("images", bench.lake.partitions("images"))) as connection:
        connection.register("wanted", wanted)
        for row in connection.sql(_AROUND, params={"count": count}).to_arrow_table().to_pylist():
            found.setdefault(row["context_of"], []).append(row)
    return found


def context_reason(row: Mapping[str, Any]) -> str:
    """Return what a list says of a frame that it holds for context.

    Examples:
        >>> context_reason({"context_of": "a/7", "distance": -2}), context_reason({"context_of": "a/7", "distance": 1})
        ('context: 2 frames before a/7', 'context: 1 frame after a/7')
    """
    far = abs(row["distance"])
    side = "before" if row["distance"] < 0 else "after"
    return f"context: {counted(far, 'frame')} {side} {row['context_of']}"
