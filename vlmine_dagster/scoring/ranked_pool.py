"""The pool as signals and verdicts rank it: all of its images, or the first ones of a large pool."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vlmine_dagster.mining.selection import Hashes, Ranking
from vlmine_dagster.scoring.verdicts import CONFIRMED_NOTE

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RankedPool:
    """The pool as signals and verdicts rank it, before anything is skipped.

    Attributes:
        rows: Its images, with the columns of the tables of the signals.
        signals: Each signal of the images.
        hashes: Hashes of their ids.
        ranking: Their order, by place in `rows`.
        lane: The order of those in the junk lane.
        junk: What is wrong with these, by place.
        notes: What reasons add because of verdicts, by place.
        pool_size: Images of the pool, of which `rows` may be the first ones alone.
        junk_count: Images of the pool in the junk lane.
        sample: Signals of all images, or of some drawn from a large pool.
    """

    rows: pa.Table
    signals: Mapping[str, Floats]
    hashes: Hashes
    ranking: Ranking
    lane: Ranking
    junk: Mapping[int, str]
    notes: Mapping[int, str]
    pool_size: int
    junk_count: int
    sample: Mapping[str, Floats]

    @property
    def confirmed_places(self) -> list[int]:
        """Places of the images that people have confirmed to be rare."""
        return [place for place, note in self.notes.items() if note == CONFIRMED_NOTE]
