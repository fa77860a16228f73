"""Retrained model `probe`: a linear probe on the encoder's features."""

from typing import TYPE_CHECKING, Literal

from vlmine_dagster.settings.learning import RetrainedModelPlugin, RetrainingSettings

if TYPE_CHECKING:
    from vlmine_dagster.learning.retraining import ProbeLearner
    from vlmine_dagster.settings.project import Project


class RetrainedProbeSettings(RetrainingSettings):
    """Retrain a linear probe on the encoder's features."""

    reads_features = True

    kind: Literal["probe"] = "probe"
    """A linear probe on the encoder's features."""


def _make(_project: "Project", settings: RetrainedProbeSettings) -> "ProbeLearner":
    from vlmine_dagster.learning.retraining import ProbeLearner

    return ProbeLearner(settings.class_balance)


PLUGIN = RetrainedModelPlugin(RetrainedProbeSettings, _make)
