"""Retrained model `cnn`: a small convolutional network, from scratch."""

from typing import TYPE_CHECKING, Literal

from vlmine_dagster.settings.learning import RetrainedModelPlugin, RetrainingSettings

if TYPE_CHECKING:
    from vlmine_dagster.learning.retraining import NetworkLearner
    from vlmine_dagster.settings.project import Project


class RetrainedCnnSettings(RetrainingSettings):
    """Retrain a small convolutional network from scratch."""

    kind: Literal["cnn"]
    """A small convolutional network, from scratch."""


def _make(_project: "Project", settings: RetrainedCnnSettings) -> "NetworkLearner":
    from vlmine_dagster.learning.networks import SmallConvNet
    from vlmine_dagster.scoring.retraining import network_learner

    return network_learner(settings, SmallConvNet)


PLUGIN = RetrainedModelPlugin(RetrainedCnnSettings, _make)
