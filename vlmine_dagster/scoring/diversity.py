"""The second step of an experiment: images that differ, from the top of its ranking."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.diversity import candidate_count, picked_first
from vlmine_dagster.mining.selection import Ranking
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.settings import DiversitySettings

Places = npt.NDArray[np.int64]

Pick = Callable[[Reader, Sequence[str], int], Places]
"""Picks images that differ, as a kind of `vlmine.diversities` makes it: of a reader, the ids of candidates, best ranked
first, and a number of picks it returns the places of the picks, in order."""


def diversified(
    reader: Reader, settings: DiversitySettings, ranking: Ranking, image_ids: Sequence[str], budget: int
) -> Ranking:
    """Return a ranking whose first `budget` images are picked so that they differ.

    Args:
        reader: Reads what the settings say that picking reads.
        settings: How to pick, and from how many.
        ranking: Its ranking.
        image_ids: Ids of the images that the ranking's places mean.
        budget: Images to pick. Their order is that of the greedy choice; another budget has other candidates.
    """
    top = ranking.order[: candidate_count(len(ranking.order), budget, settings.pool_factor)]
    pick: Pick = settings.plugins.get(settings.kind).make(None, settings)
    return picked_first(ranking, pick(reader, [image_ids[place] for place in top.tolist()], budget))
