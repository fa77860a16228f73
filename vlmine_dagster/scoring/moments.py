"""The rules of an experiment about frames of one sequence: which frames its list skips, and in whose favour."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ConfigError
from vlmine_dagster.mining.moments import ThinnedList, codes_of, moment_note, thin_list
from vlmine_dagster.mining.selection import Ranking

if TYPE_CHECKING:
    from vlmine_dagster.settings import ExperimentSettings

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FrameRule:
    """A rule of an experiment about frames of one recording.

    Attributes:
        columns: What is the same for all frames that the rule is about.
        gap: Least distance between two that are listed; None where the rule has none.
        position: Column in which the gap is measured.
        most: How many are listed at most; None for any number.
    """

    columns: tuple[str, ...]
    gap: float | None
    position: str
    most: int | None

    def thinned(self, images: pa.Table, order: Integers, *, name: str) -> ThinnedList:
        """Return which images of a list the rule skips.

        Args:
            images: `image_id`, the columns of the rule and its position, of N images.
            order: Shape (K,), places of the listed images in it, best first.
            name: Name of the experiment, for messages.

        Raises:
            ConfigError: the gap needs what a frame does not say.
        """
        placed = () if self.gap is None else (self.position,)
        listed = images.select(["image_id", *self.columns, *placed]).take(pa.array(order))
        codes = _codes(listed, self.columns)
        if self.gap is None:
            return thin_list(codes, None, gap=None, per_sequence=self.most)
        at = listed.column(self.position)
        _refuse_unplaced(listed.filter(pc.and_(pa.array(codes >= 0), pc.is_null(at))), self.position, name)
        positions = at.to_numpy(zero_copy_only=False).astype(np.float64)
        return thin_list(codes, positions, gap=self.gap, per_sequence=self.most)


def rules_of(experiment: "ExperimentSettings") -> list[FrameRule]:
    """Return the rules about frames of an experiment, in the order in which they apply."""
    gap, most = experiment.gap_s or experiment.gap_frames, experiment.per_sequence
    position = "timestamp_s" if experiment.gap_s else "frame_index"
    if experiment.gap_of != "track":
        return [FrameRule(("sequence_id",), gap, position, most)] if experiment.skips_frames else []
    by_track = FrameRule(("sequence_id", "track_id"), gap, position, None)
    return [by_track, *([FrameRule(("sequence_id",), None, position, most)] if most else [])]


def thinned(images: pa.Table, order: Integers, experiment: "ExperimentSettings", *, name: str) -> Integers:
    """Return the places of a list with all that an experiment skips after what it lists."""
    skipped: list[Integers] = []
    for rule in rules_of(experiment):
        found = rule.thinned(images, order, name=name)
        order, skipped = order[found.kept], [order[found.skipped], *skipped]
    return np.concatenate([order, *skipped])


def _codes(listed: pa.Table, columns: Sequence[str]) -> Integers:
    """Return a number for what the columns name together, -1 where one of them is empty."""
    rows = zip(*(listed.column(column).to_pylist() for column in columns), strict=True)
    return codes_of([None if None in row else "\x1f".join(row) for row in rows])


def _refuse_unplaced(frames: pa.Table, column: str, name: str) -> None:
    if not frames.num_rows:
        return
    what, advice = ("time", "Set dataset.sequences.frames_per_s, or take gap_frames.")
    if column == "frame_index":
        what, advice = ("number", "Let the pattern name it (the group `frame`), or take gap_s.")
    have = counted(frames.num_rows, "frame has", "frames have")
    raise ConfigError(
        f"experiment {name!r}: the gap needs the {what} of every frame, and {have} none ({column} in "
        f"images), such as {frames.column('image_id')[0].as_py()}. {advice}"
    )


def part_of(ranking: Ranking, places: Integers) -> Ranking:
    """Return a ranking of some of the listed images: those at these places of its order, in that order."""
    return Ranking(
        ranking.order[places],
        ranking.front[places],
        ranking.rank_sum[places],
        ranking.signal_ranks,
        ranking.excluded_count,
    )


def joined(first: Ranking, then: Ranking) -> Ranking:
    """Return two parts of a ranking, one after the other."""
    return Ranking(
        np.concatenate([first.order, then.order]),
        np.concatenate([first.front, then.front]),
        np.concatenate([first.rank_sum, then.rank_sum]),
        first.signal_ranks,
        first.excluded_count,
    )


@dataclass(frozen=True, eq=False)
class SkippedFrames:
    """What a list of N images says of the frames that it skips.

    Attributes:
        more: Shape (N,), int64, by place in the pool: how many frames are skipped in favour of the image.
        notes: What the reason of such an image says, by place in the pool; images without are not there.
        instead: Shape (N,), int64, by place in the pool: the image in whose favour it is skipped, -1 where it is not.
    """

    more: Integers
    notes: dict[int, str]
    instead: Integers

    @classmethod
    def of(
        cls, found: ThinnedList, order: Integers, pool_size: int, *, note: Callable[[int, int], str] = moment_note
    ) -> "SkippedFrames":
        """Return what there is to say of a thinned list.

        Args:
            found: Indices into `order`.
            order: Places of the listed images in the pool.
            pool_size: N.
            note: Says how many are skipped, of the same moment and of the same sequence.
        """
        of_moment, of_sequence = found.more(is_close=True), found.more(is_close=False)
        more = np.zeros(pool_size, dtype=np.int64)
        more[order[found.kept]] = of_moment + of_sequence
        instead = np.full(pool_size, -1, dtype=np.int64)
        instead[order[found.skipped]] = order[found.instead]
        noted = np.flatnonzero(of_moment + of_sequence)
        notes = {int(order[found.kept[k]]): note(int(of_moment[k]), int(of_sequence[k])) for k in noted}
        return cls(more, notes, instead)

    @classmethod
    def none(cls, pool_size: int) -> "SkippedFrames":
        """Return what there is to say where nothing is skipped."""
        return cls(np.zeros(pool_size, dtype=np.int64), {}, np.full(pool_size, -1, dtype=np.int64))

    def and_also(self, later: "SkippedFrames") -> "SkippedFrames":
        """Return what there is to say where a second rule skips some of what this one keeps."""
        notes = {place: self.notes.get(place, "") + later.notes.get(place, "") for place in (*self.notes, *later.notes)}
        followed = np.where(self.instead >= 0, later.instead[self.instead], -1)
        instead = np.where(followed >= 0, followed, np.where(later.instead >= 0, later.instead, self.instead))
        return SkippedFrames(self.more + later.more, notes, instead)

    def listed_instead(self, image_ids: pa.ChunkedArray, places: Integers) -> pa.ChunkedArray:
        """Return the ids of the images in whose favour those at some places are skipped, null where they are not."""
        instead = self.instead[places]
        return image_ids.take(pa.array(instead, mask=instead < 0))

    def notes_of(self, places: Sequence[int]) -> list[str]:
        """Return what the reasons of images at some places say."""
        return [self.notes.get(place, "") for place in places]
