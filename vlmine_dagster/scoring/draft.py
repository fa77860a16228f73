"""A list before keywords are confirmed: which images a second model is asked about."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.mining.grounding import Question
from vlmine_dagster.resources.labels import Labels
from vlmine_dagster.scoring.grounding import decided_by_keyword, sunk
from vlmine_dagster.scoring.ranked_pool import RankedPool
from vlmine_dagster.scoring.ranking import listed_order, ranked_pool
from vlmine_dagster.scoring.reading import Reader
from vlmine_dagster.settings import ExperimentSettings


@dataclass(frozen=True)
class Draft:
    """The list of an experiment as it is before anything sinks, from which images can be made to sink.

    Attributes:
        reader: Reads what the list is made of.
        experiment: The experiment.
        pool: Its ranked images.
        is_asked: By place, whether a keyword decides where the image is and no person has confirmed it.
        rank: By place, its rank on the draft, 0 where the list skips it.
    """

    reader: Reader
    experiment: ExperimentSettings
    pool: RankedPool
    is_asked: npt.NDArray[np.bool_]
    rank: npt.NDArray[np.int64]

    @classmethod
    def of(cls, reader: Reader, experiment: ExperimentSettings, labels: Labels | None) -> "Draft":
        """Return the draft of an experiment.

        Raises:
            MissingInputError: no image can be ranked.
        """
        pool = ranked_pool(reader, experiment, labels)
        is_asked = decided_by_keyword(pool.ranking, pool.rows.num_rows)
        is_asked[list(pool.confirmed_places)] = False
        order = listed_order(reader, experiment, pool.rows, pool.ranking)
        rank = np.zeros(pool.rows.num_rows, dtype=np.int64)
        rank[order] = np.arange(1, len(order) + 1)
        return cls(reader, experiment, pool, is_asked, rank)

    def first(self, count: int, *, denied: Collection[str] = ()) -> list[Question]:
        """Return what there is to ask about the first places once some images have sunk, best first.

        Args:
            count: Places.
            denied: Images that have sunk.
        """
        ids = self.pool.rows.column("image_id")
        is_denied = pc.is_in(ids, value_set=pa.array(sorted(denied), pa.string())).to_numpy(zero_copy_only=False)
        ranking = sunk(self.pool.ranking, is_denied)
        order = listed_order(self.reader, self.experiment, self.pool.rows, ranking)[:count]
        places = order[self.is_asked[order] & ~is_denied[order]]
        asked = self.pool.rows.take(places)
        words = asked.column("rarest_keyword").to_pylist()
        names = asked.column("image_id").to_pylist()
        contents = self._contents(names)
        ranks = np.where(self.rank[places] > 0, self.rank[places], len(self.rank)).tolist()
        return [
            Question(name, contents[name], word, rank)
            for name, word, rank in zip(names, words, ranks, strict=True)
            if word is not None
        ]

    def _contents(self, names: list[str]) -> dict[str, str]:
        with self.reader.connect(ITEMS) as connection:
            query = "SELECT image_id, sha256 FROM items WHERE list_contains($names, image_id)"
            return dict(connection.sql(query, params={"names": names}).fetchall())
