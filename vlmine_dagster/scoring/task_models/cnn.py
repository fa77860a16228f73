"""Task model `cnn`: a small convolutional network from scratch."""

from typing import TYPE_CHECKING, Literal

from vlmine_dagster.settings.learning import TaskModelCapabilities, TaskModelPlugin, TaskModelSettings

if TYPE_CHECKING:
    from vlmine_dagster.scoring.task_model import TrainedTaskModel


class CnnSettings(TaskModelSettings):
    """A small convolutional network, trained on the labelled set from scratch."""

    kind: Literal["cnn"]
    """A small convolutional network from scratch."""

    @property
    def capabilities(self) -> TaskModelCapabilities:
        """It learns from labels and looks at the pixels."""
        return TaskModelCapabilities(trains_on_labels=True, reads="pixels")


def _make(_bench: object, settings: CnnSettings) -> "TrainedTaskModel":
    from vlmine_dagster.scoring.task_model import TrainedTaskModel

    return TrainedTaskModel(settings)


PLUGIN = TaskModelPlugin(CnnSettings, _make)
