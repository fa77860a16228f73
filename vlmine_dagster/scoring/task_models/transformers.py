"""Task model `transformers`: a local image-classification checkpoint of the user."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from vlmine_dagster.domain.counting import counted
from vlmine_dagster.settings.learning import TaskModelCapabilities, TaskModelPlugin, TaskModelSettings
from vlmine_dagster.settings.providers import Finding

if TYPE_CHECKING:
    import pyarrow as pa

    from vlmine_dagster.resources.workbench import Workbench
    from vlmine_dagster.scoring.task_model import Answers, Workplace

_BATCH = 64


class CheckpointSettings(TaskModelSettings):
    """A local transformers image-classification checkpoint."""

    kind: Literal["transformers"]
    """A local transformers image-classification checkpoint."""

    needs_path: ClassVar[bool] = True
    has_members: ClassVar[bool] = False

    @property
    def capabilities(self) -> TaskModelCapabilities:
        """It looks at the pixels, and learns nothing here."""
        return TaskModelCapabilities(reads="pixels")


class Checkpoint:
    """Asks a checkpoint."""

    def __init__(self, settings: CheckpointSettings):
        self._settings = settings

    def prepare(self, place: "Workplace", /, *, published: str | None = None) -> "tuple[pa.Table, dict[str, Any]]":
        """Return the row of `task_model`.

        Raises:
            ModelError: the checkpoint cannot be read.
        """
        from vlmine_dagster.learning.user_model import load_checkpoint
        from vlmine_dagster.scoring.task_model import task_model_table

        path = place.reader.project.resolve(str(self._settings.path))
        return task_model_table(self._settings.kind, path, class_count=len(load_checkpoint(path).classes)), {}

    def ask(self, place: "Workplace", names: Sequence[str], /, *, digest: str) -> "Iterator[Answers]":
        """Yield what the checkpoint says about images, some at a time."""
        from vlmine_dagster.learning.user_model import load_checkpoint
        from vlmine_dagster.resources.intake import load_pictures
        from vlmine_dagster.resources.ordered import batches
        from vlmine_dagster.scoring.task_model import Answers, places_by_shard

        project = place.reader.project
        path, passes = project.resolve(str(self._settings.path)), self._settings.dropout_passes
        checkpoint = load_checkpoint(path, dropout=self._settings.dropout)
        max_pixels = project.settings.dataset.max_pixels
        for places in places_by_shard(names, place.reader.shards):
            asked = [names[one] for one in places]
            for batch in batches(load_pictures(place.source, asked, max_pixels=max_pixels), _BATCH):
                pictures = [picture for _, picture in batch]
                disagreement = checkpoint.passes(pictures, passes) if passes else None
                yield Answers(
                    [name for name, _ in batch], checkpoint.classes, checkpoint.predict(pictures), passes=disagreement
                )


def _make(_bench: object, settings: CheckpointSettings) -> Checkpoint:
    return Checkpoint(settings)


def _look(bench: "Workbench", settings: CheckpointSettings) -> Finding:
    from vlmine_dagster.learning.user_model import load_checkpoint

    return Finding(
        "ok", counted(len(load_checkpoint(bench.project.resolve(str(settings.path))).classes), "class", "classes")
    )


PLUGIN = TaskModelPlugin(CheckpointSettings, _make, _look)
