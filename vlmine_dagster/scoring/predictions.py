"""A user's own predictions: whether they are about the images of the pool and the classes of the labels."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlmine_dagster.domain.errors import ModelError
from vlmine_dagster.learning.user_model import prediction_classes
from vlmine_dagster.resources.visible import visible_text

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class PredictionMatch:
    """How much of a pool a file of predictions knows.

    Attributes:
        path: The file.
        classes: Its C class columns.
        pool_count: Readable images of the pool.
        known_count: Those of them that the file has.
        unknown: An image of the pool that it has not, None where it has all.
        given: An image_id of the file, None where it has none.
    """

    path: str
    classes: tuple[str, ...]
    pool_count: int
    known_count: int
    unknown: str | None
    given: str | None

    def refuse_foreign(self) -> None:
        """Refuse a file that knows no image of the pool.

        Raises:
            ModelError: it names an id of each side.
        """
        if self.pool_count and not self.known_count:
            raise ModelError(
                visible_text(
                    f"task_model.path {self.path}: none of the {self.pool_count:,} images of the pool is in it. An "
                    f"image_id in it is {self.given!r}, one of the pool {self.unknown!r}. Write the ids of the table "
                    f"images."
                )
            )

    def warnings(self, class_names: Sequence[str]) -> list[str]:
        """Say what is odd about the file: images that it lacks, and classes none of which is the labels'.

        Args:
            class_names: The classes of the labels; empty where there are none.
        """
        found = []
        if self.known_count < self.pool_count:
            lacks = f"{self.pool_count - self.known_count:,} of {self.pool_count:,}"
            found.append(f"lacks {lacks} images of the pool, such as {self.unknown!r}; they get no uncertainty")
        if class_names and not set(class_names) & set(self.classes):
            some, others = (", ".join(names[:3]) for names in (self.classes, tuple(class_names)))
            found.append(f"has the classes {some}, ...; none is a class of the labels: {others}, ...")
        return [visible_text(f"task_model.path {self.path} {text}") for text in found]


def match_predictions(path: str, opened: "AbstractContextManager[duckdb.DuckDBPyConnection]") -> PredictionMatch:
    """Compare a file of predictions with the images of published shards.

    Args:
        path: The file.
        opened: DuckDB with the view `images` (image_id, split, outcome).

    Raises:
        ModelError: the file cannot be read, or has no image_id or fewer than two classes.
        MissingInputError: `images` of a shard is missing.
    """
    classes = prediction_classes(path)
    given = "SELECT CAST(image_id AS VARCHAR) AS image_id FROM read_parquet(?) WHERE image_id IS NOT NULL"
    query = f"""SELECT count(*), count(*) FILTER (is_known), min(image_id) FILTER (NOT is_known)
                FROM (SELECT image_id, image_id IN ({given}) AS is_known FROM items
                      WHERE split = 'pool' AND outcome = 'ok')"""  # noqa: S608 - our own text
    with opened as connection:
        counts = connection.execute(query, [path]).fetchone()
        first = connection.execute(f"{given} LIMIT 1", [path]).fetchone()
    pool_count, known_count, unknown = counts or (0, 0, None)
    return PredictionMatch(path, classes, pool_count, known_count, unknown, None if first is None else first[0])
