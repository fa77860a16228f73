"""Retrained model `transformers`: a local transformers checkpoint that is fine-tuned."""

from typing import TYPE_CHECKING, Literal

from vlmine_dagster.settings.learning import RetrainedModelPlugin, RetrainingSettings

if TYPE_CHECKING:
    from vlmine_dagster.learning.retraining import NetworkLearner
    from vlmine_dagster.settings.project import Project


class RetrainedCheckpointSettings(RetrainingSettings):
    """Fine-tune a local transformers image-classification checkpoint."""

    needs_path = True
    usual_learning_rate = 0.0001

    kind: Literal["transformers"]
    """A local transformers checkpoint that is fine-tuned."""


def _make(project: "Project", settings: RetrainedCheckpointSettings) -> "NetworkLearner":
    from functools import partial

    from vlmine_dagster.learning.user_model import open_for_fine_tuning
    from vlmine_dagster.scoring.retraining import network_learner

    return network_learner(settings, partial(open_for_fine_tuning, project.resolve(str(settings.path))))


PLUGIN = RetrainedModelPlugin(RetrainedCheckpointSettings, _make)
