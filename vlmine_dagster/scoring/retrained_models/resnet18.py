"""Retrained model `resnet18`: a ResNet-18, from scratch."""

from typing import TYPE_CHECKING, Literal

from vlmine_dagster.settings.learning import RetrainedModelPlugin, RetrainingSettings

if TYPE_CHECKING:
    from vlmine_dagster.learning.retraining import NetworkLearner
    from vlmine_dagster.settings.project import Project


class RetrainedResNetSettings(RetrainingSettings):
    """Retrain a ResNet-18 from scratch."""

    kind: Literal["resnet18"]
    """A ResNet-18, from scratch."""


def _make(_project: "Project", settings: RetrainedResNetSettings) -> "NetworkLearner":
    from functools import partial

    from vlmine_dagster.learning.networks import ResNet18
    from vlmine_dagster.scoring.retraining import network_learner

    return network_learner(settings, partial(ResNet18, side=settings.image_size))


PLUGIN = RetrainedModelPlugin(RetrainedResNetSettings, _make)
