"""Frames of recordings: whose frames they are, and that no split cuts through a recording."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import CutSequencesError
from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.domain.outcomes import JUDGES
from vlmine_dagster.mining.advice import Advice
from vlmine_dagster.scoring.reading import Reader

FRAME_COLUMNS = ("sequence_id", "frame_index", "timestamp_s")
"""What `images` says of a frame."""

_SHOWN = 3
_JUDGES = ", ".join(f"'{split.value}'" for split in sorted(JUDGES))
# Labelled frames and those to be mined may share a recording: that is how labels come back. Those that judge share it
# with nobody.
_CUT = """SELECT sequence_id, list_sort(list(DISTINCT split)) AS splits FROM items
          WHERE sequence_id IS NOT NULL AND split <> 'pool' GROUP BY 1 HAVING count(DISTINCT split) > 1
          ORDER BY sequence_id"""


def sequences_of(reader: Reader, image_ids: Sequence[str]) -> list[str | None]:
    """Return the sequence of each image, None where it is not a frame.

    Args:
        reader: Reads `items` (image_id, sequence_id) where the dataset has sequences.
        image_ids: Ids of images.
    """
    frames = frames_of(reader, image_ids, columns=("sequence_id",))
    return [None] * len(image_ids) if frames is None else frames.column("sequence_id").to_pylist()


def frames_of(reader: Reader, image_ids: Sequence[str], *, columns: Sequence[str] = FRAME_COLUMNS) -> pa.Table | None:
    """Return `image_id` and columns about sequences of N images, in their order; None without sequences.

    Args:
        reader: Reads `items` (image_id and these columns) where the dataset has sequences.
        image_ids: N ids.
        columns: Which.
    """
    if not reader.project.settings.dataset.has_sequences:
        return None
    rows = reader.read(ITEMS, ["image_id", *columns])
    places = pc.index_in(pa.array(image_ids, pa.string()), value_set=rows.column("image_id").combine_chunks())
    return rows.take(places)


def judging_sequences(reader: Reader) -> pa.Table:
    """Return the sequences with a frame of the validation or the test split: none of their frames is mined.

    Args:
        reader: Reads `items` (sequence_id, split).
    """
    query = f"SELECT DISTINCT sequence_id FROM items WHERE split IN ({_JUDGES}) AND sequence_id IS NOT NULL"  # noqa: S608
    with reader.connect(ITEMS) as connection:
        return connection.sql(query).to_arrow_table()


def check_sequences(reader: Reader) -> Advice:
    """Check that no sequence has labelled frames of several splits.

    Args:
        reader: Reads `items` (sequence_id, split) where the dataset has sequences.

    Raises:
        CutSequencesError: one has: what is learned from one frame is then judged by the next.
    """
    if not reader.project.settings.dataset.has_sequences:
        return Advice(True, "the dataset has no sequences")
    with reader.connect(ITEMS) as connection:
        cut = connection.sql(_CUT).fetchall()
        (count,) = connection.sql("SELECT count(DISTINCT sequence_id) FROM items").fetchall()[0]
    if cut:
        some = "; ".join(f"{name} ({' and '.join(splits)})" for name, splits in cut[:_SHOWN])
        more = f"; and {len(cut) - _SHOWN} more" if len(cut) > _SHOWN else ""
        raise CutSequencesError(
            f"pareto_set[{reader.partition}]: {len(cut)} of {count} sequences have labelled frames in several splits: "
            f"{some}{more}. Frames of one recording look alike, so a model would be tested on what it was trained on. "
            f"Put all labels of a sequence into one split of the label file."
        )
    return Advice(True, f"none of {counted(count, 'sequence')} is cut by a split", {"sequences": count})
