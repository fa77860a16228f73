"""Task model `probe`: a linear probe on the encoder's features."""

from typing import TYPE_CHECKING, Literal

from vlmine_dagster.settings.learning import TaskModelCapabilities, TaskModelPlugin, TaskModelSettings

if TYPE_CHECKING:
    from vlmine_dagster.scoring.task_model import TrainedTaskModel


class ProbeSettings(TaskModelSettings):
    """A linear probe on the encoder's features, trained on the labelled set."""

    kind: Literal["probe"] = "probe"
    """A linear probe on the encoder's features."""

    @property
    def capabilities(self) -> TaskModelCapabilities:
        """It learns from labels and reads features."""
        return TaskModelCapabilities(trains_on_labels=True, reads="features")


def _make(_bench: object, settings: ProbeSettings) -> "TrainedTaskModel":
    from vlmine_dagster.scoring.task_model import TrainedTaskModel

    return TrainedTaskModel(settings)


PLUGIN = TaskModelPlugin(ProbeSettings, _make)
