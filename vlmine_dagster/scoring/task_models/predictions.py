"""Task model `predictions`: what the user's own model says, from a file."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from vlmine_dagster.domain.items import ITEMS
from vlmine_dagster.settings.learning import TaskModelCapabilities, TaskModelPlugin, TaskModelSettings
from vlmine_dagster.settings.providers import Finding

if TYPE_CHECKING:
    import pyarrow as pa

    from vlmine_dagster.resources.workbench import Workbench
    from vlmine_dagster.scoring.task_model import Answers, Workplace


class PredictionsSettings(TaskModelSettings):
    """Your own model's predictions."""

    kind: Literal["predictions"]
    """Parquet with image_id and one column of probabilities per class."""

    needs_path: ClassVar[bool] = True
    has_members: ClassVar[bool] = False
    has_passes: ClassVar[bool] = False

    @property
    def capabilities(self) -> TaskModelCapabilities:
        """It is only looked up, by the ids of images."""
        return TaskModelCapabilities(reads="ids")


class Predictions:
    """Looks predictions up in a file."""

    def __init__(self, settings: PredictionsSettings):
        self._settings = settings

    def prepare(self, place: "Workplace", /, *, published: str | None = None) -> "tuple[pa.Table, dict[str, Any]]":
        """Return the row of `task_model` and facts: how much of the pool the file knows.

        Raises:
            ModelError: the file cannot be read, or is about other images.
        """
        from vlmine_dagster.scoring.predictions import match_predictions
        from vlmine_dagster.scoring.task_model import task_model_table

        reader, labels = place.reader, place.labels
        path = reader.project.resolve(str(self._settings.path))
        match = match_predictions(path, reader.connect(ITEMS))
        match.refuse_foreign()
        names = () if labels is None else labels.class_names
        for warning in match.warnings(names):
            reader.log.warning(warning)
        shared = {} if labels is None else {"classes that labels know": len(set(names) & set(match.classes))}
        return task_model_table(self._settings.kind, path, class_count=len(match.classes)), {
            "images of the pool": match.pool_count,
            "images of the pool with predictions": match.known_count,
            "classes": len(match.classes),
            **shared,
        }

    def ask(self, place: "Workplace", names: Sequence[str], /, *, digest: str) -> "Iterator[Answers]":
        """Yield what the file says about images, some at a time."""
        from vlmine_dagster.learning.user_model import prediction_classes, read_predictions
        from vlmine_dagster.scoring.task_model import Answers

        path = place.reader.project.resolve(str(self._settings.path))
        classes = prediction_classes(path)
        for image_ids, probabilities in read_predictions(path, names):
            yield Answers(image_ids, classes, probabilities)


def _make(_bench: object, settings: PredictionsSettings) -> Predictions:
    return Predictions(settings)


def _look(bench: "Workbench", settings: PredictionsSettings) -> Finding:
    from vlmine_dagster.scoring.predictions import match_predictions

    there = [shard for shard in bench.source.shards() if bench.lake.path(ITEMS, shard).exists()]
    opened = bench.lake.connect(items=bench.lake.require(ITEMS, there))
    match = match_predictions(bench.project.resolve(str(settings.path)), opened)
    match.refuse_foreign()
    warnings = match.warnings(() if bench.labels is None else bench.labels.class_names)
    known = f"{len(match.classes):,} classes, {match.known_count:,} of {match.pool_count:,} images of the pool"
    return Finding("warn", " ".join(warnings)) if warnings else Finding("ok", known)


PLUGIN = TaskModelPlugin(PredictionsSettings, _make, _look)
